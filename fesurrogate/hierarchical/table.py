"""The Material that looks its stiffness, or its stress over strain, up."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.strains import mandel_factors, strain_columns, stretch_of
from fesurrogate.hierarchical.tabulation import STIFFNESS, Tabulation
from fesurrogate.kinematics import Array, BoolArray
from fesurrogate.material import Material, Response, masked


@final
class Table(Material):
    """Stress from a table: over strain, or as stiffness(parameters) · strain.

    Where the axes hold the strain, the table's ``stress`` is looked up at it, at finite strain at
    the stretch U, which the rotation then turns: the answer is objective. Otherwise it is the
    ``stiffness`` (``conductivity``) that is looked up, symmetric and positive definite wherever the
    entries are. The other axes are the parameters of the points.

    A point outside of the axes fails, as does one beside an entry that could not be computed;
    nothing is extrapolated. ``report`` gives ``outside``, 1 where a point is outside of an axis,
    and ``energy``: over strain where the table holds it.

    The tangent is the derivative of what is looked up, and so are the sensitivities: of multilinear
    interpolation, at a value of an axis, that of the side above.

    Args:
        tabulation: With ``stress`` over strain; or without strain as axes, of a small strain with
            ``stiffness``, or of a gradient with ``conductivity``.

    Raises:
        InputError: The table holds neither.
        MissingPackageError: scipy, or for a table over finite strain torch, is not installed.
    """

    def __init__(self, tabulation: Tabulation) -> None:
        kinematics = tabulation.kinematics
        self._strain = strain_columns(kinematics, tabulation.axes)
        stiffness, size = STIFFNESS.get(kinematics.measure, "stress"), kinematics.size
        name = "stress" if self._strain else stiffness
        shape = (len(self._strain),) if self._strain else (size, size)
        if name not in tabulation.names or (name == "stress" and not self._strain):
            raise InputError(
                f"Table: the table of {kinematics} over "
                f"{', '.join(axis.name for axis in tabulation.axes)} holds "
                f"{', '.join(tabulation.names) or 'nothing'}; expected {name!r}: add it to "
                f"quantities of [precompute]{'' if self._strain else ', or strain to its axes'}"
            )
        if tabulation.trailing(name) != shape:
            raise InputError(
                f"Table: an entry of {name} has shape {tabulation.trailing(name)}; expected "
                f"{shape} for {kinematics}"
            )
        self.kinematics = kinematics
        self.tabulation = tabulation
        self._others = [k for k in range(len(tabulation.axes)) if k not in self._strain]
        parameters = [tabulation.axes[k] for k in self._others]
        self.parameter_names = tuple(axis.name for axis in parameters)
        self.parameter_ranges = {axis.name: axis.range for axis in parameters}
        self._way = tabulation.way(name)
        self._middle = np.array([0.5 * sum(axis.range) for axis in tabulation.axes])

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Look up what the points need."""
        ok = self.kinematics.admissible(strain)
        safe = np.where(ok[:, None], strain, self.kinematics.rest)
        answer = self._over_strain if self._strain else self._by_stiffness
        stress, moduli, derivative, report = answer(
            safe, parameters, ok, tangent=tangent, sensitivity=sensitivity
        )
        return masked(
            Response(
                stress, moduli, state.copy(), hint.copy(), np.ones(len(strain), dtype=bool),
                derivative, report,
            ),
            ok,
        )  # fmt: skip

    def _by_stiffness(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        ok: BoolArray,  # (n,), narrowed
        *,
        tangent: bool,
        sensitivity: bool,
    ) -> tuple[Array, Array | None, Array | None, dict[str, Array]]:
        """Multiply; the energy is ½ strain · stress."""
        points, outside = self._placed(parameters, ok)
        moduli, slopes = self._way.evaluate(points, slopes=sensitivity)
        stress = (moduli @ strain[:, :, None])[:, :, 0]
        derivative = None if slopes is None else np.einsum("nijp,nj->nip", slopes, strain)
        energy = np.where(ok, 0.5 * np.einsum("ni,ni->n", strain, stress), np.nan)
        report = {"energy": energy, "outside": outside}
        return stress, moduli if tangent else None, derivative, report

    def _over_strain(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        ok: BoolArray,  # (n,), narrowed
        *,
        tangent: bool,
        sensitivity: bool,
    ) -> tuple[Array, Array | None, Array | None, dict[str, Array]]:
        """Take the stress and its slopes from the axes of strain to the strain."""
        finite = self.kinematics.measure == "finite"
        turned = stretch_of(self.kinematics, strain) if finite else None
        x = strain if turned is None else turned.components
        factor = mandel_factors(self.kinematics)
        given = np.empty((len(strain), len(self._middle)))
        given[:, self._strain], given[:, self._others] = x / factor, parameters
        points, outside = self._placed(given, ok)
        first, slopes = self._way.evaluate(points, slopes=tangent or sensitivity)
        second = None
        if tangent and slopes is not None:
            second = slopes[:, :, self._strain] / factor
        stress, moduli = (first, second) if turned is None else turned.stress(first, second)
        derivative = None
        if sensitivity and slopes is not None:
            derivative = np.empty((*stress.shape, len(self._others)))
            for k, column in enumerate(self._others):
                rate = np.ascontiguousarray(slopes[:, :, column])
                derivative[:, :, k] = rate if turned is None else turned.stress(rate)[0]
        report = {"outside": outside}
        if "energy" in self.tabulation.names:
            energy = self.tabulation.way("energy").evaluate(points)[0].reshape(-1)
            report["energy"] = np.where(ok, energy, np.nan)
        return stress, moduli, derivative, report

    def _placed(
        self,
        points: Array,  # (n, p)
        ok: BoolArray,  # (n,), narrowed
    ) -> tuple[Array, Array]:  # (n, p), (n,)
        """Return points that can be looked up, and where those given are outside."""
        outside = ~self.tabulation.inside(points)
        ok &= self.tabulation.known(points)
        safe = points if ok.all() else np.where(ok[:, None], points, self._middle)
        return safe, outside.astype(np.float64)
