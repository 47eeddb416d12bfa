"""Points that a model asks for: which, how they are kept, and when asking ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fesurrogate.build import ensure_dataset, ensure_model
from fesurrogate.build.active import _in_envelope, ensure_active
from fesurrogate.config import GenerateSettings, OutputSettings, Settings, TrainSettings
from fesurrogate.config.data import ActiveSettings
from fesurrogate.config.material import MaterialSettings
from fesurrogate.config.phase import LinearSettings, OgdenSettings
from fesurrogate.data.active import choose
from fesurrogate.data.added import batches_of
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.manifest import read_manifest
from fesurrogate.data.sampling import stretches
from fesurrogate.data.store import read_dataset, write_dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import Ogden
from fesurrogate.surrogate import load_network_material
from fesurrogate.trust import stress_scale

FINITE = Kinematics(2, "finite")
BULK = (4.0, 8.0)
TERMS = ((1.0, 6.0),)
LAW = Ogden(2, terms=TERMS, bulk_modulus=5.0)
VARYING = Ogden(2, terms=TERMS, bulk_modulus=5.0, parameters=("bulk_modulus",))


def settings_in(folder: Path, **active: Any) -> Settings:
    """Return settings of a law with a parameter, and of an ensemble that is wrong about it."""
    return Settings(
        kinematics=FINITE,
        material=MaterialSettings(
            kind="ogden", ogden=OgdenSettings(terms=TERMS, bulk_modulus=5.0)
        ),
        output=OutputSettings(folder=folder, pictures=False),
        generate=GenerateSettings(
            source="ogden", samples=20, parameters={"bulk_modulus": BULK},
            active=ActiveSettings(**{"batch": 6, "candidates": 256, **active}),
        ),
        train=TrainSettings(
            model="polynomial", ensemble=3, device="cpu"
        ),
    )  # fmt: skip


def trained(folder: Path, **active: Any) -> Settings:
    """Return settings whose dataset and model are there."""
    settings = settings_in(folder, **active)
    ensure_dataset(settings)
    ensure_model(settings)
    return settings


def test_equal_doubts_are_spread_as_far_as_can_be() -> None:
    line = np.linspace(0.0, 1.0, 17)[:, None]
    taken = choose(line, line[:1], np.ones(17), count=4)
    assert taken[0] == 16 and taken[1] == 8 and set(taken[2:]) == {4, 12}


def test_a_batch_does_not_pile_up_where_the_doubt_is() -> None:
    """Doubt e^(-4 |x|) from a corner: the most doubtful six lie in it, the chosen do not."""
    x = np.random.default_rng(3).random((600, 2))
    doubt = np.exp(-4.0 * np.linalg.norm(x, axis=1))
    doubt[x[:, 0] > 0.9] = 0.0

    def closest(rows: np.ndarray) -> float:
        apart = np.linalg.norm(x[rows, None] - x[rows][None], axis=2)
        return float(apart[~np.eye(len(rows), dtype=bool)].min())

    taken = choose(x, np.zeros((0, 2)), doubt, count=6)
    most = np.argsort(doubt)[-6:]
    assert taken[0] == most[-1]
    assert closest(taken) > 5.0 * closest(most)
    assert doubt[taken].mean() > 2.0 * doubt.mean() and (x[taken, 0] <= 0.9).all()


def test_no_point_is_chosen_twice_and_no_answer_is_the_largest_doubt() -> None:
    x = np.arange(5.0)[:, None]
    doubt = np.array([1.0, 0.0, np.inf, np.nan, 0.0])
    taken = choose(x, x[:1], doubt, count=9)
    assert set(taken[:2]) == {2, 3} and sorted(taken) == [1, 2, 3, 4]
    assert len(choose(x, x, doubt, count=3)) == 0


def test_a_batch_is_added_once_and_where_the_model_is_unsure(tmp_path: Path) -> None:
    settings = trained(tmp_path)
    before = read_dataset(settings.dataset)
    asked = ensure_active(settings, settings.model)
    data = asked.made.dataset
    assert len(data) == 26 and not asked.reused
    assert data.take(np.arange(20)).fingerprint == before.fingerprint
    (batch,) = batches_of(asked.made.manifest)
    np.testing.assert_array_equal(data.strain[20:, 0], batch.strain)
    np.testing.assert_array_equal(data.parameters[20:], batch.parameters)
    assert data.parameters.min() >= BULK[0] and data.parameters.max() <= BULK[1]
    assert np.abs(data.strain[:, 0] - FINITE.rest).max() <= 0.2 + 1e-12
    model = load_network_material(settings.model)
    elsewhere = stretches(FINITE, 256, 0.2, seed=8)[:, 0]
    parameters = np.random.default_rng(8).uniform(*BULK, (256, 1))
    typical = model.evaluate(elsewhere, parameters=parameters).report["standard_deviation"]
    there = model.evaluate(batch.strain, parameters=batch.parameters)
    np.testing.assert_allclose(
        batch.doubt, there.report["standard_deviation"] / stress_scale(before), rtol=1e-12
    )
    assert np.median(there.report["standard_deviation"]) > np.quantile(typical, 0.8)
    wrong = np.linalg.norm(there.stress - data.stress[20:, 0], axis=1)
    scale = stress_scale(data)
    assert batch.error(data, scale) == pytest.approx(np.sqrt((wrong**2).mean()) / scale, rel=1e-10)
    assert ensure_active(settings, settings.model).reused
    assert ensure_dataset(settings).reused
    ensure_model(settings)
    more = ensure_active(settings, settings.model).made
    assert len(more.dataset) == 32
    candidates = _in_envelope(settings, before, 0)[0]  # of the first batch; the next has others
    shared = [
        int((each.strain[:, None] == candidates).all(axis=2).any(axis=1).sum())
        for each in batches_of(more.manifest)
    ]
    assert shared == [6, 0]


def test_more_samples_come_behind_what_was_added(tmp_path: Path) -> None:
    """The drawn points are those of a dataset without others, bit for bit."""
    settings = settings_in(tmp_path / "one")
    settings = replace(settings, generate=replace(settings.generate, dt=(0.1, 10.0)))
    ensure_dataset(settings)
    ensure_model(settings)
    ensure_active(settings, settings.model)
    larger = replace(settings, generate=replace(settings.generate, samples=33))
    data = ensure_dataset(larger).dataset
    plain = ensure_dataset(
        replace(larger, output=OutputSettings(folder=tmp_path / "other"))
    ).dataset
    drawn = np.r_[:20, 26:39]
    assert len(data) == 39 and data.take(drawn).fingerprint == plain.fingerprint
    assert len(ensure_dataset(settings).dataset) == 39  # one with added points is not made smaller
    assert ensure_dataset(larger).reused
    assert len(ensure_dataset(settings, fresh=True).dataset) == 20


def test_what_an_error_or_a_kill_interrupts_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The points were written down before any was computed: the model is not asked again."""
    settings = trained(tmp_path / "one")
    (tmp_path / "two").mkdir()
    model = (tmp_path / "two" / "model.safetensors").resolve()
    model.write_bytes(settings.model.read_bytes())
    whole = ensure_active(settings, settings.model).made.dataset
    other = replace(settings, output=OutputSettings(folder=tmp_path / "two"))
    ensure_dataset(other)

    def broken(*_: Any, **__: Any) -> None:
        raise ArithmeticError("the law broke")

    with monkeypatch.context() as patched, pytest.raises(ArithmeticError):
        patched.setattr(Ogden, "evaluate", broken)
        ensure_active(other, model)
    head = read_manifest(other.dataset)
    assert not head.complete and head.paths == 26
    model.unlink()
    assert ensure_dataset(other).dataset.fingerprint == whole.fingerprint


@pytest.mark.mpi
def test_the_points_are_the_same_on_any_number_of_ranks(tmp_path: Path) -> None:
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    folder = Path(comm.bcast(str(tmp_path)))
    if comm.rank == 0:
        alone = trained(folder / "alone")
        ensure_active(alone, alone.model)
    comm.Barrier()
    alone = settings_in(folder / "alone")
    settings = settings_in(folder / "together")
    found = ensure_active(settings, alone.model, comm).made
    comm.Barrier()
    assert found.dataset.fingerprint == read_dataset(alone.dataset).fingerprint
    comm.Barrier()


def test_training_and_asking_go_on_until_the_error_is_reached(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, error=1e-2, most_samples=60)
    asked = ensure_active(settings, settings.model)
    data, batches = asked.made.dataset, batches_of(asked.made.manifest)
    errors = [batch.error(data, stress_scale(data)) for batch in batches]
    assert len(batches) > 1 and errors[-1] <= 1e-2 < min(errors[:-1])
    assert len(asked.lines) == len(batches) and f"{errors[-1]:.3%}" in asked.lines[-1]
    assert ensure_model(settings).reused  # trained with the last batch
    assert ensure_active(settings, settings.model).reused
    fuller = settings_in(tmp_path, most_samples=len(data) + 8)
    assert len(ensure_active(fuller, settings.model).made.dataset) == len(data) + 8  # 6 and 2


def test_points_of_a_macro_run_are_candidates(tmp_path: Path) -> None:
    settings = trained(tmp_path)
    rotation = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    walked = 0.5 * (stretches(FINITE, 10, 0.1, seed=5) - FINITE.rest) + FINITE.rest
    turned = (rotation @ walked.reshape(10, 2, 2)).reshape(10, 1, 4)
    write_dataset(
        generate(VARYING, turned, parameters=np.linspace(5.0, 6.0, 10)[:, None]), tmp_path / "paths"
    )
    wanted = replace(settings.generate, active=ActiveSettings(batch=4, recorded=tmp_path / "paths"))
    data = ensure_active(replace(settings, generate=wanted), settings.model).made.dataset
    for strain, parameter in zip(data.strain[20:, 0], data.parameters[20:], strict=True):
        (row,) = np.flatnonzero(np.abs(walked[:, 0] - strain).max(axis=1) < 1e-12)
        assert parameter == np.linspace(5.0, 6.0, 10)[row]


def test_a_model_without_deviation_asks_where_samples_are_far(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings = replace(settings, train=replace(settings.train, ensemble=1))
    ensure_dataset(settings)
    ensure_model(settings)
    made = ensure_active(settings, settings.model).made
    (batch,) = batches_of(made.manifest)
    assert batch.measure == "novelty" and batch.doubt.min() > 1.0  # spacings of the samples


def _paths(settings: Settings) -> Settings:
    return replace(settings, generate=replace(settings.generate, path="proportional", increments=3))


def _other_parameters(settings: Settings) -> Settings:
    wanted = replace(settings.generate, parameters={})
    folder = settings.folder.parent / "bare"
    return replace(settings, generate=wanted, output=OutputSettings(folder=folder))


def _beyond(settings: Settings) -> Settings:
    larger = replace(settings, generate=replace(settings.generate, samples=40))
    ensure_dataset(larger)
    return settings


def _elsewhere(settings: Settings) -> Settings:
    write_dataset(generate(LAW, stretches(FINITE, 3, 0.1)), settings.folder / "paths")
    active = ActiveSettings(batch=2, recorded=settings.folder / "paths")
    return replace(settings, generate=replace(settings.generate, active=active))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (_paths, "path is 'proportional'; --active asks for points"),
        (_other_parameters, "has the parameters bulk_modulus; the dataset has none"),
        (_beyond, "holds 40 paths of which 20 are asked for; .* give samples = 40"),
        (_elsewhere, "was recorded with the parameters none; expected .* bulk_modulus"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, changed: Any, named: str) -> None:
    settings = trained(tmp_path / "case")
    with pytest.raises(InputError, match=named):
        ensure_active(changed(settings), settings.model)


def test_models_with_history_and_missing_ones_are_refused(tmp_path: Path) -> None:
    from fesurrogate.surrogate import save_model
    from fesurrogate.surrogate.recurrent import RecurrentNetwork

    settings = settings_in(tmp_path)
    with pytest.raises(InputError, match="cannot be read .*; give the model file that train"):
        ensure_active(settings, tmp_path / "none.safetensors")
    (tmp_path / "no.safetensors").write_text("no model")
    with pytest.raises(InputError, match="no.safetensors cannot be read .* it is no model"):
        ensure_active(settings, tmp_path / "no.safetensors")
    assert not settings.dataset.exists()  # no sample is paid for before the mistake is seen
    small = Settings(
        kinematics=Kinematics(2),
        material=MaterialSettings(kind="linear", linear=LinearSettings(young=1.0, poisson=0.3)),
        output=OutputSettings(folder=tmp_path / "small"),
        generate=GenerateSettings(source="linear", samples=8),
    )
    save_model(tmp_path / "history.safetensors", RecurrentNetwork(small.kinematics, 8))
    with pytest.raises(InputError, match="has history; --active asks for points"):
        ensure_active(small, tmp_path / "history.safetensors")


def test_points_added_by_another_run_meanwhile_are_not_lost(tmp_path: Path) -> None:
    """The run that looked before the other one wrote is refused when it comes to write."""
    from fesurrogate.data.store import begin, stored

    settings = trained(tmp_path)
    seen = stored(settings.dataset)
    assert seen is not None
    ensure_active(settings, settings.model)
    with pytest.raises(InputError, match="was added to by another run meanwhile"):
        begin(settings.dataset, replace(seen, paths=24))
    assert len(read_dataset(settings.dataset)) == 26


@pytest.mark.parametrize(
    "change",
    [
        {"first": 25}, {"first": -1}, {"first": "two"}, {"strain": []},
        {"strain": [[None] * 4] * 6}, {"parameters": [[1.0, 2.0]] * 6}, {"doubt": 3},
        {"key": None, "strain": {}},
    ],
)  # fmt: skip
def test_a_list_of_added_points_that_cannot_be_is_refused(tmp_path: Path, change: dict) -> None:
    settings = trained(tmp_path)
    ensure_active(settings, settings.model)
    head = read_manifest(settings.dataset)
    meta = json.loads(json.dumps(dict(head.meta)))
    meta["added"][0].update(change)
    replace(head, meta=meta).write(settings.dataset)
    with pytest.raises(InputError, match="list of added points cannot be used .*--fresh"):
        ensure_dataset(settings)


def test_settings_of_active_sampling_are_checked() -> None:
    for given, named in [
        ({"batch": 0}, "batch is 0"),
        ({"candidates": 3}, "candidates is 3; expected at least batch, 16"),
        ({"error": 0.01}, "most_samples is None; expected a number with error"),
        ({"error": -1.0, "most_samples": 9}, "error is -1.0"),
    ]:
        with pytest.raises(InputError, match=named):
            ActiveSettings(**given)


def test_a_dataset_in_memory_knows_nothing_of_added_points(tmp_path: Path) -> None:
    """What reads datasets needs no change: it is a dataset like any other."""
    settings = trained(tmp_path)
    data = ensure_active(settings, settings.model).made.dataset
    assert isinstance(data, Dataset) and data.ok.all() and data.increments == 1
    whole = generate(
        VARYING, data.strain, parameters=data.parameters,
    )  # fmt: skip
    np.testing.assert_allclose(data.stress, whole.stress, rtol=1e-13)
