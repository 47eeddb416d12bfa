"""Energies over strain fitted to the stress of a table, by the fitters of the train room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fesurrogate.config.train import PolynomialSettings, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import strain_with
from fesurrogate.errors import InputError
from fesurrogate.hierarchical.representations import Energy
from fesurrogate.hierarchical.strains import strain_columns, stretch_of, torch_for
from fesurrogate.hierarchical.tabulation import Tabulation
from fesurrogate.kinematics import Array

MOST_ROWS = 4000
"""Entries that a fit takes; of more, so many drawn at random."""
VALIDATION = 0.05
"""Share of the entries that a fit holds out, beside the table's own held-out points."""


def energy_polynomials(
    table: Tabulation,
    points: Array,  # (N, p)
    stress: Array,  # (N, q)
    degrees: Iterable[int],
) -> Iterator[tuple[int, Energy]]:
    """Give the polynomial energy of each degree for which there are entries enough."""
    with torch_for("a polynomial of an energy"):
        from fesurrogate.train.polynomial import fit_polynomial

    data = dataset_of(table, points, stress)
    for degree in degrees:
        settings = TrainSettings(
            model="polynomial", polynomial=PolynomialSettings(degree=degree),
            validation=VALIDATION, tangent_weight=0.0, suspicious="keep", device="cpu",
        )  # fmt: skip
        try:
            found = fit_polynomial(data, settings)
        except InputError:  # more terms than numbers
            return
        yield degree, Energy(table.axes, found.network)


def energy_network(
    table: Tabulation,
    points: Array,  # (N, p)
    stress: Array,  # (N, q)
    hidden: tuple[int, ...],
    *,
    iterations: int = 300,
) -> Energy:
    """Return a network of the energy, trained on the stress."""
    with torch_for("a network of an energy"):
        from fesurrogate.train.energy import fit_energy

    settings = TrainSettings(
        hidden=hidden, iterations=iterations, validation=VALIDATION, tangent_weight=0.0,
        suspicious="keep", device="cpu",
    )  # fmt: skip
    return Energy(table.axes, fit_energy(dataset_of(table, points, stress), settings).network)


def dataset_of(
    table: Tabulation,
    points: Array,  # (N, p)
    stress: Array,  # (N, q), conjugate to the Mandel components
) -> Dataset:
    """Return the entries as points of a dataset, at finite strain under F = U."""
    kinematics = table.kinematics
    if len(points) > MOST_ROWS:
        rows = np.random.default_rng(0).choice(len(points), MOST_ROWS, replace=False)
        points, stress = points[rows], stress[rows]
    columns = strain_columns(kinematics, table.axes)
    others = [k for k in range(len(table.axes)) if k not in columns]
    strain = strain_with(kinematics, points[:, columns])
    answer = stress
    if kinematics.measure == "finite":
        answer = stretch_of(kinematics, strain).stress(stress)[0]
    return Dataset(
        kinematics,
        strain[:, None],
        answer[:, None],
        None,
        np.ones((len(points), 1), dtype=np.bool_),
        parameters=np.ascontiguousarray(points[:, others]),
        parameter_names=tuple(table.axes[k].name for k in others),
        units=table.units,
    )
