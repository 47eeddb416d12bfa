"""What a run needs is known before it, refused where it is too much, and close to what it takes."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI
from petsc4py import PETSc

from fesurrogate import InputError, Kinematics, Material, Response
from fesurrogate.combine import Balanced
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.footprint import matrix_size, point_bytes
from fesurrogate.fem.strain import strain_of
from fesurrogate.laws import Linear, isotropic_stiffness
from fesurrogate.memory import MemoryEstimate, available_bytes, check_fits, readable

SMALL = Kinematics(2)


class Laden(Material):
    """Linear elasticity that carries a state and a hint of any width, all of it new each time."""

    kinematics = SMALL

    def __init__(self, num_state: int, num_hint: int) -> None:
        self.num_state, self.num_hint = num_state, num_hint
        self.law = Linear(SMALL, isotropic_stiffness(SMALL, young=1.0, poisson=0.3))

    def respond(self, strain, state, dt, *, hint, **options) -> Response:
        answer = self.law.evaluate(strain)
        return Response(answer.stress, answer.tangent, state + 1.0, hint + 1.0, answer.ok)


def factory(kinematics, constants) -> Laden:
    return Laden(constants["state"], constants["hint"])


def square(n: int, comm: MPI.Comm = MPI.COMM_SELF) -> mesh.Mesh:
    return mesh.create_unit_square(comm, n, n, mesh.CellType.quadrilateral)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("state", "hint"), [(400, 0), (0, 400), (200, 300), (300, 200)])
def test_a_field_keeps_as_many_copies_as_are_counted(state: int, hint: int, balanced: bool) -> None:
    material: Material = Laden(state, hint)
    domain = square(16)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    expected = point_bytes(material, balanced=balanced)
    if balanced:
        material = Balanced(material, MPI.COMM_SELF)
    MaterialField(Laden(0, 0), strain_of(u, SMALL), degree=2).update()  # compiles
    tracemalloc.start()
    field = MaterialField(material, strain_of(u, SMALL), degree=2)
    for increment in range(3):
        for iteration in range(3):
            u.interpolate(lambda x, k=3 * increment + iteration: 1e-3 * k * x[:2])
            assert field.update() == 0
        field.accept()
    peak = tracemalloc.get_traced_memory()[1] / field.num_points
    tracemalloc.stop()
    assert 0.9 * expected < peak < 1.1 * expected


BOXES = [
    ([48, 48], 2, 2, False),
    ([80, 80], 1, 1, False),
    ([60, 60], 1, 2, True),
    ([200, 10], 1, 2, False),
    ([12, 12, 12], 1, 3, False),
    ([6, 6, 6], 2, 3, False),
    ([40, 40, 2], 1, 3, False),
    ([40, 4, 4], 1, 3, False),
]


@pytest.mark.parametrize(("cells", "degree", "block", "simplex"), BOXES)
def test_the_size_of_a_matrix_and_of_its_factors_is_foretold(
    cells: list[int], degree: int, block: int, simplex: bool
) -> None:
    corners = [np.zeros(len(cells)), np.array(cells, dtype=float)]
    if len(cells) == 2:
        shape = mesh.CellType.triangle if simplex else mesh.CellType.quadrilateral
        domain = mesh.create_rectangle(MPI.COMM_SELF, corners, cells, shape)
    else:
        domain = mesh.create_box(MPI.COMM_SELF, corners, cells, mesh.CellType.hexahedron)
    V = fem.functionspace(domain, ("Lagrange", degree, (block,) if block > 1 else ()))
    u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    # a block is full, as that of elasticity
    mixed = ufl.inner(ufl.div(u), ufl.div(v)) if block > 1 else ufl.inner(u, v)
    form = fem.form((mixed + ufl.inner(u, v) + ufl.inner(ufl.grad(u), ufl.grad(v))) * ufl.dx)
    A = fem_petsc.assemble_matrix(form)
    A.assemble()
    ksp = PETSc.KSP().create(MPI.COMM_SELF)
    ksp.setOperators(A)
    ksp.setType("preonly")
    ksp.pc.setType("lu")
    ksp.pc.setFactorSolverType("mumps")
    ksp.setUp()
    size = matrix_size(V)
    assert size.unknowns == A.getSize()[0]
    assert size.entries == pytest.approx(A.getInfo()["nz_used"], rel=0.06)
    numbers = ksp.pc.getFactorMatrix().getMumpsInfog(9)
    assert 0.75 * numbers < size.factor < 1.3 * numbers


TOML = """
[kinematics]
gdim = 2
[mesh]
generator = "rectangle"
cells = [64, 64]
[macro]
degree = 1
[material]
kind = "test_memory:factory"
[material.factory]
state = {state}
hint = {hint}
[steps]
increments = 2
[[dirichlet]]
boundary = "left"
[[traction]]
boundary = "right"
value = [0.1, 0.0]
[output]
fields = false
pictures = false
"""


def run(folder: Path, state: int, hint: int) -> subprocess.CompletedProcess:
    (folder / "problem.toml").write_text(TOML.format(state=state, hint=hint))
    words = ["run", "problem.toml", "--allow-code", "--output", "out"]
    root = Path(__file__).parents[1]
    places = os.pathsep.join([str(root), str(root / "tests")])
    return subprocess.run(
        [sys.executable, "-m", "fesurrogate", *words],
        cwd=folder, env=os.environ | {"PYTHONPATH": places},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_estimate_holds_within_a_fifth_where_points_weigh_most(tmp_path: Path) -> None:
    done = run(tmp_path, state=500, hint=500)
    assert done.returncode == 0, done.stderr
    memory = json.loads((tmp_path / "out" / "results.json").read_text())["memory"]
    assert memory["points"] > 0.5 * memory["estimate"]
    assert memory["estimate"] == pytest.approx(memory["peak"], rel=0.2)
    said = f"memory: about {readable(memory['estimate'])} (process "
    assert said in done.stderr.splitlines()[0]


def test_a_run_that_cannot_fit_is_refused_before_it_allocates(tmp_path: Path) -> None:
    done = run(tmp_path, state=10**8, hint=0)  # 16,384 points of 1.6 GB
    assert done.returncode == 2
    assert done.stderr.startswith("error: problem.toml: the run would need about 26.2 TB more on")
    assert "are available" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.mpi
def test_all_ranks_refuse_what_a_node_cannot_hold() -> None:
    comm = MPI.COMM_WORLD
    available = available_bytes()
    if available is None:
        pytest.skip("this machine does not say what it has left")
    share = 1.5 * available / comm.size  # each for itself would fit
    with pytest.raises(InputError, match=rf"where {comm.size} of its ranks are") as raised:
        check_fits(MemoryEstimate(0, int(share), 0, 0), comm)
    assert len(set(comm.allgather(str(raised.value)))) == 1
    check_fits(MemoryEstimate(10 * available, 0, 0, 0), comm)  # what is there is not needed anew


def test_the_tightest_limit_counts(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 5000 kB\n")
    (proc / "self" / "cgroup").write_text("0::/job/step\n")
    assert available_bytes(proc, groups) == 5_120_000

    def group(path: str, names: tuple[str, str], most: str, used: int, stat: str) -> None:
        folder = groups / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in zip((*names, "memory.stat"), (most, f"{used}", stat), strict=True):
            (folder / name).write_text(text + "\n")

    second = ("memory.max", "memory.current")
    group("job/step", second, "max", 500, "inactive_file 0")
    assert available_bytes(proc, groups) == 5_120_000
    group("job", second, "4000000", 1_500_000, "anon 1\ninactive_file 500000")
    assert available_bytes(proc, groups) == 3_000_000
    (proc / "self" / "cgroup").write_text("9:cpu,cpuacct:/x\n4:memory:/job\n")
    first = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    group("memory/job", first, "2000000", 1_000_000, "total_inactive_file 1\ninactive_file 7")
    assert available_bytes(proc, groups) == 1_000_001
    assert available_bytes(tmp_path / "nowhere", groups) is None


def test_bytes_are_readable() -> None:
    sizes = (0, 999, 1234, 999_999, 36_864_000, 2.5e9, 7e15)
    shown = ["0 B", "999 B", "1.23 kB", "1 MB", "36.9 MB", "2.5 GB", "7e+03 TB"]
    assert [readable(size) for size in sizes] == shown


def test_the_peak_is_this_process_s_own() -> None:
    large = np.ones(30_000_000)  # of a parent
    code = "from fesurrogate.memory import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < large.nbytes
