"""Localisation in a run: files, counts, history and ranks."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from fesurrogate import InputError, Kinematics
from fesurrogate.config import Settings, read_config
from fesurrogate.config.output import MicroOutputSettings
from fesurrogate.fem import MaterialField, strain_of
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.mesh import rectangle
from fesurrogate.fem.places import most_loaded_places
from fesurrogate.fem.points import point_coordinates, point_weights
from fesurrogate.laws import Linear
from fesurrogate.run import run

STRIP = """
[kinematics]
gdim = 2
measure = "small"
[mesh]
generator = "rectangle"
cells = [2, 1]
upper = [2.0, 1.0]
[macro]
degree = 1
[material]
kind = "rve"
[material.rve]
degree = 1
[material.rve.cell]
kind = "laminate"
fractions = { metal = 0.5, polymer = 0.5 }
resolution = 2
[material.rve.phases.metal]
kind = "j2_plasticity"
young = 200.0
poisson = 0.3
yield_stress = 1.0
hardening = 10.0
[material.rve.phases.polymer]
kind = "viscoelastic"
shear_modulus = 50.0
bulk_modulus = 150.0
shear_branches = [[100.0, 0.3]]
[material.linear]
young = 300.0
poisson = 0.3
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
value = [0.03, 0.02]
schedule = [[0.0, 0.0], [0.5, 1.0], [1.0, 0.2]]
[steps]
increments = 4
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder for all ranks."""
    return Path(MPI.COMM_WORLD.bcast(str(tmp_path), root=0))


def settings_of(folder: Path, extra: str = "") -> Settings:
    if MPI.COMM_WORLD.rank == 0:
        (folder / "strip.toml").write_text(STRIP + extra)
    MPI.COMM_WORLD.barrier()
    return read_config(folder / "strip.toml")


def with_micro(settings: Settings, **micro: object) -> Settings:
    wanted = MicroOutputSettings(**micro)  # type: ignore[arg-type]
    return replace(settings, output=replace(settings.output, micro=wanted, pictures=False))


def fields_in(path: Path) -> list[dict[str, np.ndarray]]:
    """Return the fields of each increment by name."""
    with h5py.File(path) as file:
        return [
            {
                f"{centre}/{name}": values[:]
                for centre in step
                for name, values in step[centre].items()
            }
            for step in file["increments"].values()
        ]


@pytest.mark.mpi
def test_files_are_those_of_one_rank(folder: Path) -> None:
    comm = MPI.COMM_WORLD
    points = ((0.2, 0.3), (1.9, 0.9), (1.0, 0.5))  # the last is as near to four points
    settings = with_micro(settings_of(folder), points=points, most_loaded=2)
    together = run(settings, comm, folder / "all").results
    names = [*(f"point_{k}" for k in (1, 2, 3)), "most_loaded_1", "most_loaded_2"]
    assert together.converged and together.micro is not None
    assert list(together.micro.files) == names
    if comm.rank > 0:
        return
    alone = run(settings, MPI.COMM_SELF, folder / "one").results
    assert alone.micro is not None
    assert together.micro.rve_solves == alone.micro.rve_solves == 5 * 4
    assert together.micro.micro_iterations == alone.micro.micro_iterations == 0  # all from hints
    assert together.rve_solves == alone.rve_solves
    for name in names:
        one, every = alone.micro.files[name], together.micro.files[name]
        assert [entry.point for entry in one] == [entry.point for entry in every]
        assert [entry.cell for entry in one] == [entry.cell for entry in every]
        mine, theirs = (fields_in(folder / k / f"micro_{name}.h5") for k in ("one", "all"))
        for expected, got in zip(mine, theirs, strict=True):
            assert expected.keys() == got.keys()
            for key, values in expected.items():
                np.testing.assert_allclose(got[key], values, rtol=0, atol=1e-7, err_msg=key)
    files = json.loads((folder / "all" / "results.json").read_text())["micro"]["files"]
    assert list(files) == names and len(files["point_1"]) == 4


def test_the_last_increment_is_what_the_cell_answers_from_its_start(folder: Path) -> None:
    settings = with_micro(settings_of(folder), points=[(0.2, 0.3)], most_loaded=1)
    before = run(
        replace(settings, steps=replace(settings.steps, increments=None, times=(0.25, 0.5, 0.75))),
        MPI.COMM_SELF,
    )
    done = run(settings, MPI.COMM_SELF, folder)
    assert done.results.micro is not None
    field = done.model.fields["material"]
    row = int(np.argmin(np.linalg.norm(point_coordinates(field) - [0.2, 0.3], axis=1)))
    start = before.model.fields["material"].state[row]
    expected = field.material.localise(field.current_strain()[row], start, 0.25)  # type: ignore[attr-defined]
    written = fields_in(folder / "micro_point_1.h5")
    np.testing.assert_allclose(
        written[-1]["cell/stress_norm"], expected.stress_norm, rtol=0, atol=1e-7
    )
    plastic = expected.reports["plastic_strain"]
    np.testing.assert_allclose(written[-1]["cell/plastic_strain"], plastic, rtol=0, atol=1e-9)
    assert np.nanmax(plastic) > 1e-3
    entry = done.results.micro.files["point_1"][-1]
    assert entry.largest["plastic_strain"] == pytest.approx(np.nanmax(plastic), rel=1e-6)
    assert entry.largest_stress == pytest.approx(expected.stress_norm.max(), rel=1e-6)
    norms = np.linalg.norm(field.response.stress, axis=1)  # type: ignore[union-attr]
    assert entry.stress == norms[row]
    assert done.results.micro.files["most_loaded_1"][-1].stress >= norms.max() * (1 - 2e-6)


def test_points_as_loaded_as_others_are_chosen_by_their_place() -> None:
    tagged = rectangle(MPI.COMM_SELF, cells=[4, 4])
    u = fem.Function(fem.functionspace(tagged.mesh, ("Lagrange", 1, (2,))))
    kinematics = Kinematics(2)
    law = Linear(kinematics, np.eye(3))
    field = MaterialField(law, strain_of(u, kinematics), degree=2)
    field.update()
    points = {"all": point_coordinates(field)}
    order = np.lexsort(points["all"].round(9).T[::-1])
    for seed in range(3):  # rounding differs from run to run
        noise = np.random.default_rng(seed).uniform(-1e-10, 1e-10, (field.num_points, 3))
        loaded = np.where((points["all"][:, 0] > 0.5)[:, None], 1.0, 0.5) + noise
        field.response = replace(field.response, stress=loaded)
        chosen = most_loaded_places({"all": field}, points, 3, MPI.COMM_SELF)
        expected = [row for row in order if points["all"][row, 0] > 0.5][:3]
        assert [place.row for place in chosen] == expected
        for place in chosen:
            (cell,) = np.flatnonzero(tagged.mesh.topology.original_cell_index == place.cell)
            corners = geometry_dofmap(tagged.mesh)[cell]
            x = tagged.mesh.geometry.x[corners, :2]
            assert (x.min(axis=0) < place.point).all() and (place.point < x.max(axis=0)).all()


def test_localisation_leaves_the_run_as_it_is(folder: Path) -> None:
    settings = settings_of(folder)
    plain = run(settings, MPI.COMM_SELF)
    looked = run(with_micro(settings, most_loaded=3), MPI.COMM_SELF)
    assert plain.results.micro is None
    np.testing.assert_array_equal(looked.model.u.x.array, plain.model.u.x.array)
    assert looked.results.rve_solves == plain.results.rve_solves
    assert looked.results.micro_iterations == plain.results.micro_iterations


@pytest.mark.mpi
def test_reports_are_written_as_cell_averages(folder: Path) -> None:
    comm = MPI.COMM_WORLD
    settings = settings_of(folder)
    done = run(replace(settings, output=replace(settings.output, pictures=False)), comm, folder)
    field = done.model.fields["material"]
    assert field.response is not None
    total = {
        name: comm.allreduce(float(point_weights(field) @ field.response.report[name]))
        for name in ("plastic_strain", "dissipation")
    }
    volume = comm.allreduce(float(point_weights(field).sum()))
    assert volume == pytest.approx(2.0, rel=1e-12)
    if comm.rank == 0:
        steps = fields_in(folder / "fields.h5")
        for name, mean in total.items():  # all macro cells are alike in size
            written = [step[f"cell/{name}"].mean() * volume for step in steps]
            assert written[-1] == pytest.approx(mean, rel=1e-12)
            assert written[0] > 0 and (np.diff(written) >= 0).all()


def test_without_a_cell_localisation_is_left_out_and_said(folder: Path, caplog) -> None:
    settings = settings_of(folder)
    linear = replace(settings, material=replace(settings.material, kind="linear"))
    done = run(with_micro(linear, most_loaded=1), MPI.COMM_SELF)
    assert done.results.converged and done.results.micro is None
    assert "output.micro: left out, there is no cell to look into: kind is 'linear'" in caplog.text


def test_what_cannot_be_localised_is_refused(folder: Path) -> None:
    settings = settings_of(folder)
    assert settings.material is not None
    with pytest.raises(InputError, match=r"output\.micro\.points\[1\]: .*lies outside the mesh"):
        run(with_micro(settings, points=[(1.0, 0.5), (9.0, 0.5)]), MPI.COMM_SELF)
    with pytest.raises(InputError, match=r"points\[0\]: point is .* expected 2 coordinates"):
        run(with_micro(settings, points=[(1.0, 0.5, 0.0)]), MPI.COMM_SELF)
    with pytest.raises(InputError, match="most_loaded is 9; expected at most 8"):
        run(with_micro(settings, most_loaded=9), MPI.COMM_SELF)
    with pytest.raises(InputError, match=r"output\.micro.*: give points"):
        settings_of(folder, "[output.micro]\n")
    with pytest.raises(InputError, match=r"output\.micro.*most_loaded is -1; expected"):
        settings_of(folder, "[output.micro]\nmost_loaded = -1\n")


@pytest.mark.parametrize("measure", ["small", "gradient"])
def test_a_plane_cell_of_a_solid_is_written(folder: Path, measure: str) -> None:
    scalar = measure == "gradient"
    law = '"conductor"\nconductivity = ' if scalar else '"linear_elastic"\npoisson = 0.3\nyoung = '
    text = STRIP.split("[material.rve.phases.metal]")[0].replace("gdim = 2", "gdim = 3")
    text = text.replace('"small"', f'"{measure}"').replace('"rectangle"', '"box"')
    text = text.replace("[2, 1]", "[2, 1, 1]").replace("[2.0, 1.0]", "[2.0, 1.0, 1.0]")
    text += "gdim = 2\n"  # of the cell
    text += f"[material.rve.phases.metal]\nkind = {law}5.0\n"
    text += f"[material.rve.phases.polymer]\nkind = {law}1.0\n"
    text += '[[dirichlet]]\nboundary = "left"\n[[dirichlet]]\nboundary = "right"\n'
    text += "value = 0.1\n" if scalar else "value = [0.1, 0.0, 0.1]\n"
    (folder / "solid.toml").write_text(text)
    settings = with_micro(read_config(folder / "solid.toml"), most_loaded=1)
    done = run(settings, MPI.COMM_SELF, folder)
    (step,) = fields_in(folder / "micro_most_loaded_1.h5")
    assert step["node/u"].shape[1:] == (() if scalar else (3,))
    assert step["cell/stress"].shape[1:] == ((3,) if scalar else (9,))
    assert ("cell/von_mises" in step) == (not scalar)
    assert done.results.micro is not None
    (entry,) = done.results.micro.files["most_loaded_1"]
    worst = step["cell/stress_norm"].max()
    assert entry.largest_stress == pytest.approx(worst, rel=1e-12)
    assert entry.stress <= worst * (1 + 1e-9)  # a mean is no larger than the largest
    assert len(entry.place) == 2 and len(entry.point) == 3


def test_a_picture_shows_both_scales(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    settings = with_micro(settings_of(folder), points=[(0.2, 0.3)])
    shown = replace(settings, output=replace(settings.output, pictures=True, fields=False))
    run(shown, MPI.COMM_SELF, folder)
    assert (folder / "micro.png").stat().st_size > 10_000


@pytest.mark.mpi
@pytest.mark.parametrize("gdim", [2, 3])
def test_a_solid_is_shown_with_its_cells(folder: Path, gdim: int) -> None:
    """One element, its displacement prescribed: the point moves with it. Cells of both kinds."""
    pytest.importorskip("matplotlib")
    text = STRIP.split("[material.rve.phases.metal]")[0].replace("gdim = 2", "gdim = 3")
    text = text.replace('"rectangle"', '"box"').replace("[2, 1]", "[1, 1, 1]")
    text = text.replace("[2.0, 1.0]", "[2.0, 1.0, 1.0]") + f"gdim = {gdim}\n"
    for phase in ("metal", "polymer"):
        text += f'[material.rve.phases.{phase}]\nkind = "linear_elastic"\n'
        text += "young = 5.0\npoisson = 0.3\n"
    text += '[[dirichlet]]\nboundary = "left"\n[[dirichlet]]\nboundary = "right"\n'
    text += "value = [0.1, 0.0, 0.4]\n"
    if MPI.COMM_WORLD.rank == 0:
        (folder / "solid.toml").write_text(text)
    MPI.COMM_WORLD.barrier()
    settings = with_micro(read_config(folder / "solid.toml"), points=[(1.5, 0.3, 0.8)])
    shown = replace(settings, output=replace(settings.output, pictures=True, fields=False))
    done = run(shown, MPI.COMM_WORLD, folder)
    MPI.COMM_WORLD.barrier()
    assert done.micro is not None
    for name in ("stress", "micro"):
        assert (folder / f"{name}.png").stat().st_size > 10_000
    if MPI.COMM_WORLD.rank == 0:
        (view,) = done.micro.views()
        expected = np.array(view.point) + view.point[0] / 2.0 * np.array([0.1, 0.0, 0.4])
        np.testing.assert_allclose(view.moved, expected, rtol=0, atol=1e-12)
