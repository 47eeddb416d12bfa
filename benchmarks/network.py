"""The energy network beside the RVE it learned, stress and tangent, through ``evaluate``."""

import numpy as np

from benchmarks.measure import medians, report
from benchmarks.rve import fibre_rve
from fesurrogate.config import TrainSettings
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.surrogate import NetworkMaterial
from fesurrogate.train import errors_on, fit


def main() -> None:
    """Print the figures."""
    rve = fibre_rve()
    unseen = generate(rve, stretches(rve.kinematics, 200, 0.2, seed=99))
    for samples in (64, 256):
        data = generate(rve, stretches(rve.kinematics, samples, 0.2, seed=0))
        fitted = fit(data, TrainSettings())
        errors = errors_on(fitted.network, unseen)
        detail = (
            f"worst point {errors.worst:.3%}, tangent {errors.tangent:.3%}, trained in "
            f"{fitted.seconds:.1f} s, {errors.points} unseen points, U within 0.2 of I"
        )
        report(f"network.stress_error_{samples}", 100 * errors.stress, "%", detail=detail)
    F = stretches(rve.kinematics, 16_384, 0.2, seed=5)[:, 0]
    few = F[:32]
    single, double = (NetworkMaterial(fitted.network, dtype=d) for d in ("float32", "float64"))
    median = medians(
        {
            "float32": lambda: single.evaluate(F),
            "float64": lambda: double.evaluate(F),
            "rve": lambda: rve.evaluate(few),
        }
    )
    for dtype in ("float64", "float32"):
        microseconds = 1e6 * median[dtype] / len(F)
        report(f"network.point_{dtype}", microseconds, "µs", detail="3-32-32-1, one thread")
    ratio = (median["rve"] / len(few)) / (median["float64"] / len(F))
    report("network.speed_up_over_cold_rve", float(np.round(ratio)), "1", detail="float64")
