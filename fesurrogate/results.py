"""What a run reports: the content of ``results.json``, a stable interface (docs/config.md)."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

FORMAT = 1
"""Raised when a key changes its meaning or goes; keys may be added at any time."""


LearningOutcome = Literal["waiting", "taken", "refused", "failed"]
"""Of a refinement: too few new samples for one; taken; not taken, as it would have made the model
worse; none came out."""


@dataclass(frozen=True, kw_only=True)
class LearningEntry:
    """What an accepted increment taught a Material that learns.

    Attributes:
        fallen: Points that the reference had answered.
        checked: Points that the surrogate had answered and the reference was asked about after all.
        wrong: Of these, whose stress erred by more than the tolerance.
        samples: Held after the increment, those held out included.
        held_out: Of these, to which no model is fitted.
        rve_solves: Of what was asked when the increment had been accepted.
        outcome: Of the refinement.
        errors: ``held_out`` and ``old`` samples, ``before`` and ``after`` the refinement, joined by
            an underscore: root mean square of |Δstress| over that of |stress|, as far as known.
        note: Why there is no refinement.
        seconds: Time of all this, the longest of any rank; it makes no two entries different.
        region: The first that has the Material.
    """

    fallen: int
    checked: int
    wrong: int
    samples: int
    held_out: int
    rve_solves: int
    outcome: LearningOutcome
    errors: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    seconds: float = field(default=0.0, compare=False)
    region: str = ""


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One accepted increment.

    Attributes:
        time: Load time at its end.
        newton_iterations: Those of failed attempts included.
        residual_norms: Euclidean norms of the attempt that converged, the initial one first.
        reaction: Resultant force of the constraints by name, (d,).
        probes: Displacement by name, (d,).
        fallback: Points of a guarded surrogate that the reference answered, by what doubted them:
            ``expected``, ``deviation``, ``novelty``, ``violation``, or ``latched`` where an
            earlier iterate of the increment did. None without a guard.
        untrusted: Points whose surrogate is not trusted and answered all the same, by what doubted
            them. None where no guard has such a policy.
        guess: What Newton began from: ``previous``, the accepted unknown, where nothing was
            guessed; ``taken``, the guess; ``refused``, not the guess, which was no nearer;
            ``repeated``, first the guess, from which it did not converge.
        learning: What the increment taught each Material that learns; entries as JSON has them
            are taken, too.
    """

    time: float
    newton_iterations: int
    residual_norms: tuple[float, ...]
    reaction: Mapping[str, list[float]]
    probes: Mapping[str, list[float]]
    fallback: Mapping[str, int] | None = None
    untrusted: Mapping[str, int] | None = None
    guess: str = "previous"
    learning: tuple[LearningEntry, ...] = ()

    def __post_init__(self) -> None:
        known = {item.name for item in fields(LearningEntry)}
        entries = tuple(
            entry
            if isinstance(entry, LearningEntry)
            else LearningEntry(**{k: v for k, v in entry.items() if k in known})
            for entry in self.learning
        )
        object.__setattr__(self, "learning", entries)


@dataclass(frozen=True, kw_only=True)
class MicroEntry:
    """The cell at one macro point in one accepted increment.

    Attributes:
        time: Load time at its end.
        region: Whose Material the cell is; ``material`` where no region is.
        point: The macro quadrature point in the undeformed body, (d,).
        cell: Cell of the macro mesh that holds it, numbered as in its file or generator.
        solved: Whether the cell could be solved.
        stress: Frobenius norm of the macro stress.
        largest_stress: Largest norm of the stress in an element of the cell.
        place: Middle of that element, in the coordinates of the cell.
        largest: Largest value in an element of each report of a phase, ``plastic_strain`` say.
    """

    time: float
    region: str
    point: list[float]
    cell: int
    solved: bool
    stress: float
    largest_stress: float
    place: list[float]
    largest: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class MicroResults:
    """Localisation, apart from the run: it is counted in none of the run's figures but time.

    Attributes:
        rve_solves: Cells solved, or found solved.
        micro_iterations: Newton iterations in them.
        files: The increments of each ``micro_NAME.xdmf``, by NAME.
    """

    rve_solves: int
    micro_iterations: int
    files: Mapping[str, tuple[MicroEntry, ...]]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value, and the interval that holds the true one with a probability of 0.95."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class AuditResults:
    """How wrong the surrogate's answers are in the last increment.

    Attributes:
        points: Points at which the reference was solved.
        served: Points that the surrogate had answered behind a guard that says ``audit``, of which
            those were chosen.
        failed: Points at which the reference failed; they count in no estimate.
        stress_error: ∫ |Δσ| dx / ∫ |σ| dx.
        worst: Largest |Δσ| found, over the root mean square of |σ| in the body.
        outputs: By ``reaction NAME AXIS`` or ``probe NAME AXIS``, how much the reference would
            change it, to first order.
    """

    points: int
    served: int
    failed: int
    stress_error: Estimate
    worst: float
    outputs: Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class CertifiedResults:
    """The direct answer, to which the surrogate leads; counted apart from the run.

    Without history at the last load alone, with history in every increment.

    Attributes:
        converged: Whether Newton reached the tolerance of a direct run.
        interrupted: Whether it was stopped before.
        reason: PETSc's word for how it ended; with history what kept it from the end, if anything.
        newton_iterations: Macro iterations.
        residual_norms: Euclidean norms: that of the surrogate's solution, then that of where it
            leads when it is set right, if it does, and of Newton's iterates from there. With
            history those of the last increment.
        leads: How often the surrogate led on, for one answer of the reference at each point.
        rve_solves: Solves of a cell, all ranks.
        micro_iterations: Newton iterations inside the cells.
        reaction: By name; empty unless converged.
        probes: Displacements by name; empty unless converged.
        changes: By ``reaction NAME AXIS`` or ``probe NAME AXIS``, the certified value less the
            surrogate's.
        history: The direct increments, where there is history.
        seconds: Wall time, the longest of any rank.
    """

    converged: bool
    interrupted: bool
    reason: str
    newton_iterations: int
    residual_norms: tuple[float, ...]
    leads: int
    rve_solves: int
    micro_iterations: int
    reaction: Mapping[str, list[float]]
    probes: Mapping[str, list[float]]
    changes: Mapping[str, float]
    history: tuple[HistoryEntry, ...] = ()
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Results:
    """A run in figures; every rank holds the same.

    Attributes:
        title: Of the TOML.
        converged: Whether the last time was reached.
        message: Why not, where it was not.
        increments: Accepted increments.
        newton_iterations: Macro iterations up to the last accepted increment, those of attempts
            that were cut included.
        rve_solves: Solves of a cell, all ranks, all iterations; 0 where there is no RVE.
        micro_iterations: Newton iterations inside the cells.
        micro_guesses: Solves of a cell whose initial guess was ``taken``, ``refused`` because its
            residual was no better than the classical one's, and ``repeated`` from that (they count
            as taken, too); of those taken, solves that were ``compared`` with one from the
            classical guess, and by their mean the iterations that all of them ``saved``: an
            estimate, negative where they cost iterations; all 0 where the guess is a classical one.
        tangents: Evaluations of points whose tangent was that of a ``surrogate``, and those in
            which the cell gave its ``consistent`` one all the same; both 0 where none is named.
        leads: How often a surrogate led the increments on, where it guesses: for one answer of the
            Materials each, beside those of the Newton iterations.
        evaluations: Points at which a Material was evaluated, all ranks, all iterations.
        reaction: At the end, by name.
        probes: Displacements at the end, by name.
        largest_stretch: Largest principal stretch at a quadrature point at the end (finite
            strain), else None.
        seconds: Wall time of ``setup``, ``material``, ``macro`` (assembly and linear solves),
            ``output`` and ``total``; the longest of any rank.
        material: ``kind`` and ``fingerprint`` by region; ``material`` is where no region is.
        points: Quadrature points of the mesh.
        unknowns: Macro unknowns.
        ranks: MPI ranks.
        memory: Bytes on all ranks: ``estimate`` before the run, the ``process``, ``points``,
            ``macro`` and ``micro`` that it adds up, and the measured ``peak``.
        history: The increments.
        restarts: Times at which the run was taken up from a checkpoint.
        audit: Of a guarded surrogate, where ``audit`` asks for it, else None.
        certified: The direct answer, where ``certify`` asks for it, else None; ``reaction`` and
            ``probes`` are then its.
        micro: Localisation, where ``[output.micro]`` asks for it, else None.
        versions: Of the packages that matter.
    """

    title: str
    converged: bool
    message: str
    increments: int
    newton_iterations: int
    rve_solves: int
    micro_iterations: int
    evaluations: int
    reaction: Mapping[str, list[float]]
    probes: Mapping[str, list[float]]
    largest_stretch: float | None
    seconds: Mapping[str, float]
    material: Mapping[str, Mapping[str, str]]
    points: int
    unknowns: int
    ranks: int
    memory: Mapping[str, int]
    history: tuple[HistoryEntry, ...]
    restarts: tuple[float, ...] = ()
    micro_guesses: Mapping[str, int] = field(default_factory=dict)
    leads: int = 0
    tangents: Mapping[str, int] = field(default_factory=dict)
    audit: AuditResults | None = None
    certified: CertifiedResults | None = None
    micro: MicroResults | None
    versions: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return what ``results.json`` holds."""
        return {"format": FORMAT, **asdict(self)}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed and matter."""
    names = ("fenics-dolfinx", "petsc4py", "mpi4py", "numpy", "torch")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    import fesurrogate

    return {"fesurrogate": fesurrogate.__version__, **found}
