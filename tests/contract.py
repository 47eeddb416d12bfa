"""The five laws of a Material as checks that hold for every one of them, wrappers included.

``check_contract(material, strains)`` runs all; each ``check_*`` is one claim. Under MPI all ranks
call them together with the same arguments.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response


@dataclass(frozen=True)
class Batch:
    """Arguments of evaluate: strain (n, m), state (n, s), dt, parameters (n, p), hint (n, h)."""

    strain: Array
    state: Array
    dt: float
    parameters: Array
    hint: Array

    def rows(self, rows: Any) -> Batch:
        """Return some of the points."""
        return Batch(
            self.strain[rows], self.state[rows], self.dt, self.parameters[rows], self.hint[rows]
        )

    def answered_by(self, material: Material, *, tangent: bool = True) -> Response:
        """Evaluate."""
        return material.evaluate(
            self.strain, self.state, self.dt,
            parameters=self.parameters, hint=self.hint, tangent=tangent,
        )  # fmt: skip


def check_contract(
    material: Material,
    strains: Array,  # (n, m), n >= 4, such that every point can be solved
    comm: Any = None,
    *,
    tolerance: float = 1e-12,
    parameters: Array | None = None,  # (n, p)
    dt: float = 1.0,
    step: float = 0.02,
    objective: bool = False,
    timeout: float = 120.0,
) -> None:
    """Check all laws.

    Args:
        material: The Material.
        strains: Where it is tested; away from kinks such as first yield.
        comm: Communicator for the fifth law; None checks it alone.
        tolerance: Relative to the largest stress (tangent, state) of the batch: 1e-12 for closed
            forms, 1e-5 for float32, the solver's for iterative Materials.
        parameters: Parameters of the points, where the Material has any.
        dt: Length of the increment.
        step: Largest strain step of the Taylor test.
        objective: Whether frame indifference is claimed (finite strain).
        timeout: Seconds after which the process is ended with a traceback of where it hangs.
    """
    n = len(strains)
    assert n >= 4
    batch = Batch(
        strains, material.initial_state(n), dt,
        np.zeros((n, 0)) if parameters is None else parameters, np.zeros((n, material.num_hint)),
    )  # fmt: skip
    with watchdog(timeout):
        check_pure(material, batch, tolerance)
        check_batch_blind(material, batch, tolerance)
        check_total(material, batch, tolerance)
        check_consistent(material, batch, tolerance, step)
        check_met_by_every_rank(material, batch, tolerance, comm)
        check_hint_is_only_a_hint(material, batch, tolerance)
        check_state_carries_all_history(material, batch, tolerance)
        check_shapes_are_refused(material, batch)
        check_sensitivity(material, batch, tolerance)
        if objective:
            check_frame_indifference(material, batch, tolerance)


@contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """End the process with a traceback if the block takes longer: a hang must not look busy."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def assert_same(left: Response, right: Response, tolerance: float, claim: str) -> None:
    """Compare all that a Response promises, relative to the largest entry of the batch."""
    np.testing.assert_array_equal(left.ok, right.ok, err_msg=claim)
    for name in ("stress", "tangent", "state"):
        a, b = getattr(left, name), getattr(right, name)
        assert (a is None) == (b is None), f"{claim}: {name}"
        if a is None or a.size == 0:
            continue
        scale = max(np.nanmax(np.abs(a), initial=0.0), 1e-300)
        np.testing.assert_allclose(
            a, b, rtol=0.0, atol=tolerance * scale, equal_nan=True, err_msg=f"{claim}: {name}"
        )


def joined(parts: list[Response], order: Any = slice(None)) -> Response:
    """Return the Response of the parts one after another, with rows in a given order."""

    def stack(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)[order]

    return Response(*(stack(name) for name in ("stress", "tangent", "state", "hint", "ok")))


def check_pure(material: Material, batch: Batch, tolerance: float) -> None:
    """Law 1: same arguments, same answer, whatever was asked between; arguments untouched."""
    before = {k: v.tobytes() for k, v in vars(batch).items() if isinstance(v, np.ndarray)}
    first = batch.answered_by(material)
    kept = joined([first])  # a copy: a later call must not change an earlier answer
    other = batch.rows(slice(None, None, -1))
    shifted = Batch(
        0.5 * (other.strain + material.kinematics.rest),
        other.state, other.dt, other.parameters, first.hint[::-1].copy(),
    )  # fmt: skip
    shifted.answered_by(material)
    only_stress = batch.answered_by(material, tangent=False)
    again = batch.answered_by(material)
    assert first.ok.all(), "the strains of the suite must be solvable"
    assert only_stress.tangent is None
    assert_same(kept, first, 0.0, "an earlier Response was overwritten")
    assert_same(first, again, tolerance, "asked again")
    stress_alone = Response(only_stress.stress, first.tangent, *vars_of(only_stress))
    assert_same(first, stress_alone, tolerance, "asked without the tangent")
    after = {k: v.tobytes() for k, v in vars(batch).items() if isinstance(v, np.ndarray)}
    assert before == after, "evaluate changed its arguments"


def vars_of(response: Response) -> tuple[Array, Array, Any]:
    """Return state, hint and ok."""
    return response.state, response.hint, response.ok


def check_batch_blind(material: Material, batch: Batch, tolerance: float) -> None:
    """Law 2: splitting, permuting, joining changes nothing; no points are legal."""
    n, size = batch.strain.shape
    whole = batch.answered_by(material)
    order = np.random.default_rng(0).permutation(n)
    permuted = joined([batch.rows(order).answered_by(material)], np.argsort(order))
    assert_same(whole, permuted, tolerance, "permuted")
    cut = n // 3
    halves = [batch.rows(slice(0, cut)), batch.rows(slice(cut, n))]
    split = joined([half.answered_by(material) for half in halves])
    assert_same(whole, split, tolerance, "split")
    twice = batch.rows(np.concatenate([np.arange(n), np.arange(n)])).answered_by(material)
    assert_same(joined([whole, whole]), twice, tolerance, "joined")
    none = batch.rows(slice(0, 0))
    empty = material.evaluate(
        none.strain, none.state, none.dt,
        parameters=none.parameters, hint=none.hint,
        sensitivity=bool(material.parameter_names),
    )  # fmt: skip
    assert empty.stress.shape == (0, size)
    assert empty.tangent is not None and empty.tangent.shape == (0, size, size)
    assert empty.state.shape == (0, material.num_state)
    assert empty.hint.shape == (0, material.num_hint)
    assert empty.ok.shape == (0,)
    if material.parameter_names:
        assert empty.sensitivity is not None
        assert empty.sensitivity.shape == (0, size, len(material.parameter_names))


def check_total(material: Material, batch: Batch, tolerance: float) -> None:
    """Law 3: hopeless points fail as data, and harm no other."""
    kinematics = material.kinematics
    strain = batch.strain.copy()
    hopeless = [np.full(kinematics.size, np.nan), np.full(kinematics.size, np.inf)]
    if kinematics.measure == "finite":
        mirror = np.eye(kinematics.gdim)
        mirror[0, 0] = -1.0
        hopeless += [mirror.ravel(), np.zeros(kinematics.size)]
    bad = np.arange(0, len(strain), 2)[: len(hopeless)]
    strain[bad] = np.array(hopeless[: len(bad)])
    answer = Batch(strain, batch.state, batch.dt, batch.parameters, batch.hint).answered_by(
        material
    )
    assert answer.tangent is not None
    assert not answer.ok[bad].any()
    assert np.isnan(answer.stress[bad]).all() and np.isnan(answer.tangent[bad]).all()
    good = np.setdiff1d(np.arange(len(strain)), bad)
    clean = batch.rows(good).answered_by(material)
    assert_same(clean, joined([answer], good), tolerance, "beside hopeless points")


def check_consistent(material: Material, batch: Batch, tolerance: float, step: float) -> None:
    """Law 4: Taylor test of order 2, or the declared bound on the tangent's error."""
    direction = np.random.default_rng(1).uniform(-1.0, 1.0, batch.strain.shape)
    base = batch.answered_by(material)
    assert base.tangent is not None
    slope = np.einsum("nij,nj->ni", base.tangent, direction)

    def stress_at(length: float) -> Array:
        moved = Batch(
            batch.strain + length * direction,
            batch.state, batch.dt, batch.parameters, base.hint,
        )  # fmt: skip
        answer = moved.answered_by(material, tangent=False)
        assert answer.ok.all(), "the Taylor test left the solvable strains: take a smaller step"
        return answer.stress

    if material.tangent_error > 0.0:
        # Richardson extrapolation of central differences: error O(step^4)
        wide = (stress_at(step) - stress_at(-step)) / (2.0 * step)
        narrow = (stress_at(step / 2) - stress_at(-step / 2)) / step
        derivative = (4.0 * narrow - wide) / 3.0
        error = np.abs(derivative - slope).max() / np.abs(slope).max()
        assert error <= material.tangent_error, f"error of the tangent {error:.1e}"
        return
    lengths = step * 0.5 ** np.arange(8)
    remainders = [np.linalg.norm(stress_at(h) - base.stress - h * slope) for h in lengths]
    assert_second_order(lengths, np.array(remainders), np.linalg.norm(base.stress), tolerance)


def assert_second_order(
    lengths: Array,  # decreasing
    remainders: Array,
    scale: float,
    tolerance: float,
) -> None:
    """Fit the order above the floor that the tolerance sets; below it all is exact."""
    floor = 100.0 * tolerance * scale
    if remainders[0] <= floor:
        return  # linear to within the tolerance: the remainder has no order
    above = remainders > floor
    assert above.sum() >= 3, f"take a larger step: remainders {remainders}, floor {floor:.1e}"
    order = np.polyfit(np.log(lengths[above]), np.log(remainders[above]), 1)[0]
    last = np.flatnonzero(above)[-2:]
    final = np.diff(np.log(remainders[last]))[0] / np.diff(np.log(lengths[last]))[0]
    assert order >= 1.9, f"Taylor order {order:.2f}; remainders {remainders}"
    assert final >= 1.8, f"Taylor order {final:.2f} at the end; remainders {remainders}"


def check_met_by_every_rank(
    material: Material, batch: Batch, tolerance: float, comm: Any = None
) -> None:
    """Law 5: all ranks call, also those without points; ranks get the same answers."""
    if comm is None:
        return
    alone = batch.answered_by(material)
    for owner in range(comm.size):
        mine = batch if comm.rank == owner else batch.rows(slice(0, 0))
        answer = mine.answered_by(material)
        assert len(answer.stress) == len(mine.strain)
        if comm.rank == owner:
            assert_same(alone, answer, tolerance, f"points on rank {owner} only")
    for rank, stress in enumerate(comm.allgather(alone.stress)):
        scale = np.abs(stress).max()
        np.testing.assert_allclose(
            alone.stress, stress, rtol=0.0, atol=tolerance * scale, err_msg=f"rank {rank}"
        )


def check_hint_is_only_a_hint(material: Material, batch: Batch, tolerance: float) -> None:
    """Using, dropping or blanking the hint changes nothing beyond the tolerance."""
    cold = batch.answered_by(material)
    blanked = cold.hint.copy()
    blanked[::2] = 0.0
    for hint in (cold.hint, blanked):
        warm = Batch(batch.strain, batch.state, batch.dt, batch.parameters, hint)
        assert_same(cold, warm.answered_by(material), tolerance, "with another hint")


def check_state_carries_all_history(material: Material, batch: Batch, tolerance: float) -> None:
    """A path, evaluated again with other points in between, gives the same by its states alone."""
    rest = material.kinematics.rest
    path = [rest + factor * (batch.strain - rest) for factor in (0.5, 1.0, 0.3)]
    np.testing.assert_array_equal(
        material.initial_state(len(batch.strain)), material.initial_state(len(batch.strain))
    )

    def walk(rows: Any, *, disturbed: bool) -> Response:
        part = batch.rows(rows)
        answers, state = [], part.state
        for strain in path:
            kept = state.tobytes()
            step = Batch(strain[rows], state, part.dt, part.parameters, part.hint)
            answers.append(step.answered_by(material))
            if disturbed:
                batch.answered_by(material)
            assert state.tobytes() == kept, "evaluate changed the accepted state"
            state = answers[-1].state
        return answers[-1]

    plain = walk(slice(None), disturbed=False)
    assert_same(plain, walk(slice(None), disturbed=True), tolerance, "path with calls between")
    back = slice(None, None, -1)
    assert_same(plain, joined([walk(back, disturbed=False)], back), tolerance, "path reversed")


def check_shapes_are_refused(material: Material, batch: Batch) -> None:
    """Arrays of a wrong shape raise InputError, before anything is computed."""
    n, size = batch.strain.shape
    with pytest.raises(InputError, match="strain"):
        material.evaluate(np.zeros((n, size + 1)))
    with pytest.raises(InputError, match="strain"):
        material.evaluate(batch.strain[0])
    wrong = {
        "state": {"state": np.zeros((n, material.num_state + 1))},
        "hint": {"hint": np.zeros((n, material.num_hint + 1))},
        "parameters": {"parameters": np.zeros((n, len(material.parameter_names) + 1))},
    }
    for name, keywords in wrong.items():
        right = {"parameters": batch.parameters, "hint": batch.hint, "state": batch.state}
        with pytest.raises(InputError, match=name):
            material.evaluate(batch.strain, **{**right, **keywords})


def check_sensitivity(material: Material, batch: Batch, tolerance: float) -> None:
    """The derivative by the parameters passes a Taylor test of order 2."""
    if not material.parameter_names:
        return
    direction = np.random.default_rng(2).uniform(-1.0, 1.0, batch.parameters.shape)
    direction *= np.abs(batch.parameters)
    base = material.evaluate(
        batch.strain, batch.state, batch.dt, parameters=batch.parameters, sensitivity=True
    )
    assert base.sensitivity is not None
    slope = np.einsum("nip,np->ni", base.sensitivity, direction)
    lengths = 0.1 * 0.5 ** np.arange(8)
    remainders = []
    for length in lengths:
        moved = Batch(
            batch.strain, batch.state, batch.dt, batch.parameters + length * direction, batch.hint
        ).answered_by(material, tangent=False)
        remainders.append(np.linalg.norm(moved.stress - base.stress - length * slope))
    assert_second_order(lengths, np.array(remainders), np.linalg.norm(base.stress), tolerance)


def check_frame_indifference(material: Material, batch: Batch, tolerance: float) -> None:
    """P(Q F) = Q P(F) and A_iJkL(Q F) = Q_ia A_aJcL(F) Q_kc for rotations Q."""
    gdim, (n, size) = material.kinematics.gdim, batch.strain.shape
    assert material.kinematics.measure == "finite"
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((n, gdim, gdim)))[0]
    rotation[:, :, 0] *= np.sign(np.linalg.det(rotation))[:, None]
    base = batch.answered_by(material)
    assert base.tangent is not None
    turned = Batch(
        (rotation @ batch.strain.reshape(n, gdim, gdim)).reshape(n, size),
        batch.state, batch.dt, batch.parameters, batch.hint,
    ).answered_by(material)  # fmt: skip
    stress = rotation @ base.stress.reshape(n, gdim, gdim)
    moduli = base.tangent.reshape(n, gdim, gdim, gdim, gdim)
    tangent = np.einsum("nia,naJcL,nkc->niJkL", rotation, moduli, rotation)
    expected = Response(stress.reshape(n, size), tangent.reshape(n, size, size), *vars_of(turned))
    assert_same(expected, turned, 10.0 * tolerance, "rotated frame")
