"""Models that know their error: coverage of 95 % intervals on points they have not seen."""

from benchmarks.measure import report
from benchmarks.rve import fibre_rve
from fesurrogate.config import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.surrogate.ensemble import Ensemble
from fesurrogate.surrogate.gaussian_process import GaussianProcess
from fesurrogate.train import errors_on, fit
from fesurrogate.train.calibration import calibrate, coverage, errors_and_deviations
from fesurrogate.train.gaussian_process import fit_gaussian_process
from fesurrogate.train.result import FitResult

UNSEEN = CALIBRATION = 1000
MEMBERS = 5


def main() -> None:
    """Print the figures."""
    rve = fibre_rve()

    def answered(samples: int, seed: int, *, tangents: bool = False) -> Dataset:
        strains = stretches(rve.kinematics, samples, 0.2, seed=seed)
        return generate(rve, strains, tangents=tangents)

    unseen, calibration = answered(UNSEEN, 99), answered(CALIBRATION, 50)
    data = {samples: answered(samples, 0, tangents=True) for samples in (32, 64, 128)}
    results = {
        f"gaussian_process_{samples}": fit_gaussian_process(rows, TrainSettings())
        for samples, rows in data.items()
    }
    settings = TrainSettings(ensemble=MEMBERS, iterations=200, validation=0.3)
    results[f"ensemble_{MEMBERS}_of_128"] = fit(data[128], settings)
    for name, result in results.items():
        _report(name, result, calibration, unseen)


def _report(name: str, result: FitResult, calibration: Dataset, unseen: Dataset) -> None:
    network = result.network
    assert isinstance(network, GaussianProcess | Ensemble)
    errors = errors_on(network, unseen)
    before = coverage(network, unseen)
    factor = calibrate(network, calibration)
    covered = 100 * coverage(network, unseen)
    error, deviation = errors_and_deviations(network, unseen)
    rank = error.argsort().argsort().double(), deviation.argsort().argsort().double()
    centred = [r - r.mean() for r in rank]
    order = float(centred[0] @ centred[1] / (centred[0].norm() * centred[1].norm()))
    detail = (
        f"{covered:.1f} % of {len(error)} points within 1.96 s, calibrated on {CALIBRATION} others "
        f"(factor {factor:.2f}; {100 * before:.1f} % by the training's own calibration); rank "
        f"correlation of error and s {order:.2f}; trained in {result.seconds:.1f} s"
    )
    report(f"uncertainty.{name}.coverage_off_95", abs(covered - 95.0), "%", bar=2.0, detail=detail)
    detail = f"worst point {errors.worst:.2%}"
    report(f"uncertainty.{name}.stress_error", 100 * errors.stress, "%", detail=detail)
