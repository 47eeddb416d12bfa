"""What the learned guess of a cell owes to derivatives, and what they cost on disk.

``python -m benchmarks guess_samples``: guesses from as many samples as ``fesurrogate generate``
stores with ``fields = true``, from fluctuations alone, with the sketches of derivatives that it
keeps beside them, and with the derivatives themselves. Strains to learn from and strains to judge
by are different members of one Sobol sequence in the envelope.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import report
from benchmarks.rve import fibre_rve
from benchmarks.warmstart import EXTENT, twin_cell
from fesurrogate.data.sampling import stretches
from fesurrogate.data.shard import Shard, write_shard
from fesurrogate.micro import RVEMaterial
from fesurrogate.warmstart import FluctuationModes, Sensitivity, fit_modes
from fesurrogate.warmstart.sketch import sketched_slopes, stretch_slopes

CELLS: dict[str, tuple[Callable[[], RVEMaterial], tuple[int, ...]]] = {
    "2d_1000": (fibre_rve, (16, 32, 64, 128, 256)),
    "3d_1500": (lambda: twin_cell(3, 8), (32, 64, 128, 256)),
}
UNSEEN = 24


def main() -> None:
    """Print the figures."""
    for name, (make, samples) in CELLS.items():
        _samples(name, make(), samples)


def _samples(name: str, rve: RVEMaterial, samples: tuple[int, ...]) -> None:
    """Report what guesses from some of the same strains err by."""
    kinematics, most = rve.kinematics, max(samples)
    u, m = rve.num_unknowns, kinematics.size
    F = stretches(kinematics, most + UNSEEN, EXTENT)[:, 0]
    begin = time.process_time()
    hints = rve.beginning_with(Sensitivity(kinematics)).evaluate(F).hint
    solve = (time.process_time() - begin) / len(F)
    q, _, columns = np.split(hints, [u, u + m], axis=1)
    S = columns.reshape(-1, u, m)
    exact, unseen, none = q[most:], F[most:], np.zeros((UNSEEN, 0))
    kept = q.astype(np.float32)
    sketches = sketched_slopes(kinematics, F, S).astype(np.float32)
    slopes = stretch_slopes(kinematics, S, None).astype(np.float32)  # strains are stretches

    def error(guess: FluctuationModes) -> float:
        wrong = guess.fluctuation(unseen, none) - exact
        return float(np.linalg.norm(wrong) / np.linalg.norm(exact))

    for N in samples:
        known = kinematics, F[:N], kept[:N].astype(np.float64)
        alone, full = fit_modes(*known), fit_modes(*known, relaxations=S[:N])
        begin = time.process_time()
        sketched = fit_modes(*known, sketches=sketches[:N].astype(np.float64))
        fit = time.process_time() - begin
        sizes = [_stored(fields[:N]) / N for fields in (kept, sketches, slopes)]
        report(
            f"guess_samples.{name}.{N}", error(sketched), "1",
            detail=f"error of the fluctuation at unseen strains; from fluctuations alone "
            f"{error(alone):.1e}, with derivatives in full {error(full):.1e}; on disk "
            f"{(sizes[0] + sizes[1]) / 1e3:.1f} kB a sample, {sizes[0] / 1e3:.1f} and "
            f"{(sizes[0] + sizes[2]) / 1e3:.1f}; {1e3 * solve:.0f} ms a sample, fit {fit:.1f} s, "
            f"{u} unknowns",
        )  # fmt: skip


def _stored(
    fields: NDArray,  # (N, ...)
) -> int:
    """Return the bytes that a dataset takes for fields."""
    with tempfile.TemporaryDirectory() as folder:
        name, _ = write_shard(
            Path(folder), "0" * 16, Shard(np.arange(len(fields)), {}, {"fields": fields[:, None]})
        )
        return (Path(folder) / name).stat().st_size


if __name__ == "__main__":
    main()
