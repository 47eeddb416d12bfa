"""A cell whose maker's numbers are parameters of the points: volume fraction, layers, gaps."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import ConvergenceError, InputError, MissingPackageError
from fesurrogate.hierarchical.quantities import Quantity
from fesurrogate.hierarchical.solved import SolvedCell
from fesurrogate.hierarchical.yield_strain import yields
from fesurrogate.kinematics import Array, BoolArray, Kinematics
from fesurrogate.material import Material, Response
from fesurrogate.micro import RVEMaterial

logger = logging.getLogger(__name__)
KEPT = 32
"""Cells that are kept with all that was compiled and factorised for them."""

Make = Callable[[tuple[float, ...], Kinematics], RVEMaterial]
"""Makes the cell of some numbers, under some kinematics."""


@final
class CellFamily(Material):
    """Cells without history that are made anew where their numbers change, and solved.

    Parameters are numbers of the cell and those of its phases. Points of equal numbers share a
    cell. A point whose cell cannot be made fails. Where quantities are asked for, phases may yield:
    the cell is virgin.

    ``report`` gives ``energy``, ``rve_solves``, ``micro_iterations`` and the quantities that were
    asked for, of the cell at rest; a point fails where one of them cannot be computed.

    Args:
        make: Makes the cells.
        numbers: Names of the cell's numbers, with the values of a cell that can be made.
        order: Names of the parameters in the order of their columns; others of phases follow.
        kinematics: The strain measure.
        quantities: By the name of their report.
        expansion: Thermal expansion of each phase, for quantities that need it.
        directions: (k, m), strains of norm 1, for quantities by direction; the unit strains if
            None.
        probe: (p,), parameters of a cell that shows the shapes of the quantities.
        fingerprint: Of the cells.

    Raises:
        InputError: That cell cannot be made or has history, or a quantity cannot be computed of it.

    Note:
        There is no sensitivity by the numbers of the cell: other numbers are another mesh.
    """

    def __init__(
        self,
        make: Make,
        numbers: Mapping[str, float],
        kinematics: Kinematics,
        *,
        order: Sequence[str] = (),
        quantities: Mapping[str, Quantity] | None = None,
        expansion: Mapping[str, float] | None = None,
        directions: Array | None = None,  # (k, m)
        probe: Sequence[float] = (),
        fingerprint: str = "",
    ) -> None:
        self.kinematics, self.fingerprint = kinematics, fingerprint
        self.numbers = tuple(numbers)
        self._make, self._quantities = make, dict(quantities or {})
        self._expansion = dict(expansion or {})
        self._directions = np.eye(kinematics.size) if directions is None else directions
        self._made: OrderedDict[tuple[float, ...], dict[Kinematics, RVEMaterial]] = OrderedDict()
        first = self._cell(tuple(numbers.values()), kinematics)
        names = (*self.numbers, *first.parameter_names)
        self.parameter_names = (*order, *(name for name in names if name not in order))
        self._columns = [self.parameter_names.index(name) for name in names]
        lasting = {
            name
            for name, field in first.problem.assembly.fields.items()
            if field.material.num_state and not (self._quantities and yields(field.material))
        }
        if lasting:
            raise InputError(
                f"{', '.join(self.numbers) or 'a table'}: phase {', '.join(sorted(lasting))} has "
                "history; expected phases without, such as kind 'linear_elastic'"
            )
        lacking = self.parameter_names[len(probe) :]
        if self._quantities and lacking:
            raise InputError(
                f"the cell needs {', '.join(lacking)} beside {', '.join(order)}: add an axis of it"
            )
        self._shapes: dict[str, tuple[int, ...]] = {}
        if self._quantities:
            self._shapes = self._probed(np.array(probe, dtype=np.float64)[self._columns])

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
        """Solve each point in the cell of its numbers."""
        n, m = strain.shape
        k = len(self.numbers)
        if sensitivity and k:
            raise InputError(
                f"there is no derivative by {', '.join(self.numbers)}, which make another mesh of "
                'the cell; take kind = "table", whose interpolant has one'
            )
        stress = np.full((n, m), np.nan)
        moduli = np.full((n, m, m), np.nan) if tangent else None
        slopes = np.full((n, m, parameters.shape[1]), np.nan) if sensitivity else None
        ok: BoolArray = np.zeros(n, dtype=np.bool_)
        report: dict[str, NDArray] = {
            "energy": np.full(n, np.nan),
            "rve_solves": np.zeros(n, dtype=np.int64),
            "micro_iterations": np.zeros(n, dtype=np.int64),
        }
        ordered = np.ascontiguousarray(parameters[:, self._columns])
        own = [_row(row) for row in ordered[:, :k]]
        for numbers in sorted(set(own)):
            rows = np.array([i for i, each in enumerate(own) if each == numbers])
            rve = self._cell_or_none(numbers)
            if rve is None:
                continue
            answer = rve.evaluate(
                strain[rows], dt=dt, parameters=np.ascontiguousarray(ordered[rows, k:]),
                tangent=tangent, sensitivity=sensitivity,
            )  # fmt: skip
            stress[rows], ok[rows] = answer.stress, answer.ok
            if moduli is not None:
                moduli[rows] = answer.tangent
            if slopes is not None:
                slopes[rows] = answer.sensitivity
            for name, array in report.items():
                array[rows] = answer.report[name]
        self._add_quantities(ordered, ok, report)
        stress[~ok] = np.nan
        for derivative in (moduli, slopes):
            if derivative is not None:
                derivative[~ok] = np.nan
        return Response(stress, moduli, state.copy(), hint.copy(), ok, slopes, report)

    def _add_quantities(self, parameters: Array, ok: BoolArray, report: dict[str, NDArray]) -> None:
        """Put the quantities of each point into the report; narrow ``ok`` where there are none."""
        if not self._quantities:
            return
        n, found = len(parameters), {}
        for i in np.flatnonzero(ok):
            try:
                found[i] = self._computed(parameters[i])
            except ConvergenceError as error:
                logger.info("%s: %s", self._said(parameters[i]), error)
                ok[i] = False
        for name, shape in self._shapes.items():
            report[name] = np.full((n, *shape), np.nan)
            for i, values in found.items():
                report[name][i] = values[name]

    def _probed(self, parameters: Array) -> dict[str, tuple[int, ...]]:
        """Return the shape of every quantity, from the cell of some parameters."""
        try:
            return {name: array.shape for name, array in self._computed(parameters).items()}
        except ConvergenceError as error:
            raise InputError(
                f"the cell of {self._said(parameters)} cannot be solved ({error}); expected one "
                "that can in the middle of the axes"
            ) from error

    def _computed(
        self,
        parameters: Array,  # (p,), the numbers first
    ) -> dict[str, Array]:
        """Return the quantities of one cell; raise ConvergenceError where it has none."""
        k = len(self.numbers)
        numbers = _row(parameters[:k])
        solid = Kinematics(3, self.kinematics.measure)
        cell = SolvedCell(
            self._cell(numbers, self.kinematics),
            lambda: self._cell(numbers, solid),
            np.ascontiguousarray(parameters[k:]),
            self._expansion,
            self._directions,
        )
        values = {name: np.asarray(f(cell), np.float64) for name, f in self._quantities.items()}
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise ConvergenceError(f"{name} is not finite")
            if value.shape != self._shapes.get(name, value.shape):
                raise InputError(
                    f"{name} has shape {value.shape} for {self._said(parameters)}; expected "
                    f"{self._shapes[name]}, the same for all points"
                )
        return values

    def _cell_or_none(self, numbers: tuple[float, ...]) -> RVEMaterial | None:
        """Return the cell of some numbers, or None where there is none."""
        try:
            return self._cell(numbers, self.kinematics)
        except MissingPackageError:
            raise
        except InputError as error:
            logger.info("no cell of %s: %s", ", ".join(map(str, numbers)), error)
            return None

    def _cell(self, numbers: tuple[float, ...], kinematics: Kinematics) -> RVEMaterial:
        views = self._made.setdefault(numbers, {})
        self._made.move_to_end(numbers)
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        if kinematics not in views:
            views[kinematics] = self._make(numbers, kinematics)
        return views[kinematics]

    def _said(self, parameters: Array) -> str:
        names = [self.parameter_names[k] for k in self._columns]
        pairs = zip(names, _row(parameters), strict=True)
        return ", ".join(f"{name} = {value:.6g}" for name, value in pairs)


def _row(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
