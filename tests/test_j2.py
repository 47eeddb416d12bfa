"""J2 plasticity against closed forms, an integrated rate equation and thermodynamics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contract import Batch, assert_second_order, check_consistent, check_contract

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity, Linear, isotropic_stiffness
from fesurrogate.material import Response

ELASTIC = {"young": 200e3, "poisson": 0.3}  # MPa
SHEAR = ELASTIC["young"] / (2 * (1 + ELASTIC["poisson"]))
BULK = ELASTIC["young"] / (3 * (1 - 2 * ELASTIC["poisson"]))
YIELD = 250.0  # MPa
LINEAR = {"hardening": 2000.0}
VOCE = {"hardening": 500.0, "saturation": 150.0, "rate": 40.0}
HARDENINGS = {"perfect": {}, "linear": LINEAR, "Voce": VOCE}
every_hardening = pytest.mark.parametrize("hardening", HARDENINGS.values(), ids=HARDENINGS)
COLUMNS = {2: [0, 1, 5], 3: [0, 1, 2, 3, 4, 5]}  # of the solid's Mandel components


def steel(gdim: Any = 3, **hardening: float) -> J2Plasticity:
    return J2Plasticity(gdim, **ELASTIC, yield_stress=YIELD, **hardening)


def walk(law: J2Plasticity, path: Array, state: Array | None = None) -> list[Response]:
    """Evaluate a path (T, n, m), each increment from the state of the one before."""
    answers = []
    for strain in path:
        answers.append(law.evaluate(strain, state))
        assert answers[-1].ok.all()
        state = answers[-1].state
    return answers


def random_walk(gdim: int, steps: int, points: int, *, size: float, seed: int) -> Array:
    """Return a path (T, n, m) of Gaussian increments of each component."""
    shape = (steps, points, Kinematics(gdim).size)
    return np.cumsum(size * np.random.default_rng(seed).standard_normal(shape), axis=0)


def full_stress(answer: Response) -> Array:  # (n, 6)
    """Return the six Mandel components of the stress, in 2D with σ_zz of the report."""
    if answer.stress.shape[1] == 6:
        return answer.stress
    stress = np.zeros((len(answer.stress), 6))
    stress[:, COLUMNS[2]] = answer.stress
    stress[:, 2] = answer.report["out_of_plane_stress"]
    return stress


def deviator(tensor: Array) -> Array:  # (..., 6) -> (..., 6)
    return tensor - tensor[..., :3].mean(axis=-1, keepdims=True) * np.array([1, 1, 1, 0, 0, 0])


def von_mises(stress: Array) -> Array:  # (..., 6) -> (...)
    return np.sqrt(1.5) * np.linalg.norm(deviator(stress), axis=-1)


def flow_stress(accumulated: Any, hardening: dict[str, float]) -> Any:
    linear, voce = hardening.get("hardening", 0.0), hardening.get("saturation", 0.0)
    return (
        YIELD
        + linear * accumulated
        + voce * (1 - np.exp(-hardening.get("rate", 0.0) * accumulated))
    )


def stored(accumulated: Array, hardening: dict[str, float]) -> Array:
    """Integrate the flow stress less the yield stress by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    at = 0.5 * accumulated[:, None] * (1 + nodes)
    return 0.5 * accumulated * ((flow_stress(at, hardening) - YIELD) @ weights)


def mixed_batch(law: J2Plasticity, n: int = 12) -> Array:  # (n, m)
    """Return strains of which every third is elastic and the others are far into the flow."""
    direction = np.random.default_rng(5).standard_normal((n, law.kinematics.size))
    direction[:, 1] = -direction[:, 0]  # enough deviator in each
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * np.where(np.arange(n) % 3, 0.02, 3e-4)[:, None]


@pytest.mark.mpi
@pytest.mark.parametrize("gdim", [2, 3])
@every_hardening
def test_contract(gdim: int, hardening: dict[str, float]) -> None:
    try:
        from mpi4py import MPI
    except ImportError:
        comm = None
    else:
        comm = MPI.COMM_WORLD
    law = steel(gdim, **hardening)
    strain = mixed_batch(law)
    flowing = law.evaluate(strain).report["plastic_strain"] > 0.0
    np.testing.assert_array_equal(flowing, np.arange(len(strain)) % 3 > 0)
    check_contract(law, strain, comm, step=2e-4)


@pytest.mark.parametrize("gdim", [2, 3])
@every_hardening
def test_tangent_with_history(gdim: int, hardening: dict[str, float]) -> None:
    """The Taylor order holds from a flown state too, for reloading as for reversed flow."""
    law = steel(gdim, **hardening)
    strain = mixed_batch(law)
    state = walk(law, random_walk(gdim, 10, len(strain), size=4e-3, seed=2))[-1].state
    here = law.evaluate(strain, state)
    assert (here.state[:, 6] > state[:, 6] + 1e-3).sum() >= 8
    batch = Batch(strain, state, 1.0, np.zeros((len(strain), 0)), np.zeros((len(strain), 0)))
    check_consistent(law, batch, 1e-12, 2e-5)
    np.testing.assert_allclose(
        here.tangent, np.swapaxes(here.tangent, 1, 2), rtol=0.0, atol=1e-11 * BULK
    )


def test_the_continuum_tangent_would_fail_the_taylor_test() -> None:
    """Without the terms in Δα (θ = 1) the remainder is of first order: the test above sees it."""
    law = steel(**LINEAR)
    strain = mixed_batch(law)[1:2]
    base = law.evaluate(strain)
    normal = deviator(base.stress) / np.linalg.norm(deviator(base.stress))
    stiffness = isotropic_stiffness(Kinematics(3), **ELASTIC)
    factor = 2 * SHEAR / (1 + LINEAR["hardening"] / (3 * SHEAR))
    continuum = stiffness - factor * normal.T @ normal
    direction = np.random.default_rng(1).uniform(-1, 1, strain.shape)
    lengths = 2e-4 * 0.5 ** np.arange(8)

    def remainders(tangent: Array) -> Array:
        moved = [law.evaluate(strain + h * direction).stress - base.stress for h in lengths]
        slope = direction @ tangent.T
        return np.array(
            [np.linalg.norm(d - h * slope) for h, d in zip(lengths, moved, strict=True)]
        )

    assert_second_order(lengths, remainders(base.tangent[0]), 1e3, 1e-12)
    with pytest.raises(AssertionError, match="Taylor order"):
        assert_second_order(lengths, remainders(continuum), 1e3, 1e-12)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("hardening", [{}, LINEAR], ids=["perfect", "linear"])
def test_uniaxial_strain(hardening: dict[str, float], steps: int) -> None:
    """Flow: 2μ e - 3μ p = yield_stress + hardening p, whatever the number of increments."""
    end = np.array([0.5 * YIELD / (2 * SHEAR), 0.999 * YIELD / (2 * SHEAR), 0.005, 0.04])
    path = np.zeros((steps, len(end), 6))
    path[:, :, 0] = np.linspace(0, 1, steps + 1)[1:, None] * end
    answer = walk(steel(**hardening), path)[-1]
    modulus = hardening.get("hardening", 0.0)
    flow = np.maximum(2 * SHEAR * end - YIELD, 0) / (3 * SHEAR + modulus)
    equivalent = 2 * SHEAR * end - 3 * SHEAR * flow
    expected = np.zeros((len(end), 6))
    expected[:, 0] = BULK * end + 2 / 3 * equivalent
    expected[:, 1] = expected[:, 2] = BULK * end - equivalent / 3
    np.testing.assert_allclose(answer.stress, expected, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(answer.report["plastic_strain"], flow, rtol=1e-12)
    strain = np.outer(flow, [1, -0.5, -0.5, 0, 0, 0])
    np.testing.assert_allclose(answer.state[:, :6], strain, rtol=1e-12, atol=1e-16)
    tangent = np.where(flow > 0, modulus / (3 * SHEAR + modulus), 1) * 4 / 3 * SHEAR + BULK
    np.testing.assert_allclose(answer.tangent[:, 0, 0], tangent, rtol=1e-12)


def pull(law: J2Plasticity, axial: Array) -> list[Response]:  # axial strains (T,)
    """Impose ε_xx and find the other strains that leave the other stresses zero, by Newton."""
    strain, state, answers = np.zeros((1, 6)), law.initial_state(1), []
    for value in axial:
        strain[0, 0] = value
        for _ in range(15):
            answer = law.evaluate(strain, state)
            assert answer.tangent is not None
            if np.abs(answer.stress[0, 1:]).max() < 1e-10 * YIELD:
                break
            strain[0, 1:] -= np.linalg.solve(answer.tangent[0, 1:, 1:], answer.stress[0, 1:])
        else:
            pytest.fail("Newton with the consistent tangent did not converge in 15 steps")
        state = answer.state
        answers.append(answer)
    return answers


@every_hardening
def test_uniaxial_stress(hardening: dict[str, float]) -> None:
    """σ = flow stress(α) and ε = σ/E + α, loading; elastic unloading; reversed flow at -σ."""
    flow = np.array([1e-4, 2e-3, 0.01, 0.05])
    stress = flow_stress(flow, hardening)
    unloaded = stress[-1] / ELASTIC["young"]
    axial = stress / ELASTIC["young"] + flow
    back = axial[-1] - unloaded * np.array([0.5, 1.0, 1.9])
    more = flow[-1] + 0.01
    reversed_stress = -flow_stress(more, hardening)
    last = flow[-1] - 0.01 + reversed_stress / ELASTIC["young"]
    answers = pull(steel(**hardening), np.array([*axial, *back, last]))
    got = np.array([answer.stress[0, 0] for answer in answers])
    expected = [*stress, *(stress[-1] * np.array([0.5, 0.0, -0.9])), reversed_stress]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * YIELD)
    accumulated = [answer.report["plastic_strain"][0] for answer in answers]
    np.testing.assert_allclose(accumulated, [*flow, *[flow[-1]] * 3, more], rtol=1e-9)


def test_uniaxial_tangent_modulus() -> None:
    """dσ/dε = E H / (E + H) under uniaxial stress, from the condensed tangent."""
    answer = pull(steel(**LINEAR), np.array([0.01]))[0]
    assert answer.tangent is not None
    moduli, hard = answer.tangent[0], LINEAR["hardening"]
    slope = moduli[0, 0] - moduli[0, 1:] @ np.linalg.solve(moduli[1:, 1:], moduli[1:, 0])
    assert slope == pytest.approx(ELASTIC["young"] * hard / (ELASTIC["young"] + hard), rel=1e-8)


def fitted_order(steps: Array, errors: list[float]) -> float:
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def test_perfect_plasticity_turns_as_krieg_and_krieg() -> None:
    """At a constant strain rate the stress turns towards it in closed form.

    tan(ψ/2) = tan(ψ0/2) exp(-2μ |e| / R), with ψ the angle between the stress and the strain
    increment e, R = √(2/3) yield_stress (R. D. Krieg and D. B. Krieg, J. Pressure Vessel
    Technology 99, 1977, 510-515).
    """
    law, radius = steel(), np.sqrt(2 / 3) * YIELD
    first = np.zeros((1, 6))
    first[0, :2] = [1 / np.sqrt(2), -1 / np.sqrt(2)]
    second = np.array([[0, 0, 0, 0, 0, 1.0]])
    start = first * radius / (2 * SHEAR)
    angle = np.deg2rad(110.0)
    direction = np.cos(angle) * first + np.sin(angle) * second
    # the angle is obtuse: the strain first crosses the elastic sphere, to the mirror angle
    chord = -2 * np.cos(angle) * radius / (2 * SHEAR)
    begin = start + chord * direction
    length = 1.5 * radius / (2 * SHEAR)
    mirrored = np.pi - angle
    psi = 2 * np.arctan(np.tan(mirrored / 2) * np.exp(-2 * SHEAR * length / radius))
    across = first - np.cos(angle) * direction
    across /= np.linalg.norm(across)
    exact = radius * (np.cos(psi) * direction + np.sin(psi) * across)
    steps = np.array([8, 16, 32, 64, 128])
    errors = []
    for count in steps:
        fractions = np.linspace(0, 1, count + 1)[1:, None, None]
        path = np.concatenate([[begin], begin + fractions * length * direction])
        answers = walk(law, path)
        np.testing.assert_allclose(von_mises(answers[-1].stress), YIELD, rtol=1e-12)
        errors.append(np.linalg.norm(answers[-1].stress - exact) / radius)
    assert errors[-1] < 5e-3
    assert fitted_order(steps, errors) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("gdim", [2, 3])
@every_hardening
def test_non_proportional_path_against_the_rate_equation(
    gdim: int, hardening: dict[str, float]
) -> None:
    """Backward Euler tends with order 1 to ε̇ᵖ = √(3/2) α̇ n, α̇ = √6 μ (n : ε̇) / (3μ + H').

    The rate equation is integrated with Dormand and Prince's method, tolerance 1e-10, from the
    instant of first yield on.
    """
    integrate = pytest.importorskip("scipy.integrate")
    optimize = pytest.importorskip("scipy.optimize")
    columns = COLUMNS[gdim]
    ends = np.zeros((2, 6))
    ends[:, columns] = 0.012 * np.random.default_rng(11).standard_normal((2, len(columns)))

    def strain(t: float) -> Array:  # turns by half a right angle per unit of t
        return ends[0] * np.sin(1.5 * t) + ends[1] * (1 - np.cos(1.5 * t))

    def rate(t: float) -> Array:
        return 1.5 * (ends[0] * np.cos(1.5 * t) + ends[1] * np.sin(1.5 * t))

    def normal(t: float, plastic: Array) -> Array:
        stress = deviator(strain(t) - plastic)
        return stress / np.linalg.norm(stress)

    def flow(t: float, state: Array) -> Array:
        direction = normal(t, state[:6])
        slope = hardening.get("hardening", 0.0) + hardening.get("saturation", 0.0) * hardening.get(
            "rate", 0.0
        ) * np.exp(-hardening.get("rate", 0.0) * state[6])
        speed = np.sqrt(6) * SHEAR * direction @ rate(t) / (3 * SHEAR + slope)
        assert speed > 0.0, "the path must keep on loading"
        return np.append(np.sqrt(1.5) * speed * direction, speed)

    def above_yield(t: float) -> float:
        return von_mises(2 * SHEAR * strain(t)) - YIELD

    yielding = optimize.brentq(above_yield, 1e-6, 1.0, xtol=1e-14)
    exact = integrate.solve_ivp(
        flow, (yielding, 1.0), np.zeros(7), method="DOP853", rtol=1e-10, atol=1e-13
    ).y[:, -1]
    elastic = strain(1.0) - exact[:6]
    spherical = elastic - deviator(elastic)  # tr(ε) 1 / 3
    stress = 2 * SHEAR * deviator(elastic) + 3 * BULK * spherical
    law, steps = steel(gdim, **hardening), np.array([32, 64, 128, 256])
    stress_errors, flow_errors = [], []
    for count in steps:
        path = np.array([strain(t)[None, columns] for t in np.arange(1, count + 1) / count])
        last = walk(law, path)[-1]
        stress_errors.append(np.linalg.norm(full_stress(last)[0] - stress) / YIELD)
        flow_errors.append(np.linalg.norm(last.state[0] - exact))
    assert stress_errors[-1] < 1e-2
    assert fitted_order(steps, stress_errors) == pytest.approx(1.0, abs=0.15)
    assert fitted_order(steps, flow_errors) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("gdim", [2, 3])
@every_hardening
def test_flow_obeys_the_second_law(gdim: int, hardening: dict[str, float]) -> None:
    """On random walks: admissible stress, isochoric and associated flow, dissipation >= 0."""
    law = steel(gdim, **hardening)
    state = law.initial_state(50)
    flown = 0
    for strain in random_walk(gdim, 40, 50, size=6e-4, seed=gdim):
        answer = law.evaluate(strain, state)
        stress, accumulated = full_stress(answer), answer.state[:, 6]
        limit = flow_stress(accumulated, hardening)
        plastic, more = answer.state[:, :6] - state[:, :6], accumulated - state[:, 6]
        flows = more > 0
        flown += flows.sum()
        assert (von_mises(stress) <= (1 + 1e-11) * limit).all()
        np.testing.assert_allclose(von_mises(stress)[flows], limit[flows], rtol=1e-10)
        np.testing.assert_allclose(answer.state[:, :3].sum(axis=1), 0.0, atol=1e-15)
        along = 1.5 * more[:, None] * deviator(stress) / limit[:, None]
        np.testing.assert_allclose(plastic, along, atol=1e-14)
        np.testing.assert_array_equal(plastic[~flows], 0.0)
        gained = stored(accumulated, hardening) - stored(state[:, 6], hardening)
        work = np.einsum("ni,ni->n", stress, plastic)
        # the stored energy is convex in α, so that an implicit step dissipates no less
        assert (work - gained >= YIELD * more - 1e-11 * YIELD).all()
        assert (more >= 0).all()
        state = answer.state
    assert 500 < flown < 1900  # of 2000: the walk loads and unloads


@pytest.mark.parametrize("gdim", [2, 3])
@every_hardening
def test_work_is_energy_plus_dissipation(gdim: int, hardening: dict[str, float]) -> None:
    """The work along a path tends to energy + dissipation, at least with order 1."""
    law = steel(gdim, **hardening)
    corners = np.zeros((4, 4, law.kinematics.size))
    corners[1:] = random_walk(gdim, 3, 4, size=6e-3, seed=9)
    corners[:, :, :gdim] -= corners[:, :, :gdim].mean(axis=2, keepdims=True)  # no volume change
    steps, errors = np.array([16, 32, 64, 128]), []
    for count in steps:
        fractions = np.arange(1, count + 1)[:, None, None] / count
        path = np.concatenate(
            [a + fractions * (b - a) for a, b in zip(corners, corners[1:], strict=False)]
        )
        answers = walk(law, path)
        stress = np.stack([np.zeros_like(answers[0].stress), *(a.stress for a in answers)])
        moved = np.diff(path, axis=0, prepend=0.0 * path[:1])
        work = 0.5 * np.einsum("tni,tni->n", stress[1:] + stress[:-1], moved)
        report = answers[-1].report
        balance = report["energy"] + report["dissipation"]
        assert (report["dissipation"] > 0.3 * work).all()  # most of it is flow
        errors.append(np.abs(work / balance - 1).max())
    assert errors[-1] < 1e-3
    assert fitted_order(steps, errors) > 0.9


@pytest.mark.parametrize("gdim", [2, 3])
@every_hardening
def test_unloading_is_elastic_and_a_closed_elastic_cycle_does_no_work(
    gdim: int, hardening: dict[str, float]
) -> None:
    law = steel(gdim, **hardening)
    loaded = 0.02 * np.random.default_rng(4).standard_normal((1, law.kinematics.size))
    loaded[0, 1] = -loaded[0, 0]  # in 2D too, taking the stress away takes σ_zz away
    start = walk(law, np.array([0.3 * loaded, 0.7 * loaded, loaded]))[-1]
    stiffness = isotropic_stiffness(law.kinematics, **ELASTIC)
    assert start.report["plastic_strain"][0] > 0.005
    # back to the middle of the yield surface, then a triangle about it
    shape = np.random.default_rng(6).standard_normal((2, 1, law.kinematics.size))
    middle = loaded - 0.8 * np.linalg.solve(stiffness, start.stress[0])
    corners = [middle, *(middle + 2e-4 * shape / np.linalg.norm(shape, axis=2)[:, :, None]), middle]
    answers = walk(law, np.array(corners), start.state)
    for strain, answer in zip(corners, answers, strict=True):
        change = (strain - loaded) @ stiffness
        np.testing.assert_allclose(answer.stress - start.stress, change, atol=1e-9 * YIELD)
        np.testing.assert_allclose(answer.tangent[0], stiffness, rtol=1e-13, atol=1e-9)
        np.testing.assert_array_equal(answer.state, start.state)
    pairs = list(zip(corners, answers, strict=True))
    works = [  # the stress is linear between corners: the trapezoidal rule is exact
        0.5 * (here.stress + there.stress)[0] @ (b - a)[0]
        for (a, here), (b, there) in zip(pairs, pairs[1:], strict=False)
    ]
    assert max(np.abs(works)) > 1e-3
    assert abs(sum(works)) < 1e-12 * max(np.abs(works))
    energies = np.array([answer.report["energy"][0] for answer in answers])
    np.testing.assert_allclose(np.diff(energies), works, rtol=1e-9)


@every_hardening
def test_a_point_held_on_the_yield_surface_stays(hardening: dict[str, float]) -> None:
    law = steel(**hardening)
    strain = mixed_batch(law, 30)
    moved = law.evaluate(strain)
    held = law.evaluate(strain, moved.state)
    np.testing.assert_array_equal(held.state, moved.state)
    np.testing.assert_allclose(held.stress, moved.stress, atol=1e-11 * YIELD)


@every_hardening
def test_plane_strain_is_the_solid_without_out_of_plane_strain(
    hardening: dict[str, float],
) -> None:
    plane, solid = steel(2, **hardening), steel(3, **hardening)
    path = random_walk(2, 15, 8, size=2e-3, seed=3)
    embedded = np.zeros((15, 8, 6))
    embedded[:, :, COLUMNS[2]] = path
    for flat, full in zip(walk(plane, path), walk(solid, embedded), strict=True):
        close = {"rtol": 1e-12, "atol": 1e-10}
        assert flat.tangent is not None and full.tangent is not None
        np.testing.assert_allclose(flat.stress, full.stress[:, COLUMNS[2]], **close)
        block = full.tangent[:, COLUMNS[2]][:, :, COLUMNS[2]]
        np.testing.assert_allclose(flat.tangent, block, **close)
        np.testing.assert_allclose(flat.state, full.state, rtol=1e-12, atol=1e-16)
        np.testing.assert_allclose(flat.report["out_of_plane_stress"], full.stress[:, 2], **close)
        for name in ("energy", "dissipation", "plastic_strain"):
            np.testing.assert_allclose(flat.report[name], full.report[name], rtol=1e-12)
    assert np.abs(flat.state[:, 2]).max() > 1e-3  # it flows out of the plane


@pytest.mark.parametrize("gdim", [2, 3])
def test_before_yield_it_is_hookes_law(gdim: int) -> None:
    law = steel(gdim, **VOCE)
    hooke = Linear(law.kinematics, isotropic_stiffness(law.kinematics, **ELASTIC))
    strain = 4e-4 * np.random.default_rng(0).uniform(-1, 1, (9, law.kinematics.size))
    got, expected = law.evaluate(strain), hooke.evaluate(strain)
    np.testing.assert_allclose(got.stress, expected.stress, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(got.report["energy"], expected.report["energy"], rtol=1e-12)
    assert not got.state.any()


@pytest.mark.parametrize("rate", [1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("saturation", [1e-3, 1.0, 100.0])
def test_voce_is_solved_from_the_faintest_to_the_fiercest_flow(
    saturation: float, rate: float
) -> None:
    """The yield condition holds to round-off over 14 decades of strain, for any gain."""
    law = steel(saturation=saturation * YIELD, rate=rate)
    strain = np.zeros((300, 6))
    over = np.logspace(-9, 5, len(strain))  # beyond the strain of first yield, relative to it
    strain[:, 5] = np.sqrt(2) * (1 + over) * YIELD / (2 * np.sqrt(3) * SHEAR)
    answer = law.evaluate(strain)
    assert answer.ok.all()
    accumulated = answer.report["plastic_strain"]
    assert (accumulated > 0).all()
    equivalent = np.sqrt(1.5) * answer.stress[:, 5]
    limit = YIELD * (1 - saturation * np.expm1(-rate * accumulated))
    np.testing.assert_allclose(equivalent, limit, rtol=1e-13)
    trial = (1 + over) * YIELD
    balance = trial - 3 * SHEAR * accumulated - limit  # the solver stops at 1e-14 of it
    assert np.abs(balance / trial).max() < 3e-14


@pytest.mark.parametrize("gdim", [2, 3])
def test_hopeless_rows_fail_as_data_and_keep_their_state(gdim: int) -> None:
    law = steel(gdim, **VOCE)
    strain = mixed_batch(law, 6)
    state = walk(law, random_walk(gdim, 4, 6, size=2e-3, seed=1))[-1].state
    clean = law.evaluate(strain, state)
    strain[1, 0], strain[3, 0] = np.nan, 1e200  # the square of the second overflows
    state[5, 6] = np.inf
    answer = law.evaluate(strain, state)
    np.testing.assert_array_equal(answer.ok, [True, False, True, False, True, False])
    np.testing.assert_array_equal(answer.state[[1, 3, 5]], state[[1, 3, 5]])
    for got, expected in [
        (answer.stress, clean.stress),
        (answer.tangent, clean.tangent),
        *((answer.report[name], clean.report[name]) for name in clean.report),
    ]:
        assert got is not None and expected is not None
        assert np.isnan(got[1::2]).all()
        np.testing.assert_allclose(got[::2], expected[::2], rtol=1e-12)


def test_rows_whose_newton_does_not_converge_fail_as_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 3 steps only, strong flow fails; elastic rows and faint flow do not notice."""
    law = steel(saturation=16 * YIELD, rate=100.0)
    strain = mixed_batch(law)
    strain[4] *= (1 + 1e-9) * YIELD / von_mises(2 * SHEAR * strain[4])
    enough = law.evaluate(strain)
    monkeypatch.setattr("fesurrogate.laws.hardening.NEWTON_STEPS", 3)
    scarce = law.evaluate(strain)
    elastic = np.arange(len(strain)) % 3 == 0
    assert scarce.ok[elastic].all() and scarce.ok[4] and scarce.ok.sum() == elastic.sum() + 1
    assert scarce.tangent is not None and np.isnan(scarce.tangent[~scarce.ok]).all()
    assert np.isnan(scarce.stress[~scarce.ok]).all() and not scarce.state[~scarce.ok].any()
    assert scarce.state[4, 6] > 0.0
    np.testing.assert_array_equal(scarce.stress[scarce.ok], enough.stress[scarce.ok])


GOOD = {**ELASTIC, "yield_stress": YIELD}


@pytest.mark.parametrize(
    ("constants", "named"),
    [
        ({"young": 0.0}, "young"),
        ({"young": np.inf}, "young"),
        ({"poisson": 0.5}, "poisson"),
        ({"poisson": np.nan}, "poisson"),
        ({"yield_stress": 0.0}, "yield_stress"),
        ({"yield_stress": -1.0}, "yield_stress"),
        ({"hardening": -1.0}, "hardening"),
        ({"saturation": -1.0, "rate": 1.0}, "saturation"),
        ({"saturation": 1.0, "rate": np.nan}, "rate"),
        ({"saturation": 1.0, "rate": -2.0}, "rate"),
        ({"saturation": 1.0}, "rate"),
    ],
)
def test_bad_constants_are_named(constants: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=f"J2Plasticity: {named} is"):
        J2Plasticity(3, **{**GOOD, **constants})


def test_bad_dimension_is_named() -> None:
    with pytest.raises(InputError, match="gdim"):
        J2Plasticity(1, **GOOD)  # type: ignore[arg-type]
