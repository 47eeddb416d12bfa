"""Parameters of a table over a body: formulas, Functions and mesh tags say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx.mesh import CellType, compute_midpoints, create_unit_square, meshtags
from mpi4py import MPI
from numpy.typing import NDArray
from test_guard_settings import halves
from test_precompute import settings_of, toml
from test_table import tabulated

from fesurrogate.build import load_material
from fesurrogate.build.expression import formula
from fesurrogate.build.precompute import ensure_table
from fesurrogate.build.problem import build_problem
from fesurrogate.config import read_config
from fesurrogate.errors import InputError
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.strain import strain_of
from fesurrogate.hierarchical import Table
from fesurrogate.kinematics import Kinematics
from fesurrogate.run import run

LEFT, RIGHT = (1.25, 3.5), (1.75, 2.5)  # of the two parameters
PAIRS = tuple(zip(LEFT, RIGHT, strict=True))


@pytest.mark.mpi
def test_formulas_functions_and_tags_say_the_same() -> None:
    """Two halves of a plate, each of its own constants; rounding apart, the sum of products."""
    mesh = create_unit_square(MPI.COMM_WORLD, 4, 3, CellType.quadrilateral)
    u = fem.Function(fem.functionspace(mesh, ("Lagrange", 1, (2,))))
    u.interpolate(lambda x: 1e-3 * np.stack([x[0] + x[0] * x[1], x[1] ** 2 - x[0]]))
    table = Table(tabulated(Kinematics(2), 3, 4))
    owned = np.arange(mesh.topology.index_map(2).size_local, dtype=np.int32)
    left = compute_midpoints(mesh, 2, owned)[:, 0] < 0.5
    tags = meshtags(mesh, 2, owned, np.where(left, 1, 2).astype(np.int32))
    constant = fem.functionspace(mesh, ("DG", 0))

    def energy(parameters: object, cells: NDArray[np.int32] | None = None) -> float:
        field = MaterialField(
            table, strain_of(u, table.kinematics), degree=2, cells=cells, parameters=parameters
        )
        field.update()
        assert field.current_parameters().shape == (field.num_points, 2)
        v = fem.Function(u.function_space)
        v.x.array[:] = u.x.array
        return float(mesh.comm.allreduce(fem.assemble_scalar(fem.form(field.residual(v)))))

    formulas = [f"{a} if x[0] < 0.5 else {b}" for a, b in PAIRS]
    by_formula = energy(ufl.as_vector([formula(each, mesh) for each in formulas]))
    functions = []
    for a, b in PAIRS:
        functions.append(fem.Function(constant))
        functions[-1].x.array[tags.find(1)], functions[-1].x.array[tags.find(2)] = a, b
        functions[-1].x.scatter_forward()
    by_function = energy(ufl.as_vector(functions))
    by_tags = sum(
        energy(ufl.as_vector([fem.Constant(mesh, each) for each in of]), tags.find(tag))
        for tag, of in ((1, LEFT), (2, RIGHT))
    )
    assert by_function == pytest.approx(by_formula, rel=1e-12)
    assert by_tags == pytest.approx(by_formula, rel=1e-12)
    same = energy(ufl.as_vector([fem.Constant(mesh, each) for each in LEFT]))
    assert abs(same / by_formula - 1) > 1e-2  # what is given matters


@pytest.mark.mpi
def test_every_rank_hears_of_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    comm = MPI.COMM_WORLD
    folder = Path(comm.bcast(str(tmp_path)))
    if comm.rank == 0:
        given = 'parameters = { "fractions.fibre" = 0.4 }\n'
        settings = settings_of(folder, toml(material=given, quantities='["stiffness"]'))
        path = ensure_table(settings, MPI.COMM_SELF).path
        path.write_bytes(path.read_bytes()[:2000])
    comm.Barrier()
    with pytest.raises(InputError, match="damaged, or was cut short") as caught:
        load_material(read_config(folder / "case.toml"), comm)
    assert len(set(comm.allgather(str(caught.value)))) == 1


def test_regions_that_differ_in_parameters_read_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is that of one region with a formula."""
    monkeypatch.setattr("fesurrogate.build.problem.rectangle", halves)
    body = (
        '[mesh]\ngenerator = "rectangle"\ncells = [2, 2]\n'
        '[[dirichlet]]\nboundary = "left"\n'
        '[[dirichlet]]\nboundary = "right"\nvalue = [1e-3, 0.0]\n[[reaction]]\nboundary = "right"\n'
    )
    given = 'parameters = {{ "fractions.fibre" = {} }}\n'
    formula_of_both = given.format('"0.5 if x[1] > 0.5 else 0.3"')
    upper = "[regions.upper]\n" + 'kind = "table"\n' + given.format(0.5)
    found = []
    for material, more in ((given.format(0.3), upper), (formula_of_both, "")):
        text = toml(material=material, quantities='["stiffness"]', more=body + more)
        settings = settings_of(tmp_path, text)
        ensure_table(settings, MPI.COMM_SELF)
        model = build_problem(settings, MPI.COMM_SELF)
        assert len({id(each.material) for each in model.materials.values()}) == 1
        found.append(run(settings, MPI.COMM_SELF).results.reaction["right"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
