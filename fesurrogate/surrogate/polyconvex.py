"""The polyconvex network: an energy whose minimisers exist, elliptic at every strain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.convex import ConvexPerceptron
from fesurrogate.surrogate.network import Network, NetworkResponse, checked_widths
from fesurrogate.surrogate.objective import component_count, components, push_forward
from fesurrogate.surrogate.polynomial import Polynomial, PolynomialMap, total
from fesurrogate.surrogate.symmetry import Tensor2, projected, tensor_of_components


@final
class PolyconvexNetwork(Network):
    """W(F) = w [N(x) - N(0) + E : (t I - S) - (t + s) (J - 1) + g/2 (J² - 1 - 2 ln J)].

    N is convex and does not decrease in x = y / scale, where y are |F a|² - 1 and, in 3D,
    |cof F a|² - 1 for fixed directions a, and ±(J - 1). So N is polyconvex (J. M. Ball, Arch.
    Ration. Mech. Anal. 63 (1977) 337-403) and objective. Its stress at rest, S + s I with S from
    the |·|², is taken away by terms that are polyconvex themselves: as S is positive
    semidefinite, so is t I - S with t = tr S, and E : (t I - S) is convex in F. (Linden et al.,
    J. Mech. Phys. Solids 179 (2023) 105363, do this for invariants of some symmetries; this form
    serves any directions.) The last term grows without bound as J → 0.

    Args:
        kinematics: Finite strain.
        hidden: Widths of the hidden layers.
        seed: Seed of the initial weights.

    Attributes:
        scale: Buffer (k + 2, 1), typical size of each of y in the data.
        energy_scale: Buffer (), w.

    Raises:
        InputError: A width is not positive, or no finite strain.
    """

    scale: Tensor
    energy_scale: Tensor

    def __init__(
        self, kinematics: Kinematics, hidden: Sequence[int] = (32, 32), *, seed: int = 0
    ) -> None:
        super().__init__()
        if not hidden or not all(isinstance(width, int) and width > 0 for width in hidden):
            raise InputError(f"hidden is {hidden!r}; expected one or more widths > 0")
        if kinematics.measure != "finite":
            raise InputError(f"polyconvexity is a property at finite strain; got {kinematics}")
        self.kinematics, self.hidden = kinematics, tuple(hidden)
        found = _polyconvex_squares(kinematics.gdim)
        self.squares = PolynomialMap(found, component_count(kinematics))
        self.perceptron = ConvexPerceptron(len(found) + 1, hidden, seed=seed)
        self.growth = nn.Parameter(torch.zeros((), dtype=torch.float64))  # of g = softplus
        self.register_buffer("scale", torch.ones(len(found) + 1, 1, dtype=torch.float64))
        self.register_buffer("energy_scale", torch.ones((), dtype=torch.float64))

    def features(
        self,
        e: Tensor,  # (q, n)
        *,
        second: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # (k + 2, n), (k + 2, q, n), (k + 2, q, q, n)
        """Return y and its derivatives by e; the last two are J - 1 and 1 - J.

        J² = det C gives J' = (det C)' / 2J and J'' = (det C)'' / 2J - (det C)' ⊗ (det C)' / 4J³.
        """
        value, first, curvature = self.squares(e, second=second)
        jacobian = torch.sqrt(1.0 + value[-1])
        above_one = value[-1] / (1.0 + jacobian)
        slope = first[-1] / (2.0 * jacobian)  # (q, n)
        y = torch.cat([value[:-1], above_one[None], -above_one[None]])
        first = torch.cat([first[:-1], slope[None], -slope[None]])
        if curvature is None:
            return y, first, None
        bend = curvature[-1] / (2.0 * jacobian) - slope[:, None] * slope[None] / jacobian
        return y, first, torch.cat([curvature[:-1], bend[None], -bend[None]])

    def forward(
        self,
        strain: Tensor,  # (n, m)
        state: Tensor | None = None,
        dt: float = 1.0,
        *,
        parameters: Tensor | None = None,
        tangent: bool = True,
        sensitivity: bool = False,
    ) -> NetworkResponse:
        """Return energy, stress and tangent of admissible strains."""
        columns = strain.T.contiguous()
        e = components(self.kinematics, columns).to(self.scale.dtype)
        y, slope, curvature = self.features(e, second=tangent)
        value, gradient, hessian = self.perceptron(y / self.scale, second=tangent)
        rest = torch.zeros_like(e[:, :1])
        y0, slope0, _ = self.features(rest, second=False)
        value0, gradient0, _ = self.perceptron(y0 / self.scale, second=False)
        gradient0 = gradient0 / self.scale  # (k + 2, 1)
        unit = rest.clone()
        unit[: self.kinematics.gdim] = 1.0  # I in Mandel components, (q, 1)
        stress0 = (gradient0[:-2, None] * slope0[:-2]).sum(0)  # S, (q, 1)
        trace = (unit * stress0).sum()
        lifted = trace * unit - stress0  # t I - S
        spherical = trace + (gradient0[-2] - gradient0[-1]).sum()  # t + s
        above_one, slope_j = y[-2], slope[-2]  # J - 1 and J'
        jacobian, g = 1.0 + above_one, softplus(self.growth)
        energy = value - value0 + (lifted * e).sum(0) - spherical * above_one
        energy = energy + g * (0.5 * above_one * (2.0 + above_one) - torch.log1p(above_one))
        along_j = g * (jacobian - 1.0 / jacobian) - spherical  # (n,)
        first = ((gradient / self.scale)[:, None] * slope).sum(0) + lifted + along_j * slope_j
        second = None
        if hessian is not None and curvature is not None:
            weighted = hessian / (self.scale * self.scale.T)[:, :, None]
            half = torch.einsum("kln,lqn->kqn", weighted, slope)
            second = torch.einsum("kpn,kqn->pqn", slope, half)
            second = second + ((gradient / self.scale)[:, None, None] * curvature).sum(0)
            second = second + along_j * curvature[-2]
            second = second + g * (1.0 + jacobian**-2) * slope_j[:, None] * slope_j[None]
            second = self.energy_scale * second
        stress, moduli = push_forward(
            self.kinematics, columns.to(e.dtype), self.energy_scale * first, second
        )
        return NetworkResponse(
            stress.T.contiguous(),
            None if moduli is None else moduli.permute(2, 0, 1).contiguous(),
            self.energy_scale * energy,
        )

    def architecture(self) -> dict[str, Any]:
        """Return the constructor's arguments but the Kinematics and the seed."""
        return {"hidden": list(self.hidden)}

    @classmethod
    def from_architecture(
        cls, kinematics: Kinematics, facts: Mapping[str, Any]
    ) -> PolyconvexNetwork:
        """Return a network that waits for its weights."""
        return cls(kinematics, checked_widths(facts))


def _polyconvex_squares(gdim: int) -> list[Polynomial]:
    """Return |F a|² - 1, in 3D |cof F a|² - 1, and last det C - 1, as polynomials of e.

    The directions are the axes and the diagonals between them.
    """
    strain = tensor_of_components(gdim)
    q = gdim * (gdim + 1) // 2
    one, nothing = Polynomial.constant(1.0, q), Polynomial({})
    c = [
        [2.0 * strain[i][j] + (one if i == j else nothing) for j in range(gdim)]
        for i in range(gdim)
    ]
    directions = [[float(k == i) for k in range(gdim)] for i in range(gdim)]
    for i, j in combinations(range(gdim), 2):
        for sign in (1.0, -1.0):
            both = [0.0] * gdim
            both[i], both[j] = math.sqrt(0.5), sign * math.sqrt(0.5)
            directions.append(both)
    cofactor = _cofactor(c)
    determinant = total([c[0][j] * cofactor[0][j] for j in range(gdim)])
    tensors = [c] if gdim == 2 else [c, cofactor]  # in 2D |cof F a| is |F b|, b normal to a
    squares = [projected(tensor, a) - one for tensor in tensors for a in directions]
    return [*squares, determinant - one]


def _cofactor(c: Tensor2) -> Tensor2:
    """Return the cofactor of a symmetric tensor."""
    if len(c) == 2:
        return [[c[1][1], -1.0 * c[0][1]], [-1.0 * c[1][0], c[0][0]]]

    def minor(i: int, j: int) -> Polynomial:
        r, s, u, v = (i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3
        return c[r][u] * c[s][v] - c[r][v] * c[s][u]

    return [[minor(i, j) for j in range(3)] for i in range(3)]
