"""`fesurrogate homogenize` against closed forms, bounds and finer meshes; how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from ranks import shared_folder
from test_cli import ends

from fesurrogate import Kinematics
from fesurrogate.config import read_config
from fesurrogate.homogenize import homogenize
from fesurrogate.homogenize.fields import unit_stress_fields
from fesurrogate.homogenize.path import follow
from fesurrogate.homogenize.views import stiffness_at_rest, views_of
from fesurrogate.laws import J2Plasticity
from fesurrogate.micro.cells.refine import refined

WORLD = MPI.COMM_WORLD
STIFF, SOFT = (74.0, 0.2), (3.35, 0.35)  # E (GPa) and ν of glass and epoxy
LAMINATE = """
title = "Layers"
[kinematics]
gdim = 2
measure = "small"
[material]
kind = "rve"
[material.rve]
degree = 1
[material.rve.cell]
kind = "laminate"
fractions = { stiff = 0.25, soft = 0.75 }
resolution = 4
[material.rve.phases.stiff]
kind = "linear_elastic"
young = 74.0
poisson = 0.2
[material.rve.phases.soft]
kind = "linear_elastic"
young = 3.35
poisson = 0.35
[output]
folder = "output"
pictures = false
"""
ELASTIC = {
    name: f'kind = "linear_elastic"\nyoung = {E}\npoisson = {nu}'
    for name, (E, nu) in {"stiff": STIFF, "soft": SOFT}.items()
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that all ranks share."""
    with shared_folder() as path:
        yield path


def write(folder: Path, *changes: tuple[str, str], more: str = "", name: str = "cell.toml") -> Path:
    """Write the laminate with changes; collective."""
    text = LAMINATE + more
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    if WORLD.rank == 0:
        (folder / name).write_text(text)
    WORLD.Barrier()
    return folder / name


def other_cell(kind: str, *, phases: tuple[str, str] = ("fibre", "matrix")) -> list:
    """Return the changes that put another cell in place of the laminate."""
    return [
        ('kind = "laminate"\nfractions = { stiff = 0.25, soft = 0.75 }\nresolution = 4', kind),
        ("phases.stiff", f"phases.{phases[0]}"),
        ("phases.soft", f"phases.{phases[1]}"),
    ]


def laws(kind: str, stiff: str, soft: str) -> list[tuple[str, str]]:
    """Return the changes that put other laws in place of the elastic ones."""
    new = {"stiff": stiff, "soft": soft}
    return [(ELASTIC[name], f'kind = "{kind}"\n{new[name]}') for name in new]


def found(path: Path) -> dict:
    """Return what the library finds without writing it."""
    return homogenize(read_config(path), WORLD).results


def lame(young: float, poisson: float) -> tuple[float, float]:
    shear = young / (2 * (1 + poisson))
    return 2 * shear * poisson / (1 - 2 * poisson), shear


def backus(fraction: float) -> np.ndarray:  # (6, 6)
    """Return the Mandel stiffness of layers normal to x (Backus 1962, eq. 13)."""
    f = np.array([fraction, 1 - fraction])
    lam, mu = np.array([lame(*STIFF), lame(*SOFT)]).T
    M = lam + 2 * mu
    C = np.zeros((6, 6))
    C[0, 0] = 1 / (f @ (1 / M))
    C[0, 1:3] = C[1:3, 0] = C[0, 0] * (f @ (lam / M))
    coupled = (f @ (lam / M)) ** 2 * C[0, 0]
    C[1, 1] = C[2, 2] = f @ (4 * mu * (lam + mu) / M) + coupled
    C[1, 2] = C[2, 1] = f @ (2 * mu * lam / M) + coupled
    C[3, 3] = 2 * (f @ mu)
    C[4, 4] = C[5, 5] = 2 / (f @ (1 / mu))
    return C


# -- what it answers ------------------------------------------------------------------------


@pytest.mark.mpi
def test_laminate_from_the_command_line_is_backus_closed_form(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A laminate is piecewise affine: its mesh has no error, its prism is the solid."""
    assert ends("homogenize", write(folder)) == 0
    said = WORLD.bcast(capfd.readouterr().out)
    results = json.loads((folder / "output" / "homogenize" / "results.json").read_text())
    assert said.splitlines()[-1] == f"results: {folder / 'output' / 'homogenize' / 'results.json'}"
    for part in ("Layers", "stiff 0.25", "E1_plane_strain", "generalised plane strain", "Voigt"):
        assert said.count(part) >= 1
    C = backus(0.25)
    tolerance = 1e-9 * C.max()
    np.testing.assert_allclose(results["stiffness"]["solid"], C, rtol=0, atol=tolerance)
    plane = C[np.ix_([0, 1, 5], [0, 1, 5])]
    np.testing.assert_allclose(results["stiffness"]["plane"], plane, rtol=0, atol=tolerance)
    S = np.linalg.inv(C)
    constants = results["engineering"]["solid"]["orthotropic"]
    assert constants["E1"] == pytest.approx(1 / S[0, 0])
    assert constants["E3"] == pytest.approx(1 / S[2, 2])
    assert constants["nu12"] == pytest.approx(-S[1, 0] / S[0, 0])
    assert constants["G23"] == pytest.approx(C[3, 3] / 2)
    for view in ("plane", "solid"):
        assert results["discretisation"][view]["error"] < 1e-12
        bounds = results["bounds"][view]
        for low, high in (("reuss", "cell"), ("cell", "voigt")):
            for row in bounds["moduli"].values():
                assert row[low] <= row[high] * (1 + 1e-9)
    assert results["volume_fractions"] == pytest.approx({"stiff": 0.25, "soft": 0.75})
    assert results["converged"] and results["message"] == "" and results["path"] is None
    assert set(results) == {
        "format", "title", "measure", "gdim", "volume_fractions", "stiffness", "engineering",
        "anisotropy", "bounds", "discretisation", "path", "notes", "converged", "message",
        "material", "seconds", "versions",
    }  # fmt: skip


def test_solid_laminate_and_prism_in_the_kinematics_of_the_solid(folder: Path) -> None:
    solid = ("gdim = 2", "gdim = 3")
    whole = found(write(folder, solid, ("resolution = 4", "resolution = 4\ngdim = 3")))
    prism = found(write(folder, solid, ("resolution = 4", "resolution = 4\ngdim = 2")))
    for results in (whole, prism):
        assert list(results["stiffness"]) == ["solid"]
        np.testing.assert_allclose(results["stiffness"]["solid"], backus(0.25), atol=1e-7)
    # fibres and solid: Hashin and Shtrikman speak of other moduli
    assert set(whole["bounds"]["solid"]["moduli"]) == {"K", "G"}
    assert set(prism["bounds"]["solid"]["moduli"]) == {"K_across", "G_across", "G_along"}
    assert whole["engineering"]["solid"]["transversely_isotropic"]["axis"] == 1


def test_finite_strain_at_rest_is_small_strain(folder: Path) -> None:
    constants = [
        dict(zip(("lame", "shear_modulus"), lame(*law), strict=True)) for law in (STIFF, SOFT)
    ]
    texts = ["\n".join(f"{k} = {v!r}" for k, v in values.items()) for values in constants]
    finite = found(
        write(folder, ('measure = "small"', 'measure = "finite"'), *laws("neo_hookean", *texts))
    )
    C = backus(0.25)
    np.testing.assert_allclose(finite["stiffness"]["solid"], C, rtol=0, atol=1e-9 * C.max())
    assert np.shape(finite["stiffness"]["finite"]) == (4, 4)
    assert finite["stiffness"]["finite"][0][0] == pytest.approx(C[0, 0])


def test_conduction_in_series_in_parallel_and_along_the_prism(folder: Path) -> None:
    gradient = ('measure = "small"', 'measure = "gradient"')
    both = laws("conductor", "conductivity = 5.0", "conductivity = 1.0")
    results = found(write(folder, gradient, *both))
    series, parallel = 1 / (0.25 / 5 + 0.75), 0.25 * 5 + 0.75
    np.testing.assert_allclose(
        results["stiffness"]["solid"], np.diag([series, parallel, parallel]), atol=1e-12
    )
    assert results["engineering"]["plane"]["k1"] == pytest.approx(series)
    assert results["anisotropy"]["plane"]["ratio"] == pytest.approx(parallel / series)
    row = results["bounds"]["plane"]["moduli"]["k"]
    assert row["reuss"] <= row["hs_lower"] <= row["hs_upper"] <= row["voigt"]


@pytest.mark.parametrize("kind", ["square", "hexagonal"])
def test_packings_lie_within_the_bounds_and_their_error_is_held(folder: Path, kind: str) -> None:
    """True error: of the same polygons, refined twice more."""
    packing = f'kind = "{kind}"\nvolume_fraction = 0.4\nresolution = 8'
    path = write(folder, *other_cell(packing))
    results = found(path)
    bounds = results["bounds"]["solid"]
    for name, row in bounds["moduli"].items():
        chain = [row[key] for key in ("reuss", "hs_lower", "cell", "hs_upper", "voigt")]
        if (kind, name) != ("square", "G_across"):  # in which it is not isotropic
            assert chain == sorted(chain), name
    assert (bounds["departure"] < 1e-3) == (kind == "hexagonal")
    estimate = results["discretisation"]["solid"]
    view = views_of(read_config(path))[0][-1]
    cell = view.rve.cell
    for _ in range(3):
        cell = refined(cell)
    exact = stiffness_at_rest(view.on(cell))
    value = np.array(results["stiffness"]["solid"])
    true = np.linalg.norm(value - exact) / np.linalg.norm(value)
    assert true <= estimate["error"] <= 4 * true
    assert [level["elements"] * 4 for level in estimate["meshes"][:1]] == [
        level["elements"] for level in estimate["meshes"][1:]
    ]


def test_void_counts_as_a_phase_without_stiffness(folder: Path) -> None:
    lattice = 'kind = "lattice"\nvolume_fraction = 0.36\nresolution = 10'
    removed = ("[material.rve.phases.soft]\n" + ELASTIC["soft"] + "\n", "")
    changes = other_cell(lattice)[:1]
    results = found(write(folder, removed, *changes, ("phases.stiff", "phases.matrix")))
    assert results["volume_fractions"]["void"] == pytest.approx(0.64)
    for row in results["bounds"]["solid"]["moduli"].values():
        assert row["reuss"] == row["hs_lower"] == 0.0
        assert 0 < row["cell"] < row["hs_upper"] < row["voigt"]
    constants = results["engineering"]["solid"]["orthotropic"]
    # struts of width 1 - √0.64 across x, and the prism in parallel along z
    assert constants["E3"] == pytest.approx(0.36 * STIFF[0], rel=1e-6)
    assert constants["nu31"] == pytest.approx(STIFF[1], rel=1e-6)
    assert constants["E1"] == pytest.approx(constants["E2"], rel=1e-9)


def test_solid_lattice_lies_within_the_bounds_of_voids(folder: Path) -> None:
    lattice = 'kind = "lattice"\nvolume_fraction = 0.3\nresolution = 6'
    removed = ("[material.rve.phases.soft]\n" + ELASTIC["soft"] + "\n", "")
    solid = ("gdim = 2", "gdim = 3")
    path = write(
        folder, removed, solid, other_cell(lattice)[0], ("phases.stiff", "phases.matrix"),
        more="[homogenize]\nrefinements = 0\n",
    )  # fmt: skip
    results = found(path)
    for row in results["bounds"]["solid"]["moduli"].values():
        assert row["reuss"] == row["hs_lower"] == 0.0
        assert 0 < row["cell"] < row["hs_upper"] < row["voigt"]
    index = results["anisotropy"]["solid"]
    A = index["zener"]  # Ranganathan and Ostoja-Starzewski, of any cubic solid
    assert index["universal"] == pytest.approx(1.2 * (np.sqrt(A) - 1 / np.sqrt(A)) ** 2, rel=1e-6)


def test_a_strip_that_nothing_holds_across_has_no_constants(folder: Path) -> None:
    """Along the strip it is a plate in plane strain, E/(1-ν²) over half the height."""
    labels = np.repeat([0, 1, 1, 0], 4).reshape(4, 4)  # void above and below
    if WORLD.rank == 0:
        np.save(folder / "strip.npy", labels)
    image = 'kind = "image"\nfile = "strip.npy"\nlabels = { solid = 1, void = 0 }'
    path = write(
        folder, other_cell(image)[0], ("phases.stiff", "phases.solid"),
        ("phases.soft", "phases.void"), (ELASTIC["soft"], 'kind = "void"'),
    )  # fmt: skip
    results = found(path)
    E, nu = STIFF
    expected = np.zeros((3, 3))
    expected[0, 0] = 0.5 * E / (1 - nu**2)
    np.testing.assert_allclose(results["stiffness"]["plane"], expected, atol=1e-9 * E)
    assert "no compliance" in results["engineering"]["solid"]
    assert results["anisotropy"]["solid"] == {} and results["converged"]
    assert len(results["discretisation"]["plane"]["meshes"]) == 2


def test_stress_under_unit_strain_is_that_of_the_layers(folder: Path) -> None:
    """Sheared along the layers, each strains alike; across, they share the stress."""
    view = views_of(read_config(write(folder)))[0][-1]
    label, fields = unit_stress_fields(view)
    assert label == "von Mises stress" and len(fields) == 6
    values = fields[r"$2\varepsilon_{23} = 1$"]
    for name, law in (("stiff", STIFF), ("soft", SOFT)):
        mises = np.sqrt(3) * lame(*law)[1]  # of σ₂₃ = G
        np.testing.assert_allclose(values[view.rve.cell.phase_cells[name]], mises, rtol=1e-5)
    plane = views_of(read_config(write(folder)))[0][0]
    label, fields = unit_stress_fields(plane)
    assert label == "norm of the stress" and len(fields) == 3
    across = fields[r"$2\varepsilon_{12} = 1$"] / np.sqrt(2)
    series = 1 / (0.25 / lame(*STIFF)[1] + 0.75 / lame(*SOFT)[1])  # the layers share σ₁₂
    np.testing.assert_allclose(across, series, rtol=1e-5)


# -- a path ---------------------------------------------------------------------------------

METAL = {"young": 200.0, "poisson": 0.3, "yield_stress": 1.0, "hardening": 20.0}


def test_path_of_a_cell_of_one_metal_is_that_of_the_metal(folder: Path) -> None:
    text = "\n".join(f"{name} = {value}" for name, value in METAL.items())
    rows = [[0.01, 0.0, 0.0], [0.02, 0.0, 0.01], [0.0, 0.0, 0.0]]
    more = f"[homogenize]\nrefinements = 0\ndt = 0.5\npath = {rows}\n"
    results = found(write(folder, *laws("j2_plasticity", text, text), more=more))
    law = follow(J2Plasticity(2, **METAL), rows, 0.5)
    np.testing.assert_allclose(results["path"]["stress"], law.stress, rtol=0, atol=1e-8)
    assert np.linalg.norm(law.stress[-1]) > 0.5  # unloaded to no strain, not to no stress
    assert results["path"]["dt"] == 0.5 and results["path"]["failed"] is None
    assert len(results["path"]["report"]["micro_iterations"]) == 3
    assert results["discretisation"]["solid"]["error"] is None
    elastic = found(write(folder, *laws("linear_elastic", *["young = 200.0\npoisson = 0.3"] * 2)))
    virgin = results["stiffness"]["solid"]
    np.testing.assert_allclose(virgin, elastic["stiffness"]["solid"], atol=1e-8)


@pytest.mark.mpi
def test_a_path_that_fails_ends_with_3_and_names_the_increment(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = ["shear_modulus = 10.0\nlame = 15.0", "shear_modulus = 1.0\nlame = 1.5"]
    more = (
        "[homogenize]\npath = [[1.0, 0.0, 0.0, 1.0], [1.9, 0.0, 0.0, 0.3]]\n"
        "[solver.micro]\nsnes_max_it = 1\n"
    )
    finite = ('measure = "small"', 'measure = "finite"')
    path = write(folder, finite, *laws("neo_hookean", *texts), more=more)
    assert ends("homogenize", path, "--output", folder / "there") == 3
    said = WORLD.bcast(capfd.readouterr().err)
    assert said.count("error:") == 1 and "increment 2 of 2" in said
    results = json.loads((folder / "there" / "results.json").read_text())
    assert not results["converged"] and results["path"]["failed"] == 2
    assert len(results["path"]["stress"]) == 1 and "stiffness" in results


def test_pictures_are_written_in_the_plane_and_in_space(folder: Path) -> None:
    pictures = ("pictures = false", "pictures = true")
    more = "[homogenize]\nrefinements = 0\npath = [[0.1, 0.0, 0.0], [0.0, 0.0, 0.1]]\n"
    settings = read_config(write(folder, pictures, more=more))
    homogenize(settings, WORLD, folder / "plane")
    few = "[homogenize]\nrefinements = 0\n"
    solid = write(folder, pictures, ("gdim = 2", "gdim = 3"), more=few)
    homogenize(read_config(solid), WORLD, folder / "solid")
    for name in ("plane/cell", "plane/unit_strains", "plane/path", "solid/cell"):
        assert (folder / f"{name}.png").stat().st_size > 5000
    assert not (folder / "solid" / "path.png").exists()


# -- what it leaves out, and what it refuses ------------------------------------------------


def test_what_is_left_out_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fesurrogate.homogenize.effective.MAX_UNKNOWNS", {2: 10, 3: 10})
    outcome = homogenize(read_config(write(folder)), WORLD)
    assert "refinement 1 of 1 is left out" in outcome.results["notes"][0]
    assert "note: refinement 1" in outcome.text and "not estimated" in outcome.text
    assert outcome.results["discretisation"]["solid"]["error"] is None


def test_parameters_and_laws_of_the_plane_alone_are_said(folder: Path) -> None:
    fibres = (
        "young_along = 230.0\nyoung_across = 15.0\nshear_along = 15.0\npoisson_along = 0.2\n"
        "poisson_across = 0.07\ndirection = [1.0, 0.0]"
    )
    law = (ELASTIC["stiff"], f'kind = "transversely_isotropic"\n{fibres}')
    more = '[material.parameters]\n"soft.young" = "1 + x"\n'
    results = found(write(folder, law, more=more))
    assert list(results["stiffness"]) == ["plane"]
    assert "[material.parameters]" in results["notes"][0]
    assert "prism" in results["notes"][1] and "direction" in results["notes"][1]


REFUSED = {
    "kind": (('kind = "rve"', 'kind = "linear"'), ["'linear'", 'kind = "rve"']),
    "path size": (("[output]", "[homogenize]\npath = [[0.0, 0.1]]\n[output]"),
                  ["homogenize.path[0] has 2", "expected 3", "Mandel"]),
    "refinements": (("[output]", "[homogenize]\nrefinements = 9\n[output]"),
                    ["homogenize", "refinements is 9", "from 0 to 4"]),
    "unknown key": (("[output]", "[homogenize]\nrefine = 1\n[output]"),
                    ["homogenize.refine", "'refinements'"]),
    "time": (("[output]", "[homogenize]\ndt = 0.0\n[output]"), ["dt is 0.0", "> 0"]),
    "phase": (("phases.soft", "phases.matrix"), ["matrix", "soft"]),
    "output": (('folder = "output"', 'folder = "cell.toml"'), ["cell.toml is a file"]),
}  # fmt: skip


@pytest.mark.mpi
@pytest.mark.parametrize("case", REFUSED, ids=lambda name: name.replace(" ", "-"))
def test_bad_input_ends_with_code_2_and_one_message(
    folder: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    change, parts = REFUSED[case]
    assert ends("homogenize", write(folder, change)) == 2
    said = WORLD.bcast(capfd.readouterr().err)
    assert said.count("error:") == 1
    for part in parts:
        assert part in said
    assert not (folder / "output").exists()


def test_a_toml_without_a_material_is_told_what_it_needs(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty.toml").write_text("[kinematics]\ngdim = 2\n")
    (folder / "kind.toml").write_text('[kinematics]\ngdim = 2\n[material]\nkind = "rve"\n')
    for name, missing in (("empty", "[material]"), ("kind", "[material.rve]")):
        assert ends("homogenize", folder / f"{name}.toml") == 2
        assert f"there is no {missing} table" in capfd.readouterr().err


def test_inadmissible_path_is_refused() -> None:
    from fesurrogate import InputError
    from fesurrogate.homogenize.path import check_path

    with pytest.raises(InputError, match=r"path\[1\].*det F > 0"):
        check_path([[1, 0, 0, 1], [1, 0, 0, -1]], Kinematics(2, "finite"))
