"""One step of Gauss-Newton in the space of modes, after the guess of a cell: does it pay?

``python -m benchmarks mode_step`` takes all cases, ``python -m benchmarks.mode_step CASE ...``
some of ``few_2d few_2d_10000 few_3d_10000 plastic carried``. From a guess q with residual r and
stiffness K there,

    q - Φᵀ a,   a = (Φ K Φᵀ)⁻¹ Φ r,

has the least error in the norm of K, which is |K^-1/2 r|, that the modes Φ can give it. It costs an
assembly of K, its products with the modes and a residual, and no factorisation; or, where Φ K Φᵀ is
a polynomial in the strain that was learned at the samples, hardly more than the residual.

Modes are those of all that the guess was learned from, fluctuations and derivatives, in the norm of
the stiffness at rest (few samples, in 2D and 3D); of the increments of solved paths (a plastic
cell); of guesses of the fine mesh by a coarse one. Each line is the time with the step beside the
same guess without it, both taken in turns. Seconds are those of the processor, on one thread.

It does not pay. With 80 to 160 modes it leaves 2 to 6 % of the residual in 2D, and takes cells from
4.8 iterations to 1.1 where 16 samples are all that is known; and costs more than they do: 1.04 to
3.0 of the time in 2D, 1.1 to 1.8 in 3D, 1.0 to 1.2 in the plastic cell, where it takes the place of
most of one of 3.8 iterations. Modes of another mesh leave 0.6 to 0.9 of a residual that is made of
gradients that they do not have, and take 1.1. With a learned Φ K Φᵀ it takes 0.85 to 1.0 after 16
samples in 2D; after 64, which cost half a second more and make a guess that needs 1.7 iterations,
1.0 to 1.9, with 10,000 unknowns 0.75 to 1.05; in 3D, from 32 samples, 0.96 to 1.2, and it leads
astray. (Times were taken on a crowded machine and are good to a tenth or two.)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.elastoplastic import plastic_rve, walks
from benchmarks.field_guess import Carried, network_of
from benchmarks.field_guess import learn as learn_fields
from benchmarks.measure import medians, report
from benchmarks.mode_space import ModeStep, learned_stiffness, space
from benchmarks.rve import fibre_rve
from benchmarks.warmstart import EXTENT, follow, twin_cell
from fesurrogate.data.sampling import stretches
from fesurrogate.kinematics import Array
from fesurrogate.micro import RVEMaterial
from fesurrogate.micro.guess import InitialGuess, Previous
from fesurrogate.warmstart import Sensitivity, fit_modes

WALKS = 12  # that the modes of the plastic cell are made of


def main(cases: list[str] | None = None) -> None:
    """Print the figures."""
    known = {
        "few_2d": lambda: few("few_2d", fibre_rve, (16, 64), count=16),
        "few_2d_10000": lambda: few("few_2d_10000", lambda: twin_cell(2, 71), (64,), count=4),
        "few_3d_10000": lambda: few("few_3d_10000", lambda: twin_cell(3, 15), (32,), count=3),
        "plastic": plastic,
        "carried": carried,
    }
    for name in cases or known:
        known[name]()


def few(
    name: str, make: Callable[[], RVEMaterial], samples: tuple[int, ...], *, count: int
) -> None:
    """Take the step after a guess that was learned from few samples."""
    rve, most = make(), max(samples)
    u, m = rve.num_unknowns, rve.kinematics.size
    F = stretches(rve.kinematics, most + count, EXTENT)[:, 0]
    solver = rve.beginning_with(Sensitivity(rve.kinematics))
    q, _, columns = np.split(solver.evaluate(F[:most]).hint, [u, u + m], axis=1)
    S = columns.reshape(most, u, m)
    rve.problem.assemble(rve.kinematics.rest, np.zeros(u), tangent=True)
    T = rve.problem.prolongation
    at_rest = (T.T @ rve.problem.stiffness @ T).tocsr()
    for N in samples:
        guess = fit_modes(rve.kinematics, F[:N], q[:N], relaxations=S[:N])
        moves = EXTENT * S[:N].transpose(0, 2, 1).reshape(-1, u)
        modes = space(np.concatenate([q[:N], moves]), at_rest)
        steps: dict[str, tuple[Array, Callable[[Array], Array] | None]] = {}
        for k in (80, 160):
            if k <= len(modes):
                steps[f"{k}_modes"] = modes[:k], None
                steps[f"{k}_modes_learned"] = (
                    modes[:k], learned_stiffness(rve, modes[:k], F[:N], q[:N]),
                )  # fmt: skip
        for tangent in (True, False):
            what = "tangent" if tangent else "stress"
            _compare(f"{name}.{N}.{what}", make, guess, F[most:], steps=steps, tangent=tangent)


def carried() -> None:
    """Take the step after a guess that comes from another mesh."""
    rve, learned = fibre_rve(), learn_fields([fibre_rve()], 96)
    network, linear = network_of(fibre_rve(2), learned)
    F = learned.fields.strain
    guess = Carried(
        fit_modes(rve.kinematics, F, learned.fields.fluctuation), learned.fields.image, linear
    )
    unseen = stretches(rve.kinematics, 100, EXTENT)[96:, 0]
    for name, each in (("modes", guess), ("network", network)):
        modes = space(each.fluctuation(F, np.zeros((len(F), 0))))
        steps = {f"{len(part)}_modes": (part, None) for part in (modes[:20], modes)}
        _compare(f"carried.{name}", lambda: fibre_rve(2), each, unseen, steps=steps, tangent=True)


def plastic() -> None:
    """Take the step along random walks of a cell with history."""
    rve = plastic_rve()
    paths, found = walks(WALKS, seed=1), []
    state, hint = rve.initial_state(WALKS), None
    for k in range(paths.shape[1]):
        answer = rve.evaluate(paths[:, k], state, hint=hint, tangent=False)
        assert answer.ok.all()
        state, hint = answer.state, answer.hint
        found.append(hint)
    moves = np.diff(np.stack([np.zeros_like(found[0]), *found]), axis=0)  # (T, N, unknowns)
    modes = space(moves.reshape(-1, rve.num_unknowns))
    test = walks(2, seed=2)[:, :20]
    for name, guess in (("previous", Previous()), ("sensitivity", Sensitivity(rve.kinematics))):
        cells = {"without": plastic_rve().beginning_with(guess)}
        for k in (40, 160):
            cells[f"{k}_modes"] = plastic_rve().beginning_with(guess)
            ModeStep(cells[f"{k}_modes"], modes[:k])
        _lines(f"plastic.{name}", cells, lambda cell: follow(cell, test), {})


def _compare(
    name: str,
    make: Callable[[], RVEMaterial],
    guess: InitialGuess,
    F: Array,  # (n, m)
    *,
    steps: Mapping[str, tuple[Array, Callable[[Array], Array] | None]],
    tangent: bool,
) -> None:
    """Report cold solves with and without steps of some modes."""
    plain, none = make().beginning_with(guess), np.zeros((len(F), 0))
    hints = np.zeros((len(F), plain.num_hint))
    candidates = guess.start(F, none, hints, plain.num_unknowns)[1]
    assert candidates is not None
    cells, left = {"without": plain}, {}
    for key, (modes, reduced) in steps.items():
        cells[key] = make().beginning_with(guess)
        step = ModeStep(cells[key], modes, reduced)
        left[key] = np.mean([step.leaves(f, q) for f, q in zip(F, candidates, strict=True)])

    def solve(cell: RVEMaterial) -> tuple[Array, float]:
        answer = cell.evaluate(F, tangent=tangent)
        return answer.stress, float(answer.report["micro_iterations"].mean())

    _lines(name, cells, solve, left)


def _lines(
    name: str,
    cells: Mapping[str, RVEMaterial],
    solve: Callable[[RVEMaterial], tuple[Array, float]],
    left: Mapping[str, float],
) -> None:
    """Report times and iterations beside the cell without the step, taken in turns."""
    answers = {key: solve(cell) for key, cell in cells.items()}
    exact, before = answers["without"]
    for stress, _ in answers.values():
        np.testing.assert_allclose(stress, exact, rtol=0, atol=1e-6 * np.abs(exact).max())
    actions = {key: (lambda cell=cell: solve(cell)) for key, cell in cells.items()}
    seconds = medians(actions, 5, clock=time.process_time)
    for key in [key for key in cells if key != "without"]:
        rest = f", the step leaves {left[key]:.2f} of the residual" if key in left else ""
        report(
            f"mode_step.{name}.{key}", seconds[key] / seconds["without"], "1",
            detail=f"time over that without the step; {before:.2f} -> {answers[key][1]:.2f} "
            f"iterations{rest}, {cells[key].num_unknowns} unknowns",
        )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
