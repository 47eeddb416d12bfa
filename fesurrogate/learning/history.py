"""A guarded surrogate with history that learns from the strain paths of points of the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.combine import Guarded
from fesurrogate.combine.followed import Followed
from fesurrogate.config.learning import LearningSettings
from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.learning.asked import Asked
from fesurrogate.learning.choice import collected, pick
from fesurrogate.learning.fitted import FACTS, Fitted, Judged
from fesurrogate.learning.paths import News, Paths, paths_from
from fesurrogate.learning.untaught import Unknown
from fesurrogate.material import Material, Response
from fesurrogate.results import LearningEntry
from fesurrogate.trust import FixedMeasure, Trust, Violation, trust_from

logger = logging.getLogger(__name__)
PATHS = "paths."
FIRST, LATER = 2, 8
"""Of the paths of a run, one in so many is chosen at once, and one in so many in an increment."""

START = 5
"""Times as many iterations as a refinement has the fit to the paths that a run begins with."""

GOOD = 0.5
"""Of the tolerance: a model whose error in a new increment is less is fitted no further."""


@final
class LearningPaths(Material):
    """A guarded surrogate with history, fitted further when an accepted increment has taught it.

    The state of a point is its strain path alone, along which surrogate and reference are led
    (:class:`~fesurrogate.combine.followed.Followed`), so that nothing in it belongs to weights that
    were. In :meth:`accept` the reference is led one increment further along the paths that are
    *followed*: points that are spread over all, and points that fell back, chosen as they come. One
    solve an increment teaches so the whole path up to now, and says how wrong the surrogate was
    there. Every third path is held out.

    Nothing depends on a clock or on which rank holds which point, up to round-off.

    Attributes:
        guarded: What answers at present.
        paths: What has been learned from.
        fitted: The model at present, or None as long as there is none.
        train: What is fitted.
        meta: Facts that are kept with the samples.

    Args:
        reference: The exact Material, with history and without parameters; collective, if all
            ranks of ``comm`` answer together.
        train: An ensemble of physical networks; its iterations are those of each refinement.
        tolerance: Of the trust: |Δstress| over the root mean square of |stress| of the samples.
        max_increments: Increments of a path that are kept.
        settings: How many paths.
        start: Paths to begin with, alike on all ranks: of another run, or generated.
        meta: JSON-like facts to keep with the samples.
        comm: All ranks, which accept together; None works alone.
        threads: torch threads.

    Raises:
        InputError: A reference or a model that cannot be learned with, or a start that does not
            fit.

    Note:
        Building is collective.
    """

    def __init__(
        self,
        reference: Material,
        train: TrainSettings,
        *,
        tolerance: float,
        max_increments: int = 100,
        settings: LearningSettings | None = None,
        start: Dataset | None = None,
        meta: Mapping[str, Any] | None = None,
        comm: MPI.Intracomm | None = None,
        threads: int = 1,
    ) -> None:
        from fesurrogate.learning.path_teach import beginners

        _check(reference, train)
        self.train, self._settings = train, settings or LearningSettings()
        self._comm = MPI.COMM_SELF if comm is None else comm
        self._asked = Asked(reference, self._comm)
        self._tolerance, self._most, self._threads = tolerance, max_increments, threads
        self.kinematics = reference.kinematics
        self._edition, self._known = 1, 0
        nobody = [FixedMeasure(Unknown("deviation")), FixedMeasure(Violation(self.kinematics, 1.0))]
        self._nobody = Trust(nobody, tolerance)
        self._beginners = beginners(self.kinematics, train)
        self.fitted: Fitted | None = None
        self.guarded = self._guard(self._beginners, self._nobody)
        self._begun = self.guarded
        self.num_state, self.num_hint = self.guarded.num_state, self.guarded.num_hint
        self.collective = self.guarded.collective
        self.tangent_error = self.guarded.tangent_error
        self._lessons: list[LearningEntry] = []
        self.meta = dict(meta or {})
        self.paths = Paths.none(self.kinematics.size, reference.num_state, reference.num_hint)
        if start is not None:
            most = self._settings.paths
            self.paths = paths_from(start, self.paths, self.kinematics, most)
            found = self._refined(START) if self.paths.enough else Judged("waiting", note="too few")
            if found.outcome != "taken":
                logger.info("learning: no model of %d paths; %s", len(self.paths), found.note)
            self._judge_trust(News.none())
        self._given = len(self.paths)

    @property
    def samples(self) -> Dataset:
        """What has been learned from, as an ordinary dataset."""
        return self.paths.dataset(self.kinematics)

    def initial_state(self, n: int) -> Array:  # (n, s)
        """Return n paths without an increment."""
        return self.guarded.initial_state(n)

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        *,
        parameters: Array,  # (n, 0)
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer as the guard does. Collective."""
        return self.guarded.evaluate(
            strain, state, dt,
            parameters=parameters, hint=hint, tangent=tangent, sensitivity=sensitivity,
        )  # fmt: skip

    def accept(self, strain: Array, response: Response) -> None:
        """Learn from an accepted increment. Collective."""
        begin, before = time.perf_counter(), self._asked.rve_solves
        surrogate = self.guarded.surrogate
        assert isinstance(surrogate, Followed)
        self.guarded.accept(strain, response)
        state = response.state[:, : surrogate.num_state]
        longest = self._comm.allreduce(int(state[:, 0].max(initial=0.0)), op=MPI.MAX)
        length = min(max(longest, 1), self._most)  # of a longer path the last increment is lost
        here = np.flatnonzero(state[:, 0] == length)
        steps = surrogate.paths(state[here], length)  # (k, length, m + 1)
        fell = (response.report["fallback"] == 1) & response.ok
        news, checked, wrong = self._led_on(steps)
        added = self._new_paths(steps, fell[here])
        judged = Judged("waiting")
        error = np.sqrt((news.error**2).mean()) if len(news.error) else 0.0
        due = added or wrong or self.fitted is None or error > GOOD * self._tolerance
        if due and self.paths.enough:
            judged = self._refined()
        self._judge_trust(news)
        self._lessons.append(
            LearningEntry(
                fallen=int(self._comm.allreduce(int(fell.sum()))),
                checked=checked,
                wrong=wrong,
                samples=len(self.paths),
                held_out=int(self.paths.held.sum()),
                rve_solves=self._asked.rve_solves - before,
                outcome=judged.outcome,
                errors=judged.errors,
                note=judged.note,
                seconds=self._comm.allreduce(time.perf_counter() - begin, op=MPI.MAX),
            )
        )

    def lessons(self) -> tuple[LearningEntry, ...]:
        """Return what was learned since this was last asked."""
        said, self._lessons = tuple(self._lessons), []
        return said

    def snapshot(self) -> dict[str, NDArray]:
        """Return paths, model, trust and counts."""
        arrays = self.guarded.snapshot()
        arrays["count"] = np.array([self._edition, self._known, self._given])
        arrays |= {PATHS + name: array for name, array in self.paths.arrays().items()}
        return arrays | ({} if self.fitted is None else self.fitted.arrays())

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Return to a snapshot.

        Raises:
            InputError: It is none of such a Material.
        """
        given = {k.removeprefix(PATHS): v for k, v in arrays.items() if k.startswith(PATHS)}
        paths = Paths.from_arrays(given, self.paths)
        try:
            edition, known, begun = (int(each) for each in arrays["count"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"what was learned cannot be read ({error})") from error
        self.paths, self._lessons = paths, []
        self._edition, self._known, self._given = edition, known, begun
        self.guarded, self.fitted = self._begun, None
        if FACTS in arrays:
            self._take(Fitted.from_arrays(arrays, self.kinematics))
        self.guarded.restore(arrays)

    def _led_on(self, steps: Array) -> tuple[News, int, int]:
        """Lead the reference along the paths that are followed. Collective.

        Returns:
            What the model said of that increment; how many of these answers would have been
            trusted, and how many of those were wrong.
        """
        which, step = self._next(steps)
        self.paths = self._asked.led_on(self.paths, which, step)
        if self.fitted is None or not len(which):
            return News.none(), 0, 0
        from fesurrogate.learning.path_teach import doubt_and_error, scale_of

        last = np.zeros(self.paths.ok.shape, dtype=bool)
        last[which, np.abs(self.paths.length[which]) - 1] = True
        whole, told = self.samples, None
        scale = scale_of(whole)
        if self._comm.rank == 0:  # what is decided by it is the same on all ranks, bit for bit
            told = doubt_and_error(self.fitted.network(), whole, scale, last)
        doubt, error = self._comm.bcast(told, root=0)
        if not len(doubt):
            return News.none(), 0, 0
        limit = self.guarded.trust.limits[0] * float(self.fitted.trust["scale"][0]) / scale
        believed = doubt <= limit
        wrong = (error[believed] > self._tolerance).sum()
        return News(doubt, error), int(believed.sum()), int(wrong)

    def _next(self, steps: Array) -> tuple[NDArray[np.int64], Array]:
        """Return which of the paths go on, and by what; alike on all ranks. Collective.

        Of points with the same past, one is followed.
        """
        pasts = self.paths.pasts()
        found = []
        for row in steps:
            k = pasts.get(np.ascontiguousarray(row[:-1]).tobytes())
            if k is not None:
                found.append((k, tuple(row[-1])))
        every = sorted(item for part in self._comm.allgather(found) for item in part)
        first = {k: step for k, step in reversed(every)}
        which = np.array(sorted(first), dtype=np.int64)
        width = steps.shape[2]
        return which, np.array([first[k] for k in which]).reshape(len(which), width)

    def _new_paths(self, steps: Array, fell: NDArray[np.bool_]) -> int:
        """Choose more points to follow, and lead the reference along their paths. Collective."""
        own = len(self.paths) - self._given
        share = FIRST if not own else LATER
        most = min(-(-self._settings.paths // share), self._settings.paths - own)
        rows = np.flatnonzero(fell | (own == 0))
        k, length, width = steps.shape
        same = self.paths.going_on[self.paths.length[self.paths.going_on] == length]
        known = self.paths.steps[same, :length, :-1].reshape(len(same), length * (width - 1))
        inputs = steps[rows, :, :-1].reshape(len(rows), length * (width - 1))
        chosen = pick(self._comm, inputs, known, most)
        new = collected(self._comm, chosen, {"steps": steps[rows[chosen.rows]]})["steps"]
        self.paths = self._asked.from_rest(self.paths, new)
        return len(new)

    def _refined(self, rounds: int = 1) -> Judged:
        """Refine on one rank; take on all what comes out, if it is good. Collective."""
        from fesurrogate.learning.path_teach import judge_paths
        from fesurrogate.surrogate.threads import torch_threads

        judged: Judged | None = None
        if self._comm.rank == 0:
            network = self._beginners if self.fitted is None else self.fitted.network()
            with torch_threads(self._threads):
                judged = judge_paths(
                    self.paths, network, self.kinematics, known=self._known,
                    iterations=rounds * self.train.iterations, tolerance=self._tolerance,
                )  # fmt: skip
        judged = self._comm.bcast(judged, root=0)
        assert judged is not None
        if judged.fitted is not None:
            self.fitted, self._known = judged.fitted, len(self.paths)
            self._edition += 1
        return judged

    def _judge_trust(self, news: News) -> None:
        """Calibrate the model by what is known now, and answer by it. Collective."""
        from fesurrogate.learning.path_teach import trusted

        if self.fitted is None:
            return
        made = None
        if self._comm.rank == 0:
            made = trusted(self.fitted, self.paths, self.kinematics, news)
        self._take(self._comm.bcast(made, root=0))

    def _take(self, fitted: Fitted) -> None:
        """Answer by a model from now on."""
        from fesurrogate.learning.path_teach import calibrated_enough

        trust = self._nobody
        if calibrated_enough(fitted):
            trust = trust_from(fitted.trust, self.kinematics, self._tolerance, names=("deviation",))
        old, self.fitted = self.guarded, fitted
        self.guarded = self._guard(fitted.network(), trust)
        self.guarded.restore(old.snapshot())

    def _guard(self, network: Any, trust: Trust) -> Guarded:
        """Return a guard around a network."""
        from fesurrogate.surrogate import NetworkMaterial

        surrogate = NetworkMaterial(network, threads=self._threads)
        followed = Followed(surrogate, self._most, edition=self._edition)
        reference = self._asked.reference
        return Guarded(
            followed, reference, trust,
            max_increments=self._most, comm=self._comm if reference.collective else None,
        )  # fmt: skip


def _check(reference: Material, train: TrainSettings) -> None:
    """Refuse what is not learned with."""
    if not reference.num_state:
        raise InputError("LearningPaths: the reference has no history; take Learning for it")
    if reference.parameter_names:
        raise InputError(
            f"learning: the reference has history and parameters "
            f"({', '.join(reference.parameter_names)}); models with history take no parameters"
        )
    if train.model != "physical" or train.ensemble < 2:
        raise InputError(
            f"train.model is {train.model!r} with ensemble {train.ensemble}: a material with "
            "history is learned in the run by several physical networks, which differ where they "
            'know nothing; give model = "physical", its phases and ensemble = 4, say'
        )
