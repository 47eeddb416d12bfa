"""The representative volume element as a Material: the exact microscale answer."""

from __future__ import annotations

import copy
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final, get_args

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material, Response
from fesurrogate.micro.boundary import Boundary
from fesurrogate.micro.cells.cell import Cell
from fesurrogate.micro.condensation import CellProblem
from fesurrogate.micro.guess import InitialGuess, Previous
from fesurrogate.micro.localise import Localiser, MicroFields
from fesurrogate.micro.phases import Phase
from fesurrogate.micro.reports import CellReports
from fesurrogate.micro.strain import rotation_of

SMALLEST_PART = 1 / 16  # of the strain, where it is applied in parts


@final
class RVEMaterial(Material):
    """Stress and consistent tangent of a cell in equilibrium.

    The hint of a point is its last fluctuation, so that Newton starts from there, and what a
    better guess keeps besides (:meth:`beginning_with`). A solve that fails is repeated from rest
    with the strain applied in parts, a part that fails being halved down to a sixteenth before the
    point is declared failed. At finite strain it is the stretch that is applied in parts, under
    the whole rotation. ``report`` counts ``rve_solves`` and
    ``micro_iterations`` and gives means over the cell's volume, voids included: of the ``energy``
    density (NaN where a phase is a Material that reports none) and, where a phase reports them, of
    ``plastic_strain`` and ``dissipation``. ``negative_pivots`` says in how many directions the
    equilibrium that was found is unstable: none but where the cell has buckled (NaN without a
    tangent, where a phase is a Material, and where a guess spared the factorisation that counts).

    Args:
        cell: The cell; one serves all points of a rank.
        phases: Law of each phase by name: an energy, or any Material, with its history.
        kinematics: Strain measure. A plane cell under that of the solid is a prism in generalised
            plane strain.
        parameters: ``PHASE.NAME`` of the constants of energies that are given a point, as
            parameters; those of Materials are parameters in any case.
        degree: Polynomial degree of the displacement in the cell.
        boundary: Condition on its boundary: ``periodic`` fluctuations, ``linear`` displacement or
            uniform ``traction``.
        rtol: Residual of equilibrium, relative to the residual without fluctuation.
        prefix: Prefix of the PETSc options of the cell's SNES.

    Raises:
        InputError: The phases do not match the cell, or the cell's faces do not match each other.
    """

    def __init__(
        self,
        cell: Cell,
        phases: Mapping[str, Phase | Material],
        kinematics: Kinematics,
        *,
        parameters: Sequence[str] = (),
        degree: int = 2,
        boundary: Boundary = "periodic",
        rtol: float = 1e-8,
        prefix: str = "micro_",
    ) -> None:
        if boundary not in get_args(Boundary):
            raise InputError(
                f"boundary is {boundary!r}; expected one of {', '.join(get_args(Boundary))}"
            )
        if degree < 1:
            raise InputError(f"degree is {degree}; expected 1 or more")
        self.kinematics = kinematics
        self.cell = cell
        self.problem = CellProblem(
            cell,
            phases,
            kinematics,
            degree=degree,
            boundary=boundary,
            rtol=rtol,
            prefix=prefix,
            parameters=parameters,
        )
        self.parameter_names = self.problem.assembly.parameter_names
        self.num_unknowns = self.problem.num_unknowns
        self.guess: InitialGuess = Previous()
        self._compared = 0
        self.num_hint = self.num_unknowns
        self.num_state = self.problem.assembly.num_state
        self._reports = CellReports(self.problem.assembly)
        self._outcome = (False, False, False)  # of the last candidate: taken, refused, repeated
        laws = {name: _description(phase) for name, phase in sorted(phases.items())}
        setting = [repr(kinematics), degree, boundary, rtol, self.parameter_names]
        description = json.dumps([cell.fingerprint, laws, *setting])
        self.fingerprint = hashlib.sha256(description.encode()).hexdigest()[:16]

    def beginning_with(self, guess: InitialGuess, *, compared: int = 0) -> RVEMaterial:
        """Return this Material with another initial guess; both share the cell.

        ``report`` then counts where a guess was better than the classical one and
        ``guess_taken``, or not and ``guess_refused``, and the solves from it that failed and were
        ``guess_repeated`` from the classical one. Where that was in equilibrium there is none.

        Args:
            guess: The guess.
            compared: Of so many points one, drawn by its strain, is solved from the classical guess
                too, and not counted as a solve: where its guess was taken it is
                ``guess_compared``, and ``guess_saved`` are the iterations that the classical one
                takes more. None if 0.

        Raises:
            InputError: It guesses another number of unknowns, or ``compared`` is negative.
        """
        if compared < 0:
            raise InputError(f"compared is {compared}; expected 0, for none, or one in so many")
        strain = np.zeros((0, self.kinematics.size))
        parameters = np.zeros((0, len(self.parameter_names)))
        columns = guess.num_hint(self.num_unknowns)
        hint = np.zeros((0, columns))
        _, guessed = guess.start(strain, parameters, hint, self.num_unknowns)
        if guessed is not None and guessed.shape[1] != self.num_unknowns:
            raise InputError(
                f"the guess is for {guessed.shape[1]} unknowns, but the cell has "
                f"{self.num_unknowns}: train it for this cell"
            )
        other = copy.copy(self)
        other.guess, other.num_hint, other._compared = guess, columns, compared
        return other

    def initial_state(self, n: int) -> Array:
        """Return the state (n, s) of n virgin cells: the states of all points of each."""
        return np.tile(self.problem.assembly.initial_state(), (n, 1))

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        *,
        parameters: Array,
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Solve the cell at each point."""
        n, m = strain.shape
        stress = np.full((n, m), np.nan)
        tangents = np.full((n, m, m), np.nan)
        sensitivities = np.full((n, m, parameters.shape[1]), np.nan)
        new_state, new_hint = state.copy(), np.zeros((n, self.num_hint))
        ok = np.zeros(n, dtype=bool)
        means = {name: np.full(n, np.nan) for name in (*self._reports.names, "energy")}
        negative_pivots = np.full(n, np.nan)
        iterations = np.zeros(n, dtype=np.int64)
        classical, guessed = self.guess.start(strain, parameters, hint, self.num_unknowns)
        names = () if guessed is None else ("guess_taken", "guess_refused", "guess_repeated")
        drawn = self._drawn(strain) if names else np.zeros(n, dtype=bool)
        compared = ("guess_compared", "guess_saved") if names and self._compared else ()
        counts = {name: np.zeros(n, dtype=np.int64) for name in (*names, *compared)}
        admissible = self.kinematics.admissible(strain)
        for i in np.flatnonzero(admissible):
            if not self.problem.set_parameters(parameters[i]):
                continue
            self.problem.start_increment(state[i], dt)
            linear = tangent or sensitivity
            candidate = None if guessed is None else guessed[i]
            usual, solved = 0, False
            if drawn[i]:
                _, usual, solved = self.problem.equilibrate(strain[i], classical[i], tangent=linear)
            q, iterations[i], ok[i] = self._equilibrate(
                strain[i], classical[i], candidate, tangent=linear
            )
            for name, value in zip(names, self._outcome, strict=False):
                counts[name][i] = value
            if solved and ok[i] and self._outcome[0]:
                counts["guess_compared"][i], counts["guess_saved"][i] = 1, usual - iterations[i]
            if not ok[i]:
                continue
            if linear:
                relaxation = None
                if self.guess.guesses_relaxation and self.problem.solver.spared:
                    relaxation = self.guess.relaxation(strain[i], parameters[i], hint[i])
                stress[i], tangents[i] = self.problem.condense(strain[i], q, relaxation=relaxation)
                negative_pivots[i] = self.problem.solver.negative_pivots
            else:
                self.problem.assemble(strain[i], q)
                stress[i] = self.problem.stress()
            kept = self.problem.relaxation if linear else None
            new_hint[i] = self.guess.keep(strain[i], q, kept)
            new_state[i] = self.problem.assembly.state()
            for name, mean in self._reports.means().items():
                means[name][i] = mean
            if sensitivity:
                sensitivities[i] = self.problem.sensitivity()
        report = {
            **means,
            **counts,
            "micro_iterations": iterations,
            "rve_solves": admissible.astype(np.int64),
            "negative_pivots": negative_pivots,
        }
        return Response(
            stress, tangents if tangent else None, new_state, new_hint, ok,
            sensitivities if sensitivity else None, report,
        )  # fmt: skip

    def _drawn(
        self,
        strain: Array,  # (n, m)
    ) -> NDArray[np.bool_]:  # (n,)
        """Return which points are solved from the classical guess too: the same in any batch."""
        each = [self._compared and not zlib.crc32(row.tobytes()) % self._compared for row in strain]
        return np.array(each, dtype=bool)

    def localise(
        self,
        strain: Array,  # (m,)
        state: Array,  # (s,)
        dt: float = 1.0,
        *,
        parameters: Array | None = None,  # (p,)
        hint: Array | None = None,  # (h,)
    ) -> MicroFields:
        """Return the full fields of the cell at one point.

        Args:
            strain: Total macro strain at the end of the increment.
            state: State of the cell at its start.
            dt: Its length.
            parameters: Needed where the Material has any.
            hint: Of the point where it was last evaluated at this strain; it saves the solve.

        Raises:
            InputError: An array has the wrong shape.

        Note:
            Not collective: one rank may ask for a point of its own. The first call compiles.
        """
        sizes = {
            "strain": (strain, self.kinematics.size),
            "state": (state, self.num_state),
            "parameters": (parameters, len(self.parameter_names)),
            "hint": (np.zeros(self.num_hint) if hint is None else hint, self.num_hint),
        }
        rows = {}
        for name, (array, size) in sizes.items():
            rows[name] = np.asarray([] if array is None else array, dtype=np.float64)
            if rows[name].shape != (size,):
                raise InputError(
                    f"localise: {name} has shape {rows[name].shape}; expected ({size},), one point"
                )
        iterations, solved = 0, False
        if self.kinematics.admissible(rows["strain"][None])[0] and self.problem.set_parameters(
            rows["parameters"]
        ):
            self.problem.start_increment(rows["state"], dt)
            (classical,), guessed = self.guess.start(
                rows["strain"][None], rows["parameters"][None], rows["hint"][None],
                self.num_unknowns,
            )  # fmt: skip
            q, iterations, solved = self._equilibrate(
                rows["strain"], classical, None if guessed is None else guessed[0], tangent=False
            )
        if not solved:
            return self._localiser.failed(iterations)
        self.problem.assemble(rows["strain"], q)
        return self._localiser.fields(iterations)

    @cached_property
    def _localiser(self) -> Localiser:
        return Localiser(self.problem, self._reports, self.cell.mesh)

    def _equilibrate(
        self,
        strain: Array,
        guess: Array,
        candidate: Array | None,
        *,
        tangent: bool,
    ) -> tuple[Array, int, bool]:
        problem = self.problem
        q, total, ok = problem.equilibrate(
            strain, guess, candidate=candidate, tangent=tangent,
            columns=self.guess.guesses_relaxation,
        )  # fmt: skip
        taken = problem.taken
        self._outcome = (taken is True, taken is False, taken is True and not ok)
        if taken and not ok:
            q, more, ok = problem.equilibrate(strain, guess, tangent=tangent)
            total += more
        if ok:
            return q, total, True
        reached, part, q = 0.0, 1.0 if guess.any() else 0.5, np.zeros(self.num_unknowns)
        while reached < 1.0:
            moved = partial_strain(self.kinematics, strain, reached + part)
            trial, iterations, ok = self.problem.equilibrate(moved, q, tangent=tangent)
            total += iterations
            if ok:
                reached, q = reached + part, trial
            elif part > SMALLEST_PART:
                part /= 2
            else:
                return q, total, False
        return q, total, True


def partial_strain(
    kinematics: Kinematics,
    strain: Array,  # (m,)
    fraction: float,
) -> Array:  # (m,)
    """Return the strain on the way from rest, at 0, to a strain, at 1.

    At finite strain F = R U it is R (1 + fraction (U - 1)), so that an observer who turns sees the
    same way turned; the straight one from 1 to a half turn passes det F = 0.
    """
    rotation = rotation_of(kinematics, strain)
    rest = kinematics.rest if rotation is None else rotation.ravel()
    return np.asarray(strain - (1 - fraction) * (strain - rest))


def _description(value: Any) -> Any:
    """Return what a phase's answers depend on, as JSON can say it: the same in every process."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _description(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_description(item) for item in value]
    if callable(value) and hasattr(value, "__code__"):
        return [value.__qualname__, value.__code__.co_code.hex(), repr(value.__code__.co_names)]
    kind = type(value).__qualname__
    if isinstance(value, RVEMaterial):
        return [kind, value.fingerprint]
    if hasattr(value, "__dict__"):
        return [kind, _description(vars(value))]
    return [kind, repr(value)]
