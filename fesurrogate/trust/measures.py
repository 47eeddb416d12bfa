"""Measures of doubt: a number a point, the larger the less its answer is to be believed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, final

import numpy as np
from scipy.spatial import KDTree

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Response


class Measure(ABC):
    """Doubts of points from their strains, parameters and what the surrogate answered.

    Attributes:
        name: One word, for reports and files.
        floor: Doubt far below which a difference says nothing of the error.
        is_error: Whether the doubt is a typical error itself, > 0, in the unit of errors.
    """

    name: str
    floor: float = 1.0
    is_error: bool = False

    @abstractmethod
    def doubt(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        response: Response,
    ) -> Array:  # (n,), >= 0
        """Return the doubt of each point; inf where there is nothing to believe."""


@final
class Novelty(Measure):
    """Distance to the nearest training sample, over the typical distance between samples.

    The space is that of the surrogate's own inputs, each over its standard deviation in the
    training data: objective strain components and the parameters of the point.

    Args:
        kinematics: The strain measure.
        inputs: (k, q + p) of the training samples, from :func:`inputs_of`; two or more.

    Raises:
        InputError: Too few samples, a wrong number of columns, or numbers that are not finite.
    """

    name, floor = "novelty", 0.1

    def __init__(self, kinematics: Kinematics, inputs: Array) -> None:
        q = inputs_of(kinematics, kinematics.rest[None], np.zeros((1, 0))).shape[1]
        if inputs.ndim != 2 or len(inputs) < 2 or inputs.shape[1] < q:
            raise InputError(
                f"Novelty: inputs have shape {inputs.shape}; expected (k, {q} + p) with k >= 2"
            )
        if not np.isfinite(inputs).all():
            raise InputError("Novelty: inputs that are not finite")
        self.kinematics, self.inputs = kinematics, inputs
        width = inputs.std(axis=0)
        self.width = np.where(width > 0.0, width, 1.0)

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.inputs / self.width)

    @cached_property
    def _spacing(self) -> float:
        distance, _ = self._tree.query(self._tree.data, k=2)
        middle = float(np.median(distance[:, 1]))
        return middle if middle > 0.0 else 1.0

    def doubt(self, strain: Array, parameters: Array, response: Response) -> Array:
        """Return the distances; inf for strains or parameters that are not finite."""
        place = inputs_of(self.kinematics, strain, parameters) / self.width
        finite = np.isfinite(place).all(axis=1)
        answer: Array = np.full(len(strain), np.inf)
        answer[finite] = self._tree.query(place[finite])[0] / self._spacing
        return answer


@final
class Deviation(Measure):
    """The standard deviation that an ensemble or a Gaussian process reports.

    Args:
        scale: Unit of stress: the root mean square of |stress| in the dataset.

    Raises:
        InputError: It is not positive.
    """

    name, floor = "deviation", 1e-9

    def __init__(self, scale: float) -> None:
        if not (np.isfinite(scale) and scale > 0.0):
            raise InputError(f"Deviation: scale is {scale!r}; expected a stress > 0")
        self.scale = scale

    def doubt(self, strain: Array, parameters: Array, response: Response) -> Array:
        """Return the deviations over the scale; inf where none is reported."""
        found: Any = response.report.get("standard_deviation")
        if found is None:
            return np.full(len(strain), np.inf)
        return np.where(np.isfinite(found), found / self.scale, np.inf)


@final
class Magnitude(Measure):
    """The stress that is answered, over its unit: errors are in that, and grow with the stress.

    Args:
        scale: Unit of stress: the root mean square of |stress| in the dataset.
    """

    name, floor = "magnitude", 0.05

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def doubt(self, strain: Array, parameters: Array, response: Response) -> Array:
        """Return |stress| over the scale; inf where it is no number."""
        size = np.linalg.norm(response.stress, axis=1) / self.scale
        return np.where(np.isfinite(size), size, np.inf)


@final
class Reach(Measure):
    """The distance of the strain from rest, which no rotation changes.

    Args:
        kinematics: The strain measure.
    """

    name, floor = "reach", 0.01

    def __init__(self, kinematics: Kinematics) -> None:
        self.kinematics = kinematics

    def doubt(self, strain: Array, parameters: Array, response: Response) -> Array:
        """Return the norm of the objective strain components."""
        size = np.linalg.norm(inputs_of(self.kinematics, strain, parameters[:, :0]), axis=1)
        return np.where(np.isfinite(size), size, np.inf)


@final
class Violation(Measure):
    """Whether an answer breaks physics; doubt is 0 or inf.

    Broken is a stress that is no number, an energy or a dissipation below zero, or a tangent with
    a negative entry on its diagonal: at finite strain these are the moduli a_i N_J A_iJiJ a_i N_J
    of rank-one strains along the axes, whose sign is that of a squared wave speed.

    Args:
        kinematics: The strain measure.
        scale: Unit of energy density: below minus 1e-6 of it an energy counts as negative.
    """

    name = "violation"

    def __init__(self, kinematics: Kinematics, scale: float) -> None:
        self.kinematics, self.scale = kinematics, scale

    def doubt(self, strain: Array, parameters: Array, response: Response) -> Array:
        """Return 0 where nothing is broken, else inf."""
        broken = ~response.ok | ~np.isfinite(response.stress).all(axis=1)
        for name in ("energy", "dissipation"):
            if name in response.report:
                broken |= np.nan_to_num(response.report[name]) < -1e-6 * self.scale
        if response.tangent is not None:
            diagonal = np.einsum("nii->ni", response.tangent)
            broken |= np.nan_to_num(diagonal, nan=-1.0).min(axis=1, initial=np.inf) < 0.0
        return np.where(broken, np.inf, 0.0)


def measures_of(
    kinematics: Kinematics,
    inputs: Array,  # (k, q + p), of the training samples
    scale: float,
    *,
    deviates: bool,
) -> list[Measure]:
    """Return the measures by which a model is calibrated.

    Args:
        kinematics: The model's.
        inputs: From :func:`inputs_of`.
        scale: Root mean square of |stress| of the training data.
        deviates: Whether the model reports a standard deviation.
    """
    measures = [Novelty(kinematics, inputs), Magnitude(scale), Reach(kinematics)]
    return [Deviation(scale), *measures] if deviates else measures


def inputs_of(
    kinematics: Kinematics,
    strain: Array,  # (n, m)
    parameters: Array,  # (n, p)
) -> Array:  # (n, q + p)
    """Return what a surrogate sees of points: objective strain components and parameters.

    At finite strain the components are those of the Green-Lagrange strain in Mandel order.
    """
    if kinematics.measure == "finite":
        F = kinematics.unpack(strain)
        E = 0.5 * (np.einsum("nki,nkj->nij", F, F) - np.eye(kinematics.gdim))
        strain = Kinematics(kinematics.gdim).pack(E)
    return np.concatenate([strain, parameters], axis=1)
