"""A dataset holds together; the farm is the serial answer, whatever the ranks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract import watchdog
from test_contract import world

from fesurrogate.config.data import GenerateSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.plan import plan_of
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity, Linear, NeoHookean, isotropic_stiffness
from fesurrogate.material import Material, Response

LAW = NeoHookean(2, shear_modulus=1.0, lame=2.0)


class Memory(Material):
    """Stress = strain + state, the state counts increments weighted by dt; fails beyond 0.5."""

    kinematics = Kinematics(2)
    num_state = 1

    def respond(
        self,
        strain: Array,
        state: Array,
        dt: float,
        *,
        parameters: Array,
        hint: Array,
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer."""
        n = len(strain)
        ok = (np.abs(strain) < 0.5).all(axis=1)
        stress = np.where(ok[:, None], strain + state, np.nan)
        moduli = np.where(ok[:, None, None], np.tile(np.eye(3), (n, 1, 1)), np.nan)
        return Response(stress, moduli if tangent else None, state + dt, hint.copy(), ok)


def test_wrong_shapes_are_refused() -> None:
    kinematics = Kinematics(2)
    with pytest.raises(InputError, match="strain"):
        Dataset(kinematics, np.zeros((4, 3)), np.zeros((4, 3)), None, np.ones((4, 1), bool))
    with pytest.raises(InputError, match="stress"):
        Dataset(kinematics, np.zeros((4, 1, 3)), np.zeros((4, 1, 4)), None, np.ones((4, 1), bool))
    with pytest.raises(InputError, match="strains"):
        generate(LAW, np.zeros((4, 1, 3)))


def test_split_is_a_seeded_partition() -> None:
    dataset = generate(LAW, stretches(LAW.kinematics, 20, 0.2))
    training, held_out = dataset.split(0.25, seed=1)
    assert (len(training), len(held_out)) == (15, 5)
    both = np.concatenate([training.strain, held_out.strain])[:, 0]
    np.testing.assert_array_equal(
        both[np.lexsort(both.T)], dataset.strain[:, 0][np.lexsort(dataset.strain[:, 0].T)]
    )
    assert training.fingerprint == dataset.split(0.25, seed=1)[0].fingerprint
    assert training.fingerprint != dataset.split(0.25, seed=2)[0].fingerprint
    with pytest.raises(InputError, match="at least one path"):
        dataset.split(0.01, seed=1)


@pytest.mark.mpi
def test_farm_gives_the_serial_answer_in_order() -> None:
    strain = stretches(LAW.kinematics, 50, 0.2)
    exact = LAW.evaluate(strain[:, 0])
    for chunk in (None, 1, 7, 1000):
        dataset = generate(LAW, strain, world(), chunk=chunk)
        np.testing.assert_allclose(dataset.stress[:, 0], exact.stress, rtol=0.0, atol=1e-14)
        np.testing.assert_allclose(dataset.tangent[:, 0], exact.tangent, rtol=0.0, atol=1e-13)
        assert dataset.ok.all()
    assert generate(LAW, strain, world(), tangents=False).tangent is None


@pytest.mark.mpi
def test_farm_follows_history_and_stops_at_failure() -> None:
    times = np.array([[1.0, 2.0, 0.5], [0.5, 0.5, 0.5], [1.0, 1.0, 1.0], [3.0, 2.0, 1.0]])
    strain = np.full((4, 3, 3), 0.1)
    strain[2, 1] = 0.9
    dataset = generate(Memory(), strain, world(), dt=times, chunk=1)
    before = np.cumsum(times, axis=1) - times  # state at the last accepted increment
    expected = strain + before[:, :, None]
    np.testing.assert_array_equal(dataset.ok[2], [True, False, False])
    np.testing.assert_allclose(dataset.stress[dataset.ok], expected[dataset.ok], rtol=1e-15)
    assert np.isnan(dataset.stress[2, 1:]).all() and dataset.failed == 2
    np.testing.assert_array_equal(dataset.dt, times)


class Raises(Material):
    """Raises where the first component is above a bound."""

    kinematics = Kinematics(2)

    def respond(self, strain: Array, *arguments: Any, **options: Any) -> Response:
        """Answer or raise."""
        if (strain[:, 0] > 0.15).any():
            raise ArithmeticError("the micro solver broke")
        n = len(strain)
        return Response(
            strain.copy(), np.zeros((n, 3, 3)), np.zeros((n, 0)), np.zeros((n, 0)),
            np.ones(n, dtype=bool),
        )  # fmt: skip


@pytest.mark.mpi
def test_an_exception_on_one_rank_reaches_all() -> None:
    strain = stretches(Kinematics(2), 32, 0.1)
    strain[17] = 0.2  # one path, on one rank
    with watchdog(60.0), pytest.raises((ArithmeticError, RuntimeError), match="broke"):
        generate(Raises(), strain, world(), chunk=2)


def test_plain_progress_lines(capsys: pytest.CaptureFixture[str]) -> None:
    strain = stretches(LAW.kinematics, 64, 0.2)
    generate(LAW, strain, chunk=8, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert "8/64" in lines[0] and "64/64" in lines[-1] and "left" in lines[0]
    generate(LAW, strain, chunk=8)
    assert capsys.readouterr().err == ""


class Crowd(Material):
    """J2 plasticity whose last digits depend on the size of the batch, as with a BLAS."""

    law = J2Plasticity(2, young=100.0, poisson=0.3, yield_stress=1.0, hardening=5.0)
    kinematics, num_state = law.kinematics, law.num_state

    def respond(self, strain: Array, state: Array, dt: float, **options: Any) -> Response:
        """Answer."""
        answer = self.law.respond(strain, state, dt, **options)
        return replace(answer, stress=answer.stress * (1.0 + len(strain) * np.finfo(float).eps))


@pytest.mark.mpi
def test_answers_are_the_same_bits_on_any_number_of_ranks() -> None:
    """A block is one batch whoever evaluates it."""
    law = Crowd()
    wanted = GenerateSettings(samples=30, stretch=0.03, path="random_walk", increments=2, dt=0.5)
    plan = plan_of(law.kinematics, wanted)
    strain, dt = plan.strain(np.arange(30)), plan.dt(np.arange(30))
    shared, alone = generate(law, strain, world(), dt=dt), generate(law, strain, dt=dt)
    assert shared.fingerprint == alone.fingerprint
    assert set(alone.reports) == {"energy", "dissipation"}


def test_reports_that_are_asked_for_must_be_there() -> None:
    strain = stretches(LAW.kinematics, 5, 0.1)
    assert generate(LAW, strain, reports=()).reports == {}
    exact = LAW.evaluate(strain[:, 0]).report["energy"]
    np.testing.assert_allclose(generate(LAW, strain, reports=("energy",)).reports["energy"][:, 0],
                               exact, rtol=1e-14)  # fmt: skip
    with pytest.raises(InputError, match="reports no 'fluctuation'; expected one of energy"):
        generate(LAW, strain, reports=("fluctuation",))


STRIP = """
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "rectangle"
cells = [4, 2]
[material]
kind = "neo_hookean"
[material.neo_hookean]
shear_modulus = 1.0
lame = 2.0
[[dirichlet]]
boundary = "left"
[[traction]]
boundary = "right"
value = [0.1, 0.1]
[steps]
increments = 3
end = 6.0
"""


@pytest.mark.mpi
def test_paths_of_a_macro_run_are_sampled(tmp_path: Path) -> None:
    """A coarse run with a cheap law says what another one is asked."""
    pytest.importorskip("dolfinx")
    from fesurrogate.build.problem import build_problem
    from fesurrogate.config import read_config
    from fesurrogate.data.record import Recorder
    from fesurrogate.fem.stepping import run_increments

    (tmp_path / "strip.toml").write_text(STRIP)
    comm = world()
    model = build_problem(read_config(tmp_path / "strip.toml"), comm)
    (field,) = model.fields.values()
    recorder = Recorder(field, comm, tangents=True)
    run_increments(
        model.problem, model.apply_load, model.settings.steps.end_times, on_accept=recorder
    )
    recorded = recorder.dataset()
    count = comm.allreduce(field.num_points)
    assert recorded.strain.shape == (count, 3, 4) and recorded.ok.all()
    np.testing.assert_array_equal(recorded.dt, 2.0)
    again = generate(LAW, recorded.strain)
    np.testing.assert_allclose(recorded.stress, again.stress, atol=1e-12)
    np.testing.assert_allclose(recorded.tangent, again.tangent, atol=1e-11)
    turned = np.abs(recorded.strain[:, -1, 1] - recorded.strain[:, -1, 2]).max()
    assert turned > 1e-3  # the run does rotate
    wanted = GenerateSettings(path="recorded", recorded=tmp_path, samples=count)
    stretched = plan_of(field.material.kinematics, wanted, recorded=recorded).strain(np.arange(9))
    np.testing.assert_allclose(stretched[:, :, 1], stretched[:, :, 2], atol=1e-15)


@pytest.mark.mpi
def test_parameters_and_dt_from_a_toml(tmp_path: Path) -> None:
    """Young's modulus as a sampled parameter: the stress is proportional to it."""
    pytest.importorskip("dolfinx")
    from fesurrogate.build import ensure_dataset
    from fesurrogate.config import read_config

    comm = world()
    folder = Path(comm.bcast(str(tmp_path)))
    if comm.rank == 0:
        (folder / "case.toml").write_text(
            '[kinematics]\ngdim = 2\n[material]\nkind = "linear"\n'
            "[material.linear]\nyoung = 1.0\npoisson = 0.3\n"
            '[material.parameters]\nyoung = "1 + x[0]"\n[output]\nfolder = "out"\n'
            '[generate]\nsource = "linear"\nsamples = 20\npath = "proportional"\nincrements = 3\n'
            "dt = [0.1, 1.0]\nunits = 'mm, MPa'\n[generate.parameters]\nyoung = [2.0, 4.0]\n"
        )
    comm.Barrier()
    settings = read_config(folder / "case.toml")
    made = ensure_dataset(settings, comm)
    data = made.dataset
    assert data.parameter_names == ("young",) and data.units == "mm, MPa" and not made.reused
    assert data.dt is not None and 0.1 <= data.dt.min() < data.dt.max() <= 1.0
    unit = Linear(data.kinematics, isotropic_stiffness(data.kinematics, young=1.0, poisson=0.3))
    exact = generate(unit, data.strain).stress * data.parameters[:, :, None]
    np.testing.assert_allclose(data.stress, exact, rtol=1e-12, atol=1e-13)
    assert ensure_dataset(settings, comm).reused
    lacking = replace(settings, generate=replace(settings.generate, parameters={}))
    with pytest.raises(InputError, match="generate.parameters lacks young"):
        ensure_dataset(lacking, comm)
    comm.Barrier()
