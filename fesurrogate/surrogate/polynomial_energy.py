"""The polynomial energy: all monomials of the stretch up to a degree, and terms that grow.

Linear in its coefficients, it is fitted by least squares in seconds. Where a law is smooth and its
inputs are few, it is far closer to it than a network, inside of what it was fitted to and outside
(``python -m benchmarks network``). Terms multiply with inputs: with six components degree 6 has
917, with three degree 8 has 161; many parameters of the points are better left to a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any, final

import torch
from torch import Tensor

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.biot import biot_strain, pull_back
from fesurrogate.surrogate.growth import growth_terms
from fesurrogate.surrogate.monomials import Monomials, full
from fesurrogate.surrogate.network import Network, NetworkResponse, checked_count, checked_names
from fesurrogate.surrogate.objective import component_count, components, push_forward
from fesurrogate.surrogate.scaling import Scaling

MOST_TERMS = 2000


@final
class PolynomialEnergy(Network):
    """W(e, p) = U(e) + Σ_k c_k m_k(x / scale, z), every m_k at least quadratic in x.

    x are the components of the Biot strain, of the right stretch less one, at finite strain, where
    there is also U, :func:`~fesurrogate.surrogate.growth.growth_terms`; elsewhere they are those of
    the strain or gradient. z are the scaled parameters p of the points; the coefficients of U are
    quadratic in them. W is objective, energy and stress vanish at rest, and the tangent is
    symmetric, for any coefficients.

    Args:
        kinematics: The strain measure.
        degree: Of the monomials, in x and z together.
        parameter_names: Names of the p parameters.

    Attributes:
        coefficients: Buffer (t,), c.
        growth: Buffer (f, 2), coefficients of U as those of the f quadratics of z.
        scale: Buffer (q, 1), typical size of each of x in the data.
        scaling: Of the parameters.
        monomials: The m_k and their derivatives.

    Raises:
        InputError: The degree is below 2, or there would be more than 2,000 terms.
    """

    coefficients: Tensor
    growth: Tensor
    scale: Tensor

    def __init__(
        self, kinematics: Kinematics, degree: int = 4, *, parameter_names: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.kinematics, self.degree = kinematics, degree
        self.parameter_names = tuple(parameter_names)
        q, p = component_count(kinematics), len(parameter_names)
        if degree < 2 or term_count(q, p, degree) > MOST_TERMS:
            raise InputError(
                f"polynomial of degree {degree} in {q} components and {p} parameters; expected at "
                f"least 2 and at most {MOST_TERMS} terms: lower the degree"
            )
        self.monomials = Monomials(q, p, degree)
        self.scaling = Scaling(p)
        terms = len(self.monomials.degrees)
        self.register_buffer("coefficients", torch.zeros(terms, dtype=torch.float64))
        self.register_buffer("growth", torch.zeros(self.scaling.terms, 2, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(q, 1, dtype=torch.float64))

    def forward(
        self,
        strain: Tensor,  # (n, m)
        state: Tensor | None = None,
        dt: float = 1.0,
        *,
        parameters: Tensor | None = None,  # (n, p)
        tangent: bool = True,
        sensitivity: bool = False,
    ) -> NetworkResponse:
        """Return energy, stress and derivatives for admissible strains."""
        dtype, gdim = self.scale.dtype, self.kinematics.gdim
        finite = self.kinematics.measure == "finite"
        columns = strain.T.contiguous()
        e = components(self.kinematics, columns).to(dtype)
        columns = columns.to(dtype)
        x, inverse = biot_strain(e, gdim) if finite else (e, None)
        z = self.scaling(parameters, e)  # (p, n)
        monomials = self.monomials(torch.cat([x / self.scale, z]))
        energy = (self._rows("value") @ monomials)[0]
        first = self._rows("first") @ monomials / self.scale
        second = None
        if tangent:
            second = full(self._rows("second") @ monomials, len(x))
            second = second / self.scale[:, None] / self.scale
        if inverse is not None:
            first, second = pull_back(inverse, first, second, gdim)
            factors, _ = self.scaling.quadratics(z)
            growth = self.growth.T @ factors  # (2, n)
            extra, extra_first, extra_second = growth_terms(e, growth, gdim, second=tangent)
            energy, first = energy + extra, first + extra_first
            second = None if second is None else second + extra_second
        stress, tangents = push_forward(self.kinematics, columns, first, second)
        return NetworkResponse(
            stress.T.contiguous(),
            None if tangents is None else tangents.permute(2, 0, 1).contiguous(),
            energy,
            sensitivity=(
                self._sensitivity(columns, e, z, inverse, monomials) if sensitivity else None
            ),
        )

    def _rows(self, name: str) -> Tensor:  # (r, M)
        return self.monomials.derivative(name, self.coefficients)

    def _sensitivity(
        self,
        columns: Tensor,  # (m, n)
        e: Tensor,  # (q, n)
        z: Tensor,  # (p, n)
        inverse: Tensor | None,  # (q, q, n)
        monomials: Tensor,  # (M, n)
    ) -> Tensor:  # (n, m, p)
        """Return d stress / d parameters."""
        gdim, p = self.kinematics.gdim, len(z)
        slopes = (self._rows("mixed") @ monomials).reshape(len(e), p, e.shape[1])
        found = torch.zeros(len(columns), p, e.shape[1]).to(columns)
        _, factors = self.scaling.quadratics(z)  # (f, p, n)
        for j, width in enumerate(self.scaling.width):
            first = slopes[:, j] / self.scale
            if inverse is not None:
                first, _ = pull_back(inverse, first, None, gdim)
                growth = self.growth.T @ factors[:, j]
                first = first + growth_terms(e, growth, gdim, second=False)[1]
            found[:, j] = push_forward(self.kinematics, columns, first / width, None)[0]
        return found.permute(2, 0, 1).contiguous()

    def architecture(self) -> dict[str, Any]:
        """Return the constructor's arguments but the Kinematics."""
        return {"degree": self.degree, "parameters": list(self.parameter_names)}

    @classmethod
    def from_architecture(
        cls, kinematics: Kinematics, facts: Mapping[str, Any]
    ) -> PolynomialEnergy:
        """Return a polynomial that waits for its coefficients."""
        degree = checked_count(facts, "degree")
        return cls(kinematics, degree, parameter_names=checked_names(facts))


def term_count(inputs: int, parameters: int, degree: int) -> int:
    """Return how many monomials up to a degree are at least quadratic in the inputs."""
    every = comb(inputs + parameters + degree, degree)
    without = comb(parameters + degree, degree)
    return every - without - inputs * comb(parameters + degree - 1, degree - 1)
