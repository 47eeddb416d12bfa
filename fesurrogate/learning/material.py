"""A guarded surrogate that learns from the points at which it fell back, whenever it may."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.combine import Guarded
from fesurrogate.config.learning import LearningSettings
from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.learning.fitted import FACTS, Fitted, Judged
from fesurrogate.learning.samples import (
    enough,
    held_out,
    joined,
    no_samples,
    samples_of,
    started_from,
)
from fesurrogate.learning.seek import Found, seek
from fesurrogate.learning.untaught import Untaught, calibrated
from fesurrogate.material import Material, Response
from fesurrogate.results import LearningEntry
from fesurrogate.trust import trust_from

logger = logging.getLogger(__name__)
PARAMETERS = "parameters"
"""Report of the parameters of the points, which accept() is not told otherwise."""

MODEL = "model"
"""Report of the number of the model that answered: another may have come since."""

SAMPLES = "samples."


@final
class Learning(Material):
    """A guarded surrogate, fitted anew when an accepted increment has brought new samples.

    It answers as its guard does. In :meth:`accept` points that fell back become samples, those that
    are farthest from all that is known; and the reference is asked at some points that the
    surrogate had answered, which become samples, too. Every third is held out. When enough have
    come, one rank fits a model to the others and calibrates its trust; all ranks take the same
    weights, unless the model is worse than the one before on what was held out or known before.

    Nothing depends on a clock or on which rank holds which point, up to round-off: a run can be
    repeated and taken up again.

    Attributes:
        guarded: What answers at present.
        samples: What has been learned from, as an ordinary dataset.
        fitted: The model at present, or None as long as there is none.
        train: What is fitted.
        meta: Facts that are kept with the samples.

    Args:
        guarded: The surrogate to begin with and its reference, without history and with the policy
            ``fallback``; :func:`~fesurrogate.learning.untaught.untaught` begins with nothing. Its
            measures go on where what is fitted is calibrated for them, else the best that it is.
        train: What is fitted.
        settings: How much is asked and learned.
        start: Samples to begin with, alike on all ranks: of another run, or generated.
        meta: JSON-like facts to keep with the samples.
        comm: All ranks, which accept together; None works alone.
        device: A torch device.
        threads: torch threads; on one, the same samples give the same bits.

    Raises:
        InputError: A guard that cannot be taught, or a start that does not fit.

    Note:
        Building is collective. Where several fields share it, each accepts the increment; what the
        model of before had answered is not checked once one of them has brought a new one.
    """

    def __init__(
        self,
        guarded: Guarded,
        train: TrainSettings,
        *,
        settings: LearningSettings | None = None,
        start: Dataset | None = None,
        meta: Mapping[str, Any] | None = None,
        comm: MPI.Intracomm | None = None,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        if guarded.num_state or guarded.surrogate.num_hint or guarded.policy != "fallback":
            raise InputError(
                f"Learning: a guard with {guarded.num_state} columns of state, a surrogate with "
                f"{guarded.surrogate.num_hint} of hint and policy {guarded.policy!r}; expected "
                "none, none and 'fallback'"
            )
        self.guarded, self._begun = guarded, guarded
        self.fitted: Fitted | None = None
        self.kinematics, self.parameter_names = guarded.kinematics, guarded.parameter_names
        self.num_hint, self.collective = guarded.num_hint, guarded.collective
        self.tangent_error = guarded.tangent_error
        self.train, self._settings = train, settings or LearningSettings()
        self._comm = MPI.COMM_SELF if comm is None else comm
        self._device, self._threads = device, threads
        known = calibrated(train)
        self._measures = tuple(n for n in guarded.trust.names if n in known) or known[:1]
        self._fresh = 0  # samples that tell something since a refinement was tried
        self._known = 0  # samples that the model knows
        self._number = 0  # of the model
        self._lessons: list[LearningEntry] = []
        self.meta = dict(meta or {})
        self.samples = no_samples(self.kinematics, self.parameter_names)
        if start is not None:
            most = self._settings.samples
            self.samples = started_from(start, self.kinematics, self.parameter_names, most)
            found = self._refined()
            if found.outcome != "taken":
                logger.info("learning: no model of %d samples; %s", len(self.samples), found.note)

    @property
    def taught(self) -> bool:
        """Whether there is a model, learned or given."""
        return not isinstance(self.guarded.surrogate, Untaught)

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, 0)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer as the guard does. Collective."""
        answer = self.guarded.evaluate(
            strain, state, dt,
            parameters=parameters, hint=hint, tangent=tangent, sensitivity=sensitivity,
        )  # fmt: skip
        number = np.full(len(strain), self._number)
        report = {**answer.report, PARAMETERS: parameters.copy(), MODEL: number}
        return replace(answer, report=report)

    def accept(self, strain: Array, response: Response) -> None:
        """Learn from an accepted increment. Collective."""
        begin = time.perf_counter()
        wanted, known = self._settings, len(self.samples)
        room = max(wanted.samples - known, 0)
        self.guarded.accept(strain, response)
        first = 0 if self.taught else wanted.first
        old = bool((response.report[MODEL] != self._number).any())
        checks = 0 if self._comm.allreduce(old, op=MPI.LOR) else wanted.checks
        found = seek(
            self.guarded, strain, response, response.report[PARAMETERS], self.samples,
            scale=None if self.fitted is None else float(self.fitted.trust["scale"][0]),
            fallen=min(max(wanted.batch, first), room), checks=checks, comm=self._comm,
        )  # fmt: skip
        self._add(found, room)
        judged = Judged("waiting")
        self._fresh += found.telling
        due = self._fresh >= wanted.fresh or found.wrong
        if due and len(self.samples) > known and enough(self.samples):
            judged = self._refined()
        if self.fitted is not None and judged.fitted is None and len(found.errors):
            self._take(self.fitted.knowing(found.doubts, found.errors))
        spent = self._comm.allreduce(time.perf_counter() - begin, op=MPI.MAX)
        self._lessons.append(
            LearningEntry(
                fallen=found.fallen,
                checked=found.checked,
                wrong=found.wrong,
                samples=len(self.samples),
                held_out=int(held_out(self.samples).sum()),
                rve_solves=found.rve_solves,
                outcome=judged.outcome,
                errors=judged.errors,
                note=judged.note,
                seconds=spent,
            )
        )

    def lessons(self) -> tuple[LearningEntry, ...]:
        """Return what was learned since this was last asked."""
        said, self._lessons = tuple(self._lessons), []
        return said

    def snapshot(self) -> dict[str, NDArray]:
        """Return samples, model, trust and counts."""
        arrays = self.guarded.snapshot()
        arrays["count"] = np.array([self._fresh, self._known])
        for name, array in self.samples.arrays():
            arrays[SAMPLES + name.replace("report ", "report.")] = array
        return arrays | ({} if self.fitted is None else self.fitted.arrays())

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Return to a snapshot."""
        given = {k.removeprefix(SAMPLES): v for k, v in arrays.items() if k.startswith(SAMPLES)}
        reports = {k.removeprefix("report."): v for k, v in given.items() if "report." in k}
        plain = {k: v for k, v in given.items() if "report." not in k}
        try:
            fresh, known = (int(each) for each in arrays["count"])
            self.samples = Dataset(
                self.kinematics,
                **plain,  # type: ignore[arg-type]
                parameter_names=self.parameter_names,
                reports=reports,
            )
            held_out(self.samples)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"what was learned cannot be read ({error})") from error
        self._fresh, self._known, self._lessons = fresh, known, []
        self.guarded, self.fitted = self._begun, None
        if FACTS in arrays:
            self._take(Fitted.from_arrays(arrays, self.kinematics))
        self.guarded.restore(arrays)

    def _add(self, found: Found, room: int) -> None:
        """Take new samples, as many as there is room for, alike on all ranks."""
        arrays = {name: array[:room] for name, array in found.arrays.items()}
        new = samples_of(self.kinematics, self.parameter_names, **arrays, first=len(self.samples))
        self.samples = joined(self.samples, new)

    def _refined(self) -> Judged:
        """Refine on one rank; take on all what comes out, if it is good. Collective."""
        from fesurrogate.learning.teach import judge
        from fesurrogate.surrogate.threads import torch_threads

        self._fresh = 0
        judged: Judged | None = None
        if self._comm.rank == 0:
            with torch_threads(self._threads):
                judged = judge(
                    self.samples, self.guarded.surrogate if self.taught else None,
                    self._known, train=self.train, tolerance=self.guarded.trust.tolerance,
                )  # fmt: skip
        judged = self._comm.bcast(judged, root=0)
        assert judged is not None
        if judged.fitted is not None:
            self._take(judged.fitted)
            self._known = len(self.samples)
            self._number += 1
        return judged

    def _take(self, fitted: Fitted) -> None:
        """Answer by another model from now on."""
        from fesurrogate.surrogate import NetworkMaterial

        surrogate = NetworkMaterial(fitted.network(), device=self._device, threads=self._threads)
        old = self.guarded
        tolerance, names = old.trust.tolerance, self._measures
        trust = trust_from(fitted.trust, self.kinematics, tolerance, names=names)
        self.guarded = Guarded(surrogate, old.reference, trust)
        self.guarded.restore(old.snapshot())
        self.fitted, self.tangent_error = fitted, self.guarded.tangent_error
