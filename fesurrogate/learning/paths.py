"""The strain paths that are learned from: those of points of the run, and those it began with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray, Kinematics
from fesurrogate.learning.choice import farthest
from fesurrogate.learning.samples import EVERY, HELD_OUT

NAMES = ("steps", "stress", "ok", "length", "held", "state", "hint")


@dataclass(frozen=True)
class Paths:
    """N paths with what the reference answered; unlike in length, filled up to the longest, T.

    Attributes:
        steps: (N, T, m + 1), strain and dt; beyond the end the last strain, and 0.
        stress: (N, T, m); NaN where the reference failed, and beyond the end.
        ok: (N, T), where it answered.
        length: (N,), increments; of a path that goes on no more, minus that.
        held: (N,), to which no model is fitted.
        state: (N, s), the reference's at the end.
        hint: (N, h), the reference's there.
    """

    steps: Array
    stress: Array
    ok: BoolArray
    length: NDArray[np.int64]
    held: BoolArray
    state: Array
    hint: Array

    def __len__(self) -> int:
        """Return N."""
        return len(self.steps)

    @classmethod
    def none(cls, size: int, num_state: int, num_hint: int) -> Paths:
        """Return no paths, of strains of m = size components."""
        return cls(
            np.zeros((0, 0, size + 1)), np.zeros((0, 0, size)), np.zeros((0, 0), dtype=bool),
            np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool),
            np.zeros((0, num_state)), np.zeros((0, num_hint)),
        )  # fmt: skip

    @property
    def going_on(self) -> NDArray[np.int64]:
        """Return which paths are followed."""
        return np.flatnonzero(self.length > 0)

    @property
    def enough(self) -> bool:
        """Return whether there are answers to fit a model to, and others to judge it by."""
        return bool(self.ok[~self.held].any() and self.ok[self.held].any())

    def pasts(self) -> dict[bytes, int]:
        """Return the paths that are followed by all that they have gone through."""
        return {
            np.ascontiguousarray(self.steps[k, : self.length[k]]).tobytes(): int(k)
            for k in self.going_on
        }

    def longer(
        self,
        which: NDArray[np.int64],  # (k,)
        step: Array,  # (k, m + 1)
        stress: Array,  # (k, m)
        ok: BoolArray,  # (k,)
        state: Array,  # (k, s)
        hint: Array,  # (k, h)
    ) -> Paths:
        """Return the paths with one more increment of some; those that failed there end."""
        at = self.length[which]
        more = self._filled(int(at.max(initial=-1)) + 1)
        arrays = {name: getattr(more, name).copy() for name in NAMES}
        arrays["steps"][which, at] = step
        for k, end in zip(which, at, strict=True):
            arrays["steps"][k, end + 1 :, :-1] = arrays["steps"][k, end, :-1]
        arrays["stress"][which, at] = np.where(ok[:, None], stress, np.nan)
        arrays["ok"][which, at] = ok
        arrays["length"][which] = np.where(ok, at + 1, -(at + 1))
        arrays["state"][which], arrays["hint"][which] = state, hint
        return replace(more, **arrays)

    def with_new(self, steps: Array, state: Array, hint: Array) -> Paths:
        """Return the paths and new ones that are at their beginning, with room for their steps.

        Every third path, in the order in which they come, is held out.

        Args:
            steps: (k, t, m + 1), of the new ones.
            state: (k, s), of the virgin reference.
            hint: (k, h), likewise.
        """
        k, total = len(steps), len(self) + len(steps)
        more = self._filled(steps.shape[1])
        width = more.steps.shape[1]
        m = steps.shape[2] - 1
        return Paths(
            np.concatenate([more.steps, np.zeros((k, width, m + 1))]),
            np.concatenate([more.stress, np.full((k, width, m), np.nan)]),
            np.concatenate([more.ok, np.zeros((k, width), dtype=bool)]),
            np.concatenate([more.length, np.zeros(k, dtype=np.int64)]),
            np.concatenate([more.held, np.arange(len(self), total) % EVERY == EVERY - 1]),
            np.concatenate([more.state, state]),
            np.concatenate([more.hint, hint]),
        )

    def dataset(self, kinematics: Kinematics) -> Dataset:
        """Return the paths as an ordinary dataset; beyond the end of a path nothing was solved."""
        held = np.repeat(self.held[:, None].astype(np.float64), self.steps.shape[1], axis=1)
        return Dataset(
            kinematics, self.steps[:, :, :-1].copy(), self.stress, None, self.ok,
            reports={HELD_OUT: held},
        )  # fmt: skip

    def _filled(self, width: int) -> Paths:
        """Return the paths with room for so many increments at least."""
        lack = width - self.steps.shape[1]
        if lack <= 0:
            return self
        begun = self.steps.shape[1] > 0
        n, m = len(self), self.stress.shape[2]
        last = self.steps[:, -1:].copy() if begun else np.zeros((n, 1, m + 1))
        last[:, :, -1] = 0.0

        def more(array: NDArray, filling: NDArray) -> NDArray:
            return np.concatenate([array, np.repeat(filling, lack, axis=1)], axis=1)

        return replace(
            self,
            steps=more(self.steps, last),
            stress=more(self.stress, np.full((n, 1, m), np.nan)),
            ok=more(self.ok, np.zeros((n, 1), dtype=bool)),
        )

    def arrays(self) -> dict[str, NDArray]:
        """Return all as arrays."""
        return {name: getattr(self, name) for name in NAMES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], like: Paths) -> Paths:
        """Return what :meth:`arrays` gave.

        Raises:
            InputError: Arrays that are lacking or do not match.
        """
        try:
            made = cls(**{name: np.asarray(arrays[name]) for name in NAMES})
            n, t, _ = made.steps.shape
            shapes = [
                (n, t, like.steps.shape[2]), (n, t, like.stress.shape[2]), (n, t), (n,), (n,),
                (n, like.state.shape[1]), (n, like.hint.shape[1]),
            ]  # fmt: skip
            found = [getattr(made, name).shape for name in NAMES]
        except (KeyError, ValueError, AttributeError) as error:
            raise InputError(
                f"the paths that were learned from cannot be read ({error})"
            ) from error
        if found != shapes or (np.abs(made.length) > t).any():
            raise InputError(
                f"the paths that were learned from have shapes {found}; expected {shapes}"
            )
        return replace(made, ok=made.ok.astype(bool), held=made.held.astype(bool))


@dataclass(frozen=True)
class News:
    """What a model said of an increment that it had not seen.

    Attributes:
        doubt: (k,), its deviation over the scale of stress.
        error: (k,), |Δstress| over the same.
    """

    doubt: Array
    error: Array

    @classmethod
    def none(cls) -> News:
        """Return what no model said."""
        return cls(np.zeros(0), np.zeros(0))


def paths_from(dataset: Dataset, like: Paths, kinematics: Kinematics, most: int) -> Paths:
    """Return the paths of a dataset, none of which goes on; of more than wanted the most spread.

    Args:
        dataset: Of a Material with history, without parameters.
        like: Paths of the reference.
        kinematics: Of the problem.
        most: How many are wanted.

    Raises:
        InputError: It is of another problem.
    """
    if dataset.kinematics != kinematics or dataset.parameter_names:
        raise InputError(
            f"the dataset is of {dataset.kinematics} with parameters "
            f"{list(dataset.parameter_names)}; expected {kinematics} without parameters"
        )
    solved = dataset.ok & np.isfinite(dataset.stress).all(axis=2)
    rows = np.flatnonzero(solved.any(axis=1))
    if len(rows) > most:
        strain = dataset.strain[rows].reshape(len(rows), -1)
        rows = rows[farthest(strain, strain[:0], most)]
    n, t = len(rows), dataset.increments
    marks = dataset.reports.get(HELD_OUT)
    order = np.arange(n) % EVERY == EVERY - 1
    dt = np.ones((n, t)) if dataset.dt is None else dataset.dt[rows]
    return Paths(
        np.concatenate([dataset.strain[rows], dt[:, :, None]], axis=2),
        np.where(solved[rows, :, None], dataset.stress[rows], np.nan),
        solved[rows],
        np.full(n, -t, dtype=np.int64),
        order if marks is None else np.asarray(marks[rows, 0] > 0.5),
        np.zeros((n, like.state.shape[1])),
        np.zeros((n, like.hint.shape[1])),
    )
