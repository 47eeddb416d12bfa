"""What learning in the run saves with history: a notched plastic strip, pulled and pushed back."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mpi4py import MPI

from benchmarks.measure import report
from fesurrogate.config import Settings, read_config
from fesurrogate.config.learning import LearningSettings
from fesurrogate.config.macro import DirichletSettings
from fesurrogate.config.material import GuardSettings
from fesurrogate.config.train import PhysicalSettings, PointPhaseSettings
from fesurrogate.run import run

TOML = Path(__file__).parents[1] / "demos" / "plastic_composite.toml"
STROKE = 0.05  # mm, of the top: plastic flow, and back into reverse flow
UP, DOWN = 8, 4  # increments
TOLERANCE, MEMBERS, POINTS = 0.03, 4, 8  # of the guard; of the ensemble; plastic ones of a member


def main() -> None:
    """Print the figures."""
    settings = strip()
    found = {}
    with TemporaryDirectory() as folder:
        for kind in ("network", "rve"):
            assert settings.material is not None
            changed = replace(settings, material=replace(settings.material, kind=kind))
            found[kind] = run(changed, MPI.COMM_SELF, Path(folder) / kind).results
            assert found[kind].converged
    learned, direct = found["network"], found["rve"]
    lessons = [lesson for entry in learned.history for lesson in entry.learning]
    rates = [lesson.fallen / learned.points for lesson in lessons]
    report(
        "learning_history.rve_solves", learned.rve_solves / direct.rve_solves, "ratio",
        detail=f"{learned.rve_solves}, those of replays and {sum(x.rve_solves for x in lessons)} "
        f"of samples among them, beside {direct.rve_solves} of direct FE2",
    )  # fmt: skip
    report(
        "learning_history.fallback", float(np.mean(rates[-DOWN:])), "ratio",
        detail=f"of {learned.points} points in the last {DOWN} increments; by increment [%]: "
        + ", ".join(f"{100 * rate:.0f}" for rate in rates),
    )  # fmt: skip
    force, truth = (
        np.array([entry.reaction["bottom"] for entry in each.history]) for each in (learned, direct)
    )  # (increments, d)
    off = np.linalg.norm(force - truth, axis=1).max() / np.linalg.norm(truth, axis=1).max()
    report(
        "learning_history.error_of_the_reaction", off, "relative",
        detail="largest of any increment, relative to the largest reaction",
    )  # fmt: skip
    spent = sum(lesson.seconds for lesson in lessons)
    report(
        "learning_history.time", learned.seconds["total"] / direct.seconds["total"], "ratio",
        detail=f"{spent:.0f} s of learning; direct FE2 took {direct.seconds['total']:.0f} s; one "
        "run each",
    )  # fmt: skip


def strip() -> Settings:
    """Return the demo's strip, its top moved up and back, with a guarded network that learns."""
    settings = read_config(TOML)
    material = settings.material
    assert material is not None and material.rve is not None and material.rve.phases is not None
    phases = {}
    for name, points in (("matrix", POINTS), ("fibre", 1)):
        law = material.rve.phases[name]
        constants = {
            key: getattr(law, key)
            for key in ("young", "poisson", "yield_stress", "saturation", "rate")
            if getattr(law, key) is not None
        }
        phases[name] = PointPhaseSettings(**constants, points=points, fraction=0.5)
    train = replace(
        settings.train, model="physical", ensemble=MEMBERS, iterations=30,
        physical=PhysicalSettings(phases=phases),
    )  # fmt: skip
    top = DirichletSettings(
        boundary="top", component="y", value=STROKE, schedule=((0.0, 0.0), (1.0, 1.0), (1.5, 0.0))
    )
    times = np.append(np.arange(1, UP + 1) / UP, 1.0 + np.arange(1, DOWN + 1) / (2 * DOWN))
    return replace(
        settings,
        material=replace(
            material, guard=GuardSettings(tolerance=TOLERANCE), learning=LearningSettings()
        ),
        train=train,
        dirichlet=(*settings.dirichlet, top),
        traction=(),
        probe=(),
        steps=replace(settings.steps, times=tuple(times)),
        output=replace(settings.output, pictures=False, fields=False, micro=None),
    )
