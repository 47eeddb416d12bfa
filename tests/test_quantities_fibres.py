"""Conductivity and expansion of fibres over their share: series, bounds, and plane strain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from test_precompute import FIBRES, OVER_FRACTION, settings_of, toml

from fesurrogate.build.precompute import ensure_table
from fesurrogate.hierarchical import Tabulation, read_tabulation
from fesurrogate.homogenize.bounds import conduction_bounds

CONDUCTIVITY = {"matrix": 0.2, "fibre": 5.0}
ROUND = 'cell = {{ kind = "{}", volume_fraction = 0.5, resolution = {}, geometry_degree = 2{} }}'


def tabulated(folder: Path, text: str) -> Tabulation:
    return read_tabulation(ensure_table(settings_of(folder, text), MPI.COMM_SELF).path)


def conductors(text: str) -> str:
    """Return the TOML with phases that conduct."""
    text = text.replace('"small"', '"gradient"')
    for young, poisson, name in ((3.0, 0.35, "matrix"), (70.0, 0.2, "fibre")):
        old = f'kind = "linear_elastic"\nyoung = {young}\npoisson = {poisson}'
        assert old in text
        text = text.replace(old, f'kind = "conductor"\nconductivity = {CONDUCTIVITY[name]}')
    return text


def series(kind: str, f: float) -> float:
    """Return the conductivity across a regular array of cylinders, by that of the matrix.

    Perrins, McKenzie and McPhedran (1979), Proc. R. Soc. Lond. A 369, 207, equations 15 and 16.
    """
    ratio = CONDUCTIVITY["fibre"] / CONDUCTIVITY["matrix"]
    T = (1 + ratio) / (1 - ratio)
    if kind == "square":
        rest = 0.305827 * f**4 * T / (T**2 - 1.402958 * f**8) + 0.013362 * f**8 / T
    else:
        rest = 0.075422 * f**6 * T / (T**2 - 1.060283 * f**12) + 0.000076 * f**12 / T
    return 1 - 2 * f / (T + f - rest)


@pytest.mark.parametrize("kind", ["square", "hexagonal"])
def test_conductivity_across_fibres_is_that_of_the_series(tmp_path: Path, kind: str) -> None:
    """To 2e-4, of the mesh and of the terms that the series leaves out; and within the bounds."""
    rhombus = ', cell = "rhombus"' if kind == "hexagonal" else ""
    cell = ROUND.format(kind, 10, rhombus)
    text = conductors(toml(cell, quantities='["conductivity"]', axes=OVER_FRACTION))
    text = text.replace("degree = 1\n", "degree = 2\n")
    found = tabulated(tmp_path, text)
    k = [CONDUCTIVITY["matrix"], CONDUCTIVITY["fibre"]]
    for f, matrix in zip(found.axes[0].values, found.quantities["conductivity"], strict=True):
        exact = series(kind, f) * CONDUCTIVITY["matrix"]
        np.testing.assert_allclose(matrix, exact * np.eye(2), rtol=0, atol=2e-4 * exact)
        low, high = conduction_bounds(k, [1 - f, f], gdim=2)["k"]
        assert low < matrix[0, 0] < high


def test_expansion_in_plane_strain_is_that_of_the_solid_held_along_the_fibres(
    tmp_path: Path,
) -> None:
    """C_pp α' = C_pp α_p + C_pz α_z: what holds the strain along z to zero acts in the plane."""
    for gdim in (2, 3):
        (tmp_path / str(gdim)).mkdir()
    plane, solid = (
        tabulated(tmp_path / str(gdim), toml(FIBRES, gdim=gdim, axes=OVER_FRACTION))
        for gdim in (2, 3)
    )
    rows = [0, 1, 5]
    for ours, C, alpha in zip(
        plane.quantities["expansion"],
        solid.quantities["stiffness"],
        solid.quantities["expansion"],
        strict=True,
    ):
        inner = C[np.ix_(rows, rows)]
        exact = alpha[rows] + np.linalg.solve(inner, C[rows, 2] * alpha[2])
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-7 * exact.max())
