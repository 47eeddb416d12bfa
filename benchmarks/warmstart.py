"""Initial guesses side by side: iterations, time of a solve with tangent, and what learning costs.

``python -m benchmarks warmstart`` takes all cases; ``python -m benchmarks.warmstart CASE ...`` some
of ``2d_1000 2d_10000 3d_10000 path plastic``. Strains to learn from and strains to
judge by are different members of one Sobol sequence in the envelope. Seconds are those of the
processor, on one thread. A learned guess stands beside Newton's method from zero, with a
factorisation an iteration, and beside the solver as it is: its start, with the stiffness at rest,
needs one factorisation a point with a guess or without.

What did not pay, with a field error of 5e-6 in 2D, where a factorisation costs 4 and 10 steps of
the start at 1,000 and 10,000 unknowns:

- no factorisation at all, as large solid cells do: equilibrium by conjugate gradients or by the
  start (5 to 10 steps), what the learned columns of the tangent lack by conjugate gradients (0 to 2
  blocks of steps): 1.1 to 1.5 of the time with one factorisation;
- the stiffness at the nearest of 32 or 128 strains in place of that at rest, as preconditioner: it
  saves every second step in 2D, none in 3D, and keeps as many factorisations;
- a step of Gauss-Newton's method in the space of the modes, after the guess: 1.0 to 3.0 of the
  time without, wherever it was tried (:mod:`benchmarks.mode_step`);
- radial basis functions for the coefficients: from 512 fluctuations in 2D they err by 1.4e-4, where
  polynomials err by 5e-6, and by 1e-5 from 128 with their derivatives. In 3D, from 128, they err by
  3.0e-2, polynomials by 4.0e-2, and by 1.1e-2 with the derivatives, which are
  there whenever a tangent is.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.elastoplastic import plastic_rve, walks
from benchmarks.measure import medians, report
from benchmarks.rve import fibre_rve
from benchmarks.twin import PHASES, inclusion
from fesurrogate import Kinematics
from fesurrogate.data.sampling import stretches
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.micro import RVEMaterial
from fesurrogate.warmstart import FluctuationModes, Sensitivity, Zero, learn_modes

EXTENT = 0.2


def twin_cell(gdim: int, count: int) -> RVEMaterial:
    """Return the cell that is measured beside dolfinx_mpc."""
    return RVEMaterial(inclusion(gdim, count), PHASES, Kinematics(gdim, "finite"), degree=1)


CELLS: dict[str, tuple[Callable[[], RVEMaterial], int, int, float]] = {
    "2d_1000": (fibre_rve, 256, 24, 0.5),
    "2d_10000": (lambda: twin_cell(2, 71), 128, 6, 0.6),
    "3d_10000": (lambda: twin_cell(3, 15), 192, 6, 0.65),
}
"""Cell, samples to learn from, strains to judge by, bar of the ratio of times."""


def main(cases: list[str] | None = None) -> None:
    """Print the figures."""
    wanted = cases or [*CELLS, "path", "plastic"]
    for name in CELLS:
        if name in wanted:
            cold(name)
    for name, measure in (("path", path), ("plastic", plastic)):
        if name in wanted:
            measure()


def learn(rve: RVEMaterial, strain: Array) -> tuple[FluctuationModes, float]:
    """Return the guess, and the seconds that learning took."""
    begin = time.process_time()
    return learn_modes(rve, strain), time.process_time() - begin


def cold(name: str) -> None:
    """Solve at strains of the envelope, without a previous solution."""
    make, samples, count, bar = CELLS[name]
    rve = make()
    F = stretches(rve.kinematics, samples + count, EXTENT)[:, 0]
    guess, learning = learn(rve, F[:samples])
    F, warm = F[samples:], rve.beginning_with(guess)
    exact, found = rve.evaluate(F, tangent=False).hint, guess.fluctuation(F, np.zeros((count, 0)))
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    newton = make()
    newton.problem.solver._reference = None  # Newton's method alone
    materials = {
        "cold": rve, "learned": warm, "newton": newton,
        "newton learned": newton.beginning_with(guess),
    }  # fmt: skip
    answers = {key: each.evaluate(F) for key, each in materials.items()}
    steps = {key: float(each.report["micro_iterations"].mean()) for key, each in answers.items()}
    spared = float(np.isnan(answers["learned"].report["negative_pivots"]).mean())
    actions = {key: (lambda each=each: each.evaluate(F)) for key, each in materials.items()}
    actions |= {
        f"{key} stress": (lambda each=each: each.evaluate(F, tangent=False))
        for key, each in (("cold", rve), ("learned", warm))
    }
    seconds = medians(actions, 5, clock=time.process_time)
    ms = {key: 1e3 * value / count for key, value in seconds.items()}
    described = (
        f"{rve.num_unknowns} unknowns, U within {EXTENT} of I, cold; {len(guess.modes)} modes from "
        f"{samples} samples, polynomials of degree {guess.degrees.sum(axis=1).max()}, field error "
        f"{error:.1e}"
    )
    report(
        f"warmstart.{name}.newton_iterations", steps["newton learned"], "1",
        bar=1.3 if name == "2d_1000" else None,
        detail=f"{described}; Newton's method alone, without a guess {steps['newton']:.2f}",
    )  # fmt: skip
    report(
        f"warmstart.{name}.iterations", steps["learned"], "1",
        bar=1.3 if name == "2d_1000" else None,
        detail=f"steps of the start, of a residual and a solve each, and Newton's; without a guess "
        f"{steps['cold']:.2f}; {spared:.0%} of the points were not factorised",
    )  # fmt: skip
    times = f"with tangent: {ms['learned']:.2f} ms"
    report(
        f"warmstart.{name}.time_over_newton", ms["learned"] / ms["newton"], "1", bar=bar,
        detail=f"{times}, Newton's method alone and without a guess {ms['newton']:.2f}, alone "
        f"from this guess {ms['newton learned']:.2f}",
    )  # fmt: skip
    report(
        f"warmstart.{name}.time", ms["learned"] / ms["cold"], "1", bar=bar,
        detail=f"{times}, the same solver without a guess {ms['cold']:.2f}",
    )  # fmt: skip
    report(
        f"warmstart.{name}.time_of_stress", ms["learned stress"] / ms["cold stress"], "1",
        detail=f"without tangent: {ms['learned stress']:.2f} ms beside {ms['cold stress']:.2f}",
    )  # fmt: skip
    for other in ("cold", "newton"):
        saved = 1e-3 * (ms[other] - ms["learned"])
        report(
            f"warmstart.{name}.break_even_with_{other}", learning / saved if saved > 0 else np.inf,
            "solves", detail=f"learning: {learning:.1f} s",
        )  # fmt: skip


def follow(rve: Material, strains: Array) -> tuple[Array, float]:
    """Solve along paths (N, T, m) with tangents; return the last stress and mean iterations."""
    state, hint, total = rve.initial_state(len(strains)), None, 0.0
    for k in range(strains.shape[1]):
        answer = rve.evaluate(strains[:, k], state, hint=hint)
        assert answer.ok.all()
        state, hint = answer.state, answer.hint
        total += float(np.mean(answer.report["micro_iterations"]))
    return answer.stress, total / strains.shape[1]


def path() -> None:
    """Follow paths in steps of 0.02 to 0.05 within the envelope of the learned guess."""
    rve = fibre_rve()
    guess, _ = learn(rve, stretches(rve.kinematics, 256, EXTENT)[:, 0])
    ends = stretches(rve.kinematics, 288, EXTENT)[256:, 0] - rve.kinematics.rest
    ends = ends[np.argsort(np.linalg.norm(ends, axis=1))[-4:]]  # (4, m), the longest ways
    size = np.linalg.norm(ends, axis=1)
    for step in (0.02, 0.05):
        count = int(size.min() / step)
        way = np.arange(1, count + 1) * step / size[:, None]  # (4, count)
        strains = rve.kinematics.rest + way[..., None] * ends[:, None]
        _compare(f"path_{step}", rve, guess, strains)


def plastic() -> None:
    """Follow random walks of a cell with history; the learned guess knows straight ways only."""
    rve = plastic_rve()
    known = walks(24, seed=1)[:, 9::10].reshape(-1, rve.kinematics.size)
    guess, _ = learn(rve, known)
    _compare("plastic", rve, guess, walks(2, seed=2)[:, :20])


def _compare(name: str, rve: RVEMaterial, guess: FluctuationModes, strains: Array) -> None:
    chosen = {
        "previous": rve,
        "zero": rve.beginning_with(Zero()),
        "sensitivity": rve.beginning_with(Sensitivity(rve.kinematics)),
        "learned": rve.beginning_with(guess),
    }
    answers = {key: follow(each, strains) for key, each in chosen.items()}
    expected = answers["previous"][0]
    for stress, _ in answers.values():
        np.testing.assert_allclose(stress, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    actions = {key: (lambda each=each: follow(each, strains)) for key, each in chosen.items()}
    seconds = medians(actions, 3, clock=time.process_time)
    for key, (_, iterations) in answers.items():
        report(
            f"warmstart.{name}.{key}", seconds[key] / seconds["previous"], "1",
            detail=f"time over that of 'previous'; {iterations:.2f} iterations a solve, "
            f"{1e3 * seconds[key] / strains[..., 0].size:.2f} ms with tangent, "
            f"{strains.shape[0]} paths of {strains.shape[1]} steps",
        )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
