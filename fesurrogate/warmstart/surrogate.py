"""The unknown of an increment as a surrogate solves it, set right by what the answer was so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from fesurrogate.combine import Corrected
from fesurrogate.errors import InputError
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.problem import HELD, MacroProblem
from fesurrogate.kinematics import Array

SHARE = 0.1
"""Of a tolerance, to which the surrogate leads: there Newton's last step mostly ends far below the
tolerance; what ends just below it, from a good start, may differ in the ninth digit."""

FALL = 0.2
"""Of the residual, below which the surrogate must lead for it to be asked again; else Newton's
method goes on, which does as well."""


@final
class Led:
    """A problem that a surrogate leads: it is set right where the problem stands, then solved.

    There it answers as the problem's Materials do
    (:class:`~fesurrogate.combine.corrected.Corrected`), so that where it leads lacks only the
    difference of two curvatures: a Newton step that knows the curvature of the law. Its states
    follow the strains that the problem accepts, and never its own.

    It is a :class:`~fesurrogate.fem.stepping.Predictor` of the problem.

    Args:
        direct: The problem.
        surrogate: Of the same space and conditions, and of the same regions in the same order;
            its fields carry Corrected Materials.
        apply_load: Sets loads and boundary values of the surrogate's problem for a time.

    Attributes:
        surrogate: Its problem.
        apply_load: As given.
        time: Of its states; None before the first increment.
        leads: How often it has led so far.

    Raises:
        InputError: Other fields.

    Note:
        Every method is collective.
    """

    def __init__(
        self,
        direct: MacroProblem,
        surrogate: MacroProblem,
        apply_load: Callable[[float], None],
    ) -> None:
        self._direct, self.surrogate, self.apply_load = direct, surrogate, apply_load
        self._materials: list[Corrected] = []
        for field in surrogate.fields:
            if not isinstance(field.material, Corrected):
                raise InputError(
                    f"Led: a field of the surrogate's problem carries "
                    f"{type(field.material).__name__}; expected Corrected"
                )
            self._materials.append(field.material)
        if len(direct.fields) != len(surrogate.fields):
            raise InputError(
                f"Led: {len(surrogate.fields)} fields for a problem of {len(direct.fields)}; "
                "expected one for each"
            )
        self._states = [field.state for field in surrogate.fields]  # each (n, s)
        self._lines: list[Array] = []  # each (n, num_line), of what was accepted; none if unknown
        self.time: float | None = None
        self.leads = 0

    def lead(self, dt: float, *, atol: float) -> tuple[float, ...]:
        """Move the direct problem's u to where the surrogate leads from it.

        Args:
            dt: Length of the increment from the surrogate's states.
            atol: Residual norm to which the surrogate's problem is solved.

        Returns:
            Residual norms of the way, of which the first is the direct one; none, and u unmoved,
            where it fails.
        """
        direct = self._direct
        if direct.stopped() or direct.update() or self._ask(dt):
            return ()
        return self._follow(self._differences(), dt, atol)

    def predict(self, time: float) -> Array | None:  # (owned and ghost unknowns,)
        """Return the unknown to which the surrogate leads from the accepted one; None if it fails.

        The direct problem is at its accepted unknown, under the load of ``time``. It is led on, for
        one answer of its Materials each time, while that pays.
        """
        direct, guess = self._direct, None
        assert self.time is not None, "predict() before any accept()"
        self.apply_load(time)
        norm, dt = direct.standing_residual(direct.dt), time - self.time
        tolerance = max(direct.relative_tolerance * norm, HELD * direct.largest_residual)
        if norm <= tolerance:
            return None
        way = (
            self._follow(self._lines, dt, SHARE * tolerance)
            if self._lines
            else self.lead(dt, atol=SHARE * tolerance)
        )
        while way:
            led = direct.u.x.array.copy()
            found = direct.initial_residual(direct.dt)
            if guess is None or found < norm:
                guess = led
            if not tolerance < found <= FALL * norm:
                break
            norm, way = found, self.lead(dt, atol=SHARE * tolerance)
        return guess

    def accept(self, time: float, unknown: Array) -> None:
        """Let the surrogate follow the direct problem to what it accepted at a time.

        Its states follow the strains, and it is set right by the stresses and tangents. Where it
        fails there, its states stay where they are, and its next increment is a longer one.
        """
        if self.time is not None and time > self.time:
            self._lines = []
            if self._ask(time - self.time):
                return
            self._lines = self._differences()
            answers = [field.response for field in self.surrogate.fields]
            self._states = [answer.state for answer in answers if answer is not None]
        self.time = time

    def kept(self) -> tuple[dict[str, Any], list[tuple[MaterialField, Array]]]:
        """Return what a checkpoint keeps: facts, and rows (n, s) of the points of the fields.

        Collective.
        """
        lines: list[Any] = [*self._lines] or [None] * len(self._materials)
        rows = [
            (field, material.with_lines(state, line))
            for field, material, state, line in zip(
                self.surrogate.fields, self._materials, self._states, lines, strict=True
            )
        ]
        facts = {"time": self.time, "leads": self.leads, "lines": bool(self._lines)}
        return {**facts, "counts": self.counts()}, rows

    def counts(self) -> dict[str, int]:
        """Return what leading has cost, summed over fields and ranks: its integer reports.

        Collective.
        """
        comm, total = self.surrogate.u.function_space.mesh.comm, Counter[str]()
        for own in comm.allgather([field.tally.counts for field in self.surrogate.fields]):
            for counts in own:
                total.update(counts)  # their sum by + would lack what is negative
        return dict(total)

    def resume(self, facts: Mapping[str, Any], rows: Sequence[Array]) -> None:
        """Go on from what :meth:`kept` gave."""
        self.time, self.leads = float(facts["time"]), int(facts["leads"])
        self._states = list(rows)
        pairs = zip(rows, self._materials, strict=True)
        lines = [row[:, material.surrogate.num_state :] for row, material in pairs]
        self._lines = lines if facts["lines"] else []
        if self.surrogate.u.function_space.mesh.comm.rank == 0:
            spent = {str(name): int(count) for name, count in facts.get("counts", {}).items()}
            self.surrogate.fields[0].tally.counts.update(spent)

    def _ask(self, dt: float) -> int:
        """Evaluate the surrogate, without lines, at the direct u; return the failed points."""
        surrogate = self.surrogate
        surrogate.u.x.array[:], surrogate.dt = self._direct.u.x.array, dt
        for field, material, state in zip(
            surrogate.fields, self._materials, self._states, strict=True
        ):
            field.start_increment(material.with_lines(state, None))
        return surrogate.update()

    def _differences(self) -> list[Array]:  # each (n, num_line)
        """Return the lines by which the direct answers differ from those of the surrogate."""
        lines = []
        for exact, field, material in zip(
            self._direct.fields, self.surrogate.fields, self._materials, strict=True
        ):
            assert exact.response is not None and field.response is not None
            lines.append(material.lines(exact.current_strain(), exact.response, field.response))
        return lines

    def _follow(self, lines: list[Array], dt: float, atol: float) -> tuple[float, ...]:
        """Solve the surrogate's problem with lines from the direct u, and move that there."""
        direct, surrogate = self._direct, self.surrogate
        for field, material, state, line in zip(
            surrogate.fields, self._materials, self._states, lines, strict=True
        ):
            field.start_increment(material.with_lines(state, line))
        surrogate.u.x.array[:] = direct.u.x.array
        way = surrogate.solve(dt, atol=atol)
        if not way.converged:
            return ()
        direct.u.x.array[:] = surrogate.u.x.array
        self.leads += 1
        return way.residual_norms
