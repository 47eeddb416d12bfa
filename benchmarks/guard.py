"""What a guard promises: whom it trusts, what an audit covers, what a certificate costs.

Cook's membrane pulled to stretches of 1.32; networks learn the cell within U = I ± 0.2. Then a
square of a plastic cell that is loaded and unloaded.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

from benchmarks.measure import medians, report
from fesurrogate.build import ensure_dataset, ensure_model, load_material
from fesurrogate.build.calibration import calibration_of
from fesurrogate.combine import Guarded
from fesurrogate.config import (
    CalibrationSettings,
    DirichletSettings,
    MeshSettings,
    ReactionSettings,
    Settings,
    read_config,
)
from fesurrogate.config.material import GuardSettings
from fesurrogate.config.train import PhysicalSettings, PointPhaseSettings, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.fem.points import point_weights
from fesurrogate.run import run
from fesurrogate.run.audit import doubt_of
from fesurrogate.surrogate.model_file import load_trust
from fesurrogate.trust import Trust, trust_from
from fesurrogate.trust.audit import LEVEL, estimate_sum, plan_audit

DEMOS = Path(__file__).parents[1] / "demos"
TOML = DEMOS / "guarded.toml"
PLASTIC = DEMOS / "plastic_composite.toml"
PHASES = {
    "fibre": PointPhaseSettings(young=416e3, poisson=0.231, points=1),
    "matrix": PointPhaseSettings(
        young=68.9e3, poisson=0.33, yield_stress=289.6, saturation=69.6, rate=35.5, points=6
    ),
}
"""Laws of that TOML, for a physically recurrent network."""
COMM = MPI.COMM_SELF
STRETCH = 0.2
UNSEEN = 1000
"""Points that judge trust; one and a half times as far out as those of the training."""
TOLERANCES = (0.003, 0.01, 0.03)
MEASURES = ("expected", "deviation", "novelty")
REDRAWS = 1000
AUDITED = 64
FEW, MANY = 64, 256  # samples
CLOCK = time.process_time


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        made = {samples: _trained(Path(folder), samples) for samples in (FEW, MANY)}
        first = made[MANY]
        unseen = replace(
            first, calibration=CalibrationSettings(samples=UNSEEN, stretch=1.5 * STRETCH, seed=77)
        )
        unseen = replace(unseen, output=replace(unseen.output, folder=Path(folder) / "unseen"))
        points = ensure_dataset(calibration_of(unseen), COMM).dataset
        for samples, settings in made.items():
            _efficacy(settings, points, samples)
        _coverage(first)
        _certificate(first)
        _overhead(first, points)
        _certificate_with_history(Path(folder) / "plastic")


def _trained(folder: Path, samples: int) -> Settings:
    """Return settings whose model is trained and calibrated."""
    settings = read_config(TOML)
    settings = replace(
        settings,
        output=replace(settings.output, folder=folder / str(samples), pictures=False, fields=False),
        generate=replace(settings.generate, samples=samples, stretch=STRETCH),
        calibration=CalibrationSettings(samples=160, stretch=1.6 * STRETCH),
        train=replace(settings.train, ensemble=5, iterations=200, validation=0.3),
    )
    ensure_dataset(settings, COMM)
    ensure_dataset(calibration_of(settings), COMM)
    ensure_model(settings, comm=COMM)
    return settings


def _with(settings: Settings, **guard: object) -> Settings:
    """Return the settings with a guard of such keys."""
    assert settings.material is not None
    return replace(settings, material=replace(settings.material, guard=GuardSettings(**guard)))


def _efficacy(settings: Settings, points: Dataset, samples: int) -> None:
    """Report how many that are trusted should not be, and how many that should be are."""
    trained = replace(settings, material=replace(settings.material, guard=None))  # type: ignore[type-var]
    surrogate = load_material(trained)
    record = load_trust(settings.model)
    ok = points.ok[:, 0]
    strain, truth = points.strain[ok, 0], points.stress[ok, 0]
    answer = surrogate.evaluate(strain)
    error = np.linalg.norm(answer.stress - truth, axis=1) / record["scale"][0]
    outside = np.abs(strain - surrogate.kinematics.rest).max(axis=1) > STRETCH  # F = U
    single = {name: array for name, array in record.items() if name != "doubt.deviation"}
    known = {name: (record, [name]) for name in MEASURES} | {
        "expected_without_deviation": (single, ["expected"])
    }
    for measure, (arrays, names) in known.items():
        for tolerance in TOLERANCES:
            trust = trust_from(arrays, surrogate.kinematics, tolerance, names=names)
            doubts = trust.doubts(strain, np.zeros((len(strain), 0)), answer)
            trusted = trust.trusted(doubts)
            good = error < 0.5 * tolerance
            inside = f"{_share(good & ~outside, trusted):.0f} % inside the envelope"
            name = f"guard.{measure}_of_{samples}_samples.tolerance_{tolerance:g}"
            report(
                f"{name}.wrongly_trusted", _share(trusted, error > tolerance), "%", bar=5.0,
                detail=f"of {trusted.sum()} trusted points of {len(error)}; {outside.sum()} of "
                "these are outside of the training's envelope",
            )  # fmt: skip
            report(
                f"{name}.good_ones_trusted", _share(good, trusted), "%", bar=80.0, least=True,
                detail=f"of {good.sum()} points that err by less than half the tolerance: {inside}"
                f", {_share(good & outside, trusted):.0f} % outside",
            )  # fmt: skip


def _share(of: np.ndarray, which: np.ndarray) -> float:
    """Return how many percent of the ones are the others, too."""
    return 100.0 * float((of & which).sum()) / max(1, int(of.sum()))


def _coverage(settings: Settings) -> None:
    """Report how often an audit's interval holds the error of a run that is solved everywhere."""
    model = run(_with(settings, policy="warn"), COMM).model
    (field,) = model.fields.values()
    assert isinstance(field.material, Guarded) and field.response is not None
    stress, strain = field.response.stress, field.current_strain()
    wrong = np.linalg.norm(field.material.reference.evaluate(strain).stress - stress, axis=1)
    weight, doubt = point_weights(field), doubt_of(field)
    share = weight * wrong / (weight @ np.linalg.norm(stress, axis=1))
    truth, values = float(share.sum()), dict(enumerate(map(float, share)))
    found = []
    for seed in range(REDRAWS):
        plan = plan_audit(doubt, weight, AUDITED, seed=seed)
        found.append(estimate_sum(plan, values, seed=seed))
    held = float(np.mean([each.low <= truth <= each.high for each in found]))
    width = float(np.median([each.high - each.low for each in found])) / truth
    report(
        "guard.audit.coverage", held, "share", bar=0.93, least=True,
        detail=f"{REDRAWS} draws of {AUDITED} of {len(wrong)} points, all of them solved; the "
        f"interval promises {LEVEL}; its width is {width:.2f} of the error, {truth:.3%} (median)",
    )  # fmt: skip


def _certificate(settings: Settings) -> None:
    """Report the RVE solves of a certified run over those of the cheapest cold one."""
    made = run(_with(settings, certify=True), COMM).results
    assert made.certified is not None and made.certified.converged, made.message
    assert settings.material is not None
    direct = replace(settings, material=replace(settings.material, kind="rve"))
    for increments in range(1, 9):
        steps = replace(settings.steps, increments=increments, max_cuts=0)
        cold = run(replace(direct, steps=steps), COMM).results
        if cold.converged:
            break
    solves = made.certified.rve_solves + made.rve_solves
    truth = np.array(cold.reaction["right"])
    error = float(np.linalg.norm(made.reaction["right"] - truth) / np.linalg.norm(truth))
    report("guard.certify.error_of_the_reaction", error, "relative", bar=1e-8)
    report(
        "guard.certify.rve_solves", solves / cold.rve_solves, "ratio", bar=0.25,
        detail=f"{made.certified.rve_solves} and {made.rve_solves} of points that fell back, "
        f"beside {cold.rve_solves} of cold direct FE2, which converges from {increments} "
        f"increments on ({cold.newton_iterations} iterations); in time "
        f"{made.seconds['total'] / cold.seconds['total']:.2f}",
    )  # fmt: skip


def _certificate_with_history(folder: Path) -> None:
    """Report the RVE solves of certified increments over those of the direct ones."""
    demo = read_config(PLASTIC)
    assert demo.material is not None
    moved = DirichletSettings(
        boundary="top", value=(0.006, 0.009), schedule=((0, 0), (1, 1), (2, 0))
    )
    training = {"path": "random_walk", "increments": 20, "stretch": 0.012, "tangents": False}
    settings = replace(
        demo,
        mesh=MeshSettings(generator="rectangle", cells=(3, 3)),
        macro=replace(demo.macro, degree=1),
        dirichlet=(DirichletSettings(boundary="bottom"), moved),
        traction=(),
        probe=(),
        reaction=(ReactionSettings(boundary="top"),),
        output=replace(demo.output, folder=folder, pictures=False, fields=False, micro=None),
        generate=replace(demo.generate, samples=24, **training),
        calibration=CalibrationSettings(samples=8),
        train=TrainSettings(
            model="physical", physical=PhysicalSettings(phases=PHASES), iterations=80,
            suspicious="keep",
        ),
    )  # fmt: skip
    ensure_dataset(settings, COMM)
    ensure_dataset(calibration_of(settings), COMM)
    ensure_model(settings, comm=COMM)
    led = replace(settings, material=replace(demo.material, kind="network"))
    made = run(_with(led, policy="warn", certify=True), COMM).results
    found, direct = made.certified, run(settings, COMM).results
    assert found is not None and found.converged and direct.converged, made.message
    truth = np.array([entry.reaction["top"] for entry in direct.history])
    errors = [
        np.linalg.norm([entry.reaction["top"] for entry in history] - truth) / np.linalg.norm(truth)
        for history in (made.history, found.history)
    ]
    report(
        "guard.certify_with_history.rve_solves", found.rve_solves / direct.rve_solves, "ratio",
        detail=f"{found.rve_solves / made.points:.1f} a point in {len(found.history)} increments, "
        f"beside {direct.rve_solves / made.points:.1f} of direct FE2; reactions differ by "
        f"{errors[1]:.1e} from its, those of the network by {errors[0]:.1e}",
    )  # fmt: skip


def _overhead(settings: Settings, points: Dataset) -> None:
    """Report what trust costs beside the answer it is about."""
    assert settings.material is not None
    alone = load_material(replace(settings, material=replace(settings.material, guard=None)))
    strain, none = np.tile(points.strain[:, 0], (4, 1)), np.zeros((4 * len(points), 0))
    answer = alone.evaluate(strain)
    record = load_trust(settings.model)

    def trust(*names: str) -> Trust:
        return trust_from(record, alone.kinematics, 0.01, names=names)

    judges = {name: trust(name) for name in MEASURES}
    actions = {"answer": lambda: alone.evaluate(strain)} | {
        name: (lambda judge=judge: judge.reasons(judge.doubts(strain, none, answer)))
        for name, judge in judges.items()
    }
    spent = medians(actions, clock=CLOCK)
    for name in MEASURES:
        report(
            f"guard.{name}.overhead", spent[name] / spent["answer"], "ratio", bar=0.2,
            detail=f"{1e6 * spent[name] / len(strain):.2f} us a point beside "
            f"{1e6 * spent['answer'] / len(strain):.2f} of the network's five members",
        )  # fmt: skip
