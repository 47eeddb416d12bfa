"""Every surrogate with every key of its guard, from TOML: it works, or a sentence says why not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from guarding import alone, direct, with_guard
from mpi4py import MPI
from test_guard_settings import halves

from fesurrogate.build import ensure_dataset, ensure_model
from fesurrogate.build.calibration import calibration_of
from fesurrogate.build.precompute import ensure_table
from fesurrogate.build.problem import build_problem
from fesurrogate.config import Settings, read_config
from fesurrogate.config.phase import LinearSettings
from fesurrogate.errors import InputError
from fesurrogate.hierarchical.compress import compress
from fesurrogate.kinematics import Array
from fesurrogate.micro import RVEMaterial
from fesurrogate.run import run
from fesurrogate.run.certify import prepare

COMM = MPI.COMM_WORLD
POINTS = 16

BODY = """
[mesh]
generator = "rectangle"
cells = [2, 2]
[macro]
degree = 1
[kinematics]
gdim = 2
measure = "{measure}"
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
value = {moved}
[[reaction]]
boundary = "right"
[steps]
increments = 2
max_cuts = 1
[material]
kind = "{kind}"
{material}
[material.guard]
{guard}
[material.rve]
degree = 1
rtol = 1e-11
cell = {{ kind = "laminate", fractions = {{ soft = 0.5, stiff = 0.5 }}, resolution = 2 }}
[material.rve.phases]
{phases}
[output]
folder = "output"
pictures = false
[generate]
samples = 60
stretch = {stretch}
[calibration]
samples = 60
[train]
suspicious = "keep"
validation = 0.3
iterations = 20
hidden = [4]
{more}
"""


@dataclass(frozen=True)
class World:
    """A problem whose surrogate is one of several."""

    measure: str
    moved: str
    stretch: float
    phases: str
    constant: str  # a parameter of the cell, about 1


FINITE = World(
    "finite", "[0.2, 0.1]", 0.12,
    'soft = { kind = "neo_hookean", shear_modulus = 1.0, lame = 1.0 }\n'
    'stiff = { kind = "neo_hookean", shear_modulus = 6.0, lame = 6.0 }',
    "soft.shear_modulus",
)  # fmt: skip
SMALL = World(
    "small", "[0.03, 0.01]", 0.02,
    'soft = { kind = "linear_elastic", young = 1.0, poisson = 0.3 }\n'
    'stiff = { kind = "linear_elastic", young = 8.0, poisson = 0.2 }',
    "soft.young",
)  # fmt: skip
GRADIENT = World(
    "gradient", "1.0", 0.5,
    'soft = { kind = "conductor", conductivity = 1.0 }\n'
    'stiff = { kind = "conductor", conductivity = 8.0 }',
    "soft.conductivity",
)  # fmt: skip
PLASTIC = World(
    "small", "[0.012, 0.006]", 0.02,
    'stiff = { kind = "linear_elastic", young = 200.0, poisson = 0.2 }\n'
    '[material.rve.phases.soft]\nkind = "j2_plasticity"\nyoung = 70.0\npoisson = 0.33\n'
    "yield_stress = 0.3\nhardening = 5.0",
    "soft.yield_stress",
)  # fmt: skip
PHYSICAL = """model = "physical"
[train.physical.phases]
soft = { young = 70.0, poisson = 0.33, yield_stress = 0.3, hardening = 5.0, points = 2 }
stiff = { young = 200.0, poisson = 0.2, points = 1 }
"""
STRAINS = "".join(
    f'[precompute.axes."strain.{name}"]\nlow = -0.15\nhigh = {high}\npoints = 5\n'
    for name, high in (("xx", 0.15), ("yy", 0.15), ("xy", 0.15))
)
AXIS = "low = 0.8\nhigh = 1.2\npoints = 3\n"

SURROGATES: dict[str, tuple[World, str]] = {  # by name: what stands in [train], or [precompute]
    "energy": (FINITE, ""),
    "polyconvex": (FINITE, "[train.energy]\npolyconvex = true"),
    "ensemble": (FINITE, 'model = "polynomial"\nensemble = 3'),
    "gaussian_process": (FINITE, 'model = "gaussian_process"'),
    "parameters": (FINITE, 'model = "polynomial"'),
    "turned": (FINITE, 'model = "polynomial"'),
    "stress": (SMALL, 'model = "stress"'),
    "conduction": (GRADIENT, 'model = "polynomial"\nensemble = 2'),
    "table": (SMALL, f'[precompute.axes."soft.young"]\n{AXIS}'),
    "turned table": (SMALL, f'[precompute.axes."soft.young"]\n{AXIS}'),
    "compressed table": (GRADIENT, f'[precompute.axes."soft.conductivity"]\n{AXIS}'),
    "table over strain": (FINITE, f'[precompute]\nquantities = ["stress"]\n{STRAINS}'),
    "sampled table": (
        SMALL,
        '[precompute]\nsampling = "sobol"\nsamples = 8\n[precompute.axes."soft.young"]\n'
        "low = 0.8\nhigh = 1.2\n",
    ),
    "physical": (PLASTIC, PHYSICAL),
    "recurrent": (PLASTIC, 'model = "recurrent"\n[train.recurrent]\nwidth = 6'),
}


def written(folder: Path, name: str, guard: str = "") -> Settings:
    """Return the settings of a surrogate, from a TOML."""
    world, more = SURROGATES[name]
    table, material = "precompute" in more, ""
    parametric = name in ("parameters", "turned") or table and "strain" not in name
    if "turned" in name:
        material += "rotated = true\n"
    if parametric:
        formula = "0.7 + 0.4*x[0]" if table else "0.9 + 0.2*x[0]"  # of tables, beyond their axis
        angle = 'angle = "0.3*x[1]"\n' if "turned" in name else ""
        material += f'[material.parameters]\n"{world.constant}" = "{formula}"\n{angle}'
    if "compressed" in name:
        material += f'[material.table]\nfile = "{folder}/small.h5"\n'
    if parametric and not table:
        more += f'\n[generate.parameters]\n"{world.constant}" = [0.8, 1.2]\n'
    text = BODY.format(
        kind="table" if table else "network", material=material, guard=guard, more=more,
        **{key: getattr(world, key) for key in ("measure", "moved", "stretch", "phases")},
    )  # fmt: skip
    if world is PLASTIC:
        text = text.replace("samples = 60\nstretch", "samples = 10\nincrements = 6\nstretch")
        text = text.replace("samples = 60", "samples = 8")
        text = text.replace("[generate]\n", '[generate]\npath = "random_walk"\n')
    if COMM.rank == 0:
        (folder / "case.toml").write_text(text)
    COMM.Barrier()
    return read_config(folder / "case.toml")


def made(folder: Path, name: str, guard: str = "") -> Settings:
    """Return the settings of a surrogate that is there. Collective."""
    folder = COMM.bcast(folder)
    settings = written(folder, name, guard)
    assert settings.material is not None
    if settings.material.kind == "table":
        table = ensure_table(settings, COMM)
        if COMM.rank == 0 and "compressed" in name:
            compress(table.path, folder / "small.h5", tolerance=1e-2)
        COMM.Barrier()
        return settings
    ensure_dataset(settings, COMM)
    ensure_dataset(calibration_of(settings), COMM)
    ensure_model(settings, comm=COMM)
    return settings


ON_RANKS = ("ensemble", "turned table", "physical")


@pytest.mark.parametrize(
    "name",
    [pytest.param(k, marks=pytest.mark.mpi) if k in ON_RANKS else k for k in SURROGATES],
)
def test_every_surrogate_is_guarded_audited_and_certified(name: str, tmp_path: Path) -> None:
    settings = made(tmp_path, name, "audit = 8\ncertify = true")
    found = run(settings, COMM).results
    truth = run(direct(settings), COMM).results
    assert found.converged, found.message
    audit, certified, last = found.audit, found.certified, found.history[-1]
    assert audit is not None and certified is not None and certified.converged
    away = sum((last.fallback or {}).values())
    assert audit.served == POINTS - away and audit.points == min(audit.points, audit.served)
    assert bool(audit.points) == bool(audit.served) and last.untrusted is None
    if "table" in name:
        assert last.fallback is not None and away and last.fallback["outside"] > 0
    exact = np.array(truth.reaction["right"])
    off = float(np.linalg.norm(certified.reaction["right"] - exact) / np.linalg.norm(exact))
    assert off < (1e-6 if SURROGATES[name][0] is PLASTIC else 1e-8)


@pytest.mark.parametrize("name", ["energy", "table over strain", "physical"])
def test_every_policy_says_what_it_does(name: str, tmp_path: Path) -> None:
    settings = made(tmp_path, name, "tolerance = 1e-9\naudit = 100")
    fallen = run(settings, COMM).results
    assert fallen.converged and fallen.history[-1].untrusted is None
    assert fallen.audit is not None and fallen.audit.points == 0  # all fell back
    for policy in ("cutback", "error"):
        found = run(with_guard(settings, policy=policy), COMM).results
        assert not found.converged and "not trusted" in found.message
        assert ("by their guard" in found.message) == (policy == "cutback")
    warned = run(with_guard(settings, policy="warn"), COMM).results
    if name == "table over strain":  # outside of its axes there is no answer to be had
        assert not warned.converged and "not trusted by their guard" in warned.message
        return
    last = warned.history[-1]
    assert warned.converged and last.untrusted is not None and last.fallback is not None
    assert sum(last.untrusted.values()) == POINTS and not any(last.fallback.values())
    assert warned.audit is not None and warned.audit.points == warned.audit.served == POINTS


@pytest.mark.parametrize(
    ("name", "guard", "said"),
    [
        ("energy", 'measures = ["deviation"]', "an ensemble or a Gaussian process has deviation"),
        ("energy", "audit = 7", "expected 0, or at least 8 points"),
        ("energy", "tolerance = 0.0", "tolerance is 0.0; expected a number > 0"),
        ("energy", 'reference = "table"', "expected an exact Material"),
        ("energy", 'reference = "linear"', r"no table \[material.linear\]"),
        ("physical", "max_increments = 1", "max_increments is 1, but the run has 2 increments"),
        ("table", 'policy = "warn"\ncertify = true', "or widen the"),
    ],
)
def test_what_cannot_be_is_refused(name: str, guard: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        run(made(tmp_path, name, guard), COMM)


@pytest.mark.parametrize("kind", ["linearised_rve", "linear", "rve"])
def test_beside_other_kinds_a_guard_is_ignored_not_silently(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = written(tmp_path, "table", "audit = 8\ncertify = true")
    assert settings.material is not None
    law = LinearSettings(young=2.0, poisson=0.3)
    table = replace(settings.material, kind=kind, linear=law)
    if kind != "rve":
        table = replace(table, parameters=None)
    found = run(replace(settings, material=table), COMM).results
    assert found.converged and found.audit is None and found.certified is None
    said = f"material.guard asks for an audit or a certificate, but kind is '{kind}'"
    assert (said in caplog.text) == (kind != "rve"), caplog.text  # that is exact


def test_a_model_without_history_is_no_stand_in_for_a_cell_that_has_it(tmp_path: Path) -> None:
    settings = made(tmp_path, "stress")
    assert settings.material is not None and settings.material.rve is not None
    metal = written(COMM.bcast(tmp_path), "physical").material
    assert metal is not None
    other = replace(settings, material=replace(settings.material, rve=metal.rve))
    with pytest.raises(InputError, match="history in both or in neither"):
        run(other, COMM)
    assert run(alone(other), COMM).results.converged


@pytest.mark.mpi
def test_cells_beside_a_guard_are_counted_when_they_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell that is solved, seen by itself, is in one of the two counts of the results."""
    monkeypatch.setattr("fesurrogate.build.problem.rectangle", halves)
    settings = made(tmp_path, "energy", 'policy = "warn"\ncertify = true')
    assert settings.material is not None
    cells = {"upper": replace(settings.material, kind="rve", guard=None)}
    settings = replace(settings, regions=cells)
    respond, solved = RVEMaterial.respond, 0

    def counted(self: RVEMaterial, strain: Array, *given: object, **options: object) -> object:
        nonlocal solved
        solved += len(strain)
        return respond(self, strain, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(RVEMaterial, "respond", counted)
    found = run(settings, COMM).results
    certified = found.certified
    assert certified is not None and certified.converged and certified.leads
    assert found.rve_solves + certified.rve_solves == COMM.allreduce(solved)
    assert certified.rve_solves > POINTS * (certified.newton_iterations + 2)  # those that lead
    # a checkpoint keeps what was counted
    first, second = (prepare(build_problem(settings, COMM)).led for _ in range(2))
    first.surrogate.fields[0].tally.counts["rve_solves"] += 5
    facts, rows = first.kept()
    second.resume({**facts, "time": 0.0}, [row for _, row in rows])
    assert second.counts() == {"rve_solves": 5 * COMM.size}
