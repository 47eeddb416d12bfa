"""Constants as parameters of the points: the same answers, exact sensitivities, failure as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from contract import Batch, check_consistent, check_contract, check_sensitivity

from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import (
    Conductor,
    IsotropicElastic,
    J2Plasticity,
    Linear,
    NeoHookean,
    Ogden,
    Rotated,
    TransverselyIsotropic,
    Viscoelastic,
    isotropic_stiffness,
)
from fesurrogate.material import Material, Response

N = 12
STEEL = {
    "young": 200e3,
    "poisson": 0.3,
    "yield_stress": 250.0,
    "hardening": 500.0,
    "saturation": 150.0,
    "rate": 40.0,
}


def elastic(measure: Any) -> Callable[..., Material]:
    def make(gdim: Any, **constants: Any) -> Material:
        return IsotropicElastic(Kinematics(gdim, measure), **constants)

    return make


def in_terms(gdim: Any, *, bulk_modulus: float, parameters: Any = (), **terms: float) -> Ogden:
    pairs = [(terms[f"modulus_{k}"], terms[f"exponent_{k}"]) for k in (1, 2)]
    return Ogden(gdim, terms=pairs, bulk_modulus=bulk_modulus, parameters=parameters)


def in_branches(gdim: Any, *, parameters: Any = (), **constants: float) -> Viscoelastic:
    branches = {
        f"{part}_branches": [
            (constants.pop(f"{part}_modulus_{k}"), constants.pop(f"{part}_time_{k}"))
            for k in range(1, count + 1)
        ]
        for part, count in (("shear", 2), ("bulk", 1))
    }
    return Viscoelastic(gdim, **constants, **branches, parameters=parameters)


def fibrous(measure: Any) -> Callable[..., Material]:
    def make(gdim: Any, **constants: Any) -> Material:
        direction = [1.0, 2.0, -0.5][:gdim]
        return TransverselyIsotropic(Kinematics(gdim, measure), **constants, direction=direction)

    return make


TERMS = {
    "modulus_1": 0.9,
    "exponent_1": 1.3,
    "modulus_2": -0.2,
    "exponent_2": -2.0,
    "bulk_modulus": 2.0,
}
POLYMER = {
    "shear_modulus": 1.0,
    "bulk_modulus": 2.5,
    "shear_modulus_1": 3.0,
    "shear_time_1": 0.4,  # below and above dt = 1, where a series takes over
    "shear_modulus_2": 0.7,
    "shear_time_2": 5.0,
    "bulk_modulus_1": 1.5,
    "bulk_time_1": 0.6,
}
CARBON = {
    "young_along": 23.0,
    "young_across": 15.0,
    "shear_along": 2.4,
    "poisson_along": 0.25,
    "poisson_across": 0.3,
}
LAWS: dict[str, tuple[Callable[..., Material], dict[str, float], tuple[str, ...]]] = {
    "elastic": (elastic("small"), {"young": 3.0, "poisson": 0.3}, ("young", "poisson")),
    "elastic F": (elastic("finite"), {"young": 3.0, "poisson": -0.2}, ("poisson", "young")),
    "softness": (elastic("small"), {"young": 3.0, "poisson": 0.3}, ("poisson",)),
    "conductor": (Conductor, {"conductivity": 0.7}, ("conductivity",)),
    "rubber": (NeoHookean, {"shear_modulus": 1.3, "lame": 2.1}, ("lame", "shear_modulus")),
    "rubber by bulk": (
        NeoHookean,
        {"shear_modulus": 1.3, "bulk_modulus": 2.1},
        ("shear_modulus", "bulk_modulus"),
    ),
    "steel": (J2Plasticity, STEEL, tuple(STEEL)),
    "yield stress": (J2Plasticity, STEEL, ("yield_stress",)),
    "Ogden": (in_terms, TERMS, tuple(TERMS)),
    "exponent": (in_terms, TERMS, ("exponent_2",)),
    "polymer": (in_branches, POLYMER, tuple(POLYMER)),
    "slow": (in_branches, POLYMER, ("shear_time_2", "bulk_time_1", "shear_modulus")),
    "fibres": (fibrous("small"), CARBON, tuple(CARBON)),
    "fibres F": (fibrous("finite"), CARBON, tuple(CARBON)[::-1]),
    "perfect": (J2Plasticity, {**STEEL, "saturation": 0.0}, ("young", "hardening", "poisson")),
}
every_law = pytest.mark.parametrize("name", LAWS)
gdims = pytest.mark.parametrize("gdim", [2, 3])


def law_of(name: str, gdim: int, **changed: float) -> Material:
    make, constants, names = LAWS[name]
    return make(gdim, **{**constants, **changed}, parameters=names)


def strains_of(material: Material) -> Array:  # (n, m)
    """Return strains; for J2 every third is elastic and the others are far into the flow."""
    kinematics = material.kinematics
    if isinstance(material, J2Plasticity):
        direction = np.random.default_rng(5).standard_normal((N, kinematics.size))
        direction[:, 1] = -direction[:, 0]
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return direction * np.where(np.arange(N) % 3, 0.02, 3e-4)[:, None]
    return stretches(kinematics, N, 0.1, seed=7)[:, 0]


def graded(name: str) -> Array:  # (n, p)
    """Return parameters that vary by a tenth about the law's constants."""
    _, constants, names = LAWS[name]
    spread = 1 + 0.1 * np.random.default_rng(8).uniform(-1, 1, (N, len(names)))
    return np.array([constants[each] for each in names]) * spread


@pytest.mark.mpi
@gdims
@every_law
def test_contract(name: str, gdim: int) -> None:
    """With the Taylor test of the sensitivity, at points that are elastic and that flow."""
    try:
        from mpi4py import MPI
    except ImportError:
        comm = None
    else:
        comm = MPI.COMM_WORLD
    material = law_of(name, gdim)
    step = 2e-4 if isinstance(material, J2Plasticity) else 0.02
    check_contract(
        material, strains_of(material), comm,
        parameters=graded(name), step=step,
        objective="rubber" in name or isinstance(material, Ogden),
    )  # fmt: skip


@gdims
@every_law
def test_each_point_answers_as_the_law_with_its_constants(name: str, gdim: int) -> None:
    material, values = law_of(name, gdim), graded(name)
    make, constants, names = LAWS[name]
    strain = strains_of(material)
    answer = material.evaluate(strain, parameters=values)
    for i in range(N):
        own = {**constants, **dict(zip(names, values[i], strict=True))}
        expected = make(gdim, **own).evaluate(strain[i : i + 1])
        for part in ("stress", "tangent", "state"):
            np.testing.assert_allclose(
                getattr(answer, part)[i], getattr(expected, part)[0], rtol=1e-13, atol=1e-13
            )
        for key, column in expected.report.items():
            np.testing.assert_allclose(answer.report[key][i], column[0], rtol=1e-12, atol=1e-15)


@gdims
@pytest.mark.parametrize("name", ["steel", "perfect", "yield stress"])
def test_sensitivity_of_plasticity_with_history(name: str, gdim: int) -> None:
    """From a state that has flown: reloading, reversed flow, and unloading without flow."""
    material, values = law_of(name, gdim), graded(name)
    first = strains_of(material)
    state = material.evaluate(first, parameters=values).state
    second = first * np.where(np.arange(N) % 2, 1.5, 0.999)[:, None]
    second[2::6] *= -1.0
    batch = Batch(second, state, 1.0, values, np.zeros((N, 0)))
    end = batch.answered_by(material).state
    flowing = end[:, 6] > state[:, 6]
    assert 4 <= flowing.sum() <= 9 and (state[~flowing, 6] > 0).any()
    check_sensitivity(material, batch, 1e-12)
    check_consistent(material, batch, 1e-12, 2e-5)


@gdims
@pytest.mark.parametrize("dt", [0.0, 0.01, 0.3, 1.0, 7.0, 1e9])
def test_sensitivity_of_relaxation_with_history(gdim: int, dt: float) -> None:
    """From a state under stress, in increments far below and far above the relaxation times."""
    material, values = law_of("polymer", gdim), graded("polymer")
    state = material.evaluate(strains_of(material), None, 0.2, parameters=values).state
    second = -0.5 * strains_of(material)[::-1]
    batch = Batch(second, state, dt, values, np.zeros((N, 0)))
    check_sensitivity(material, batch, 1e-12)
    answer = material.evaluate(second, state, dt, parameters=values, sensitivity=True)
    assert answer.sensitivity is not None
    times = [k for k, name in enumerate(POLYMER) if "_time_" in name]
    size = np.abs(answer.sensitivity[:, :, times]).max()
    # without duration nothing relaxes; after a long time nothing is left, as 1 / dt
    assert 0.0 < size <= 10.0 / dt if dt else size == 0.0


@gdims
@pytest.mark.parametrize("measure", ["small", "finite"])
def test_fibres_are_linear_with_their_stiffness(gdim: int, measure: Any) -> None:
    law = fibrous(measure)(gdim, **CARBON)
    stiffness = TransverselyIsotropic(
        law.kinematics, **CARBON, direction=[1.0, 2.0, -0.5][:gdim]
    ).stiffness
    plain, strain = Linear(law.kinematics, stiffness), strains_of(law)
    got, expected = law.evaluate(strain), plain.evaluate(strain)
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-13)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(got.report["energy"], expected.report["energy"], rtol=1e-12)


def test_yield_stress_moves_the_stress_in_closed_form() -> None:
    """Flow in shear: the equivalent stress rises by 3μ / (3μ + H) per unit of yield stress."""
    hardening, shear = 2000.0, 200e3 / 2.6
    law = J2Plasticity(
        3, young=200e3, poisson=0.3, yield_stress=1.0, hardening=hardening,
        parameters=("hardening", "yield_stress"),
    )  # fmt: skip
    strain = np.array([[0, 0, 0, 0, 0, 0.01]])
    answer = law.evaluate(strain, parameters=np.array([[hardening, 250.0]]), sensitivity=True)
    assert answer.sensitivity is not None
    share = 3 * shear / (3 * shear + hardening)
    flow = answer.report["plastic_strain"][0]
    expected = np.sqrt(2 / 3) * share * np.array([flow, 1.0])
    np.testing.assert_allclose(answer.sensitivity[0, 5], expected, rtol=1e-12)
    np.testing.assert_allclose(answer.sensitivity[0, :5], 0.0, atol=1e-15)


@gdims
@pytest.mark.parametrize("measure", ["small", "finite"])
def test_isotropic_elasticity_is_linear_with_its_stiffness(gdim: int, measure: Any) -> None:
    kinematics = Kinematics(gdim, measure)  # type: ignore[arg-type]
    constants = {"young": 7.0, "poisson": 0.35}
    plain = Linear(kinematics, isotropic_stiffness(kinematics, **constants))
    law = IsotropicElastic(kinematics, **constants)
    strain = strains_of(law)
    got, expected = law.evaluate(strain), plain.evaluate(strain)
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-14)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-14)
    np.testing.assert_allclose(got.report["energy"], expected.report["energy"], rtol=1e-12)
    with pytest.raises(InputError, match="take Conductor for conduction"):
        IsotropicElastic(Kinematics(2, "gradient"), **constants)


@gdims
def test_a_conductor_is_linear_with_its_conductivity(gdim: int) -> None:
    law = Conductor(gdim, conductivity=0.7)  # type: ignore[arg-type]
    plain = Linear(law.kinematics, 0.7 * np.eye(gdim))
    got, expected = (material.evaluate(strains_of(law)) for material in (law, plain))
    np.testing.assert_allclose(got.stress, expected.stress, rtol=1e-15)
    np.testing.assert_array_equal(got.tangent, expected.tangent)
    np.testing.assert_allclose(got.report["energy"], expected.report["energy"], rtol=1e-14)


OUT_OF_RANGE = {
    "young": (0.0, -1.0, np.nan, np.inf),
    "poisson": (0.5, -1.0, np.nan),
    "yield_stress": (0.0, -5.0, np.inf),
    "hardening": (-1.0, np.nan),
    "saturation": (-1e-9, np.inf),
    "rate": (-1.0, 0.0, np.nan),  # 0 beside a saturation
    "conductivity": (0.0, -1.0, np.inf),
    "shear_modulus": (0.0, -2.0, np.nan),
    "bulk_modulus": (0.0, -1.0, np.inf),
    "rubber by bulk: bulk_modulus": (2.0 / 3.0,),  # lame < 0 with some of the shear moduli
    "lame": (-1e-6, np.nan),
    "modulus_1": (-0.5, np.nan, np.inf),  # a negative initial shear modulus
    "exponent_1": (0.0, np.nan, -np.inf),
    "modulus_2": (np.nan,),
    "exponent_2": (0.0, 7.0),
    "shear_modulus_1": (0.0, np.nan),
    "shear_time_1": (0.0, -1.0, np.inf),
    "shear_modulus_2": (-1.0,),
    "shear_time_2": (np.nan,),
    "bulk_modulus_1": (0.0,),
    "bulk_time_1": (0.0, np.nan),
    "young_along": (0.0, np.nan, 0.5),  # the last makes the solid unstable
    "young_across": (-1.0, np.inf),
    "shear_along": (0.0, np.inf),
    "poisson_along": (np.nan, 1.0, -1.0),
    "poisson_across": (1.0, -1.0, np.nan),
}
RANGED = ["elastic", "conductor", "rubber", "rubber by bulk", "steel", "Ogden", "polymer", "fibres"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", RANGED)
def test_points_out_of_range_fail_alone(name: str) -> None:
    material, names = law_of(name, 2), LAWS[name][2]
    clean_values = graded(name)
    strain = strains_of(material)
    clean = material.evaluate(strain, parameters=clean_values, sensitivity=True)
    for column, constant in enumerate(names):
        for bad in (*OUT_OF_RANGE[constant], *OUT_OF_RANGE.get(f"{name}: {constant}", ())):
            values = clean_values.copy()
            values[[0, 5], column] = bad
            answer = material.evaluate(strain, parameters=values, sensitivity=True)
            good = ~np.isin(np.arange(N), [0, 5])
            np.testing.assert_array_equal(answer.ok, good, err_msg=f"{constant} = {bad}")
            for part in ("stress", "tangent", "sensitivity"):
                got = getattr(answer, part)
                assert np.isnan(got[~good]).all()
                np.testing.assert_array_equal(got[good], getattr(clean, part)[good])
            np.testing.assert_array_equal(answer.state[~good], 0.0)


def test_parameters_that_are_no_constants_are_refused() -> None:
    with pytest.raises(InputError, match="parameters are 'yield'; expected each once, out of y"):
        J2Plasticity(2, **STEEL, parameters=("yield",))
    with pytest.raises(InputError, match="NeoHookean: parameters are 'lame', 'lame'; expected"):
        NeoHookean(2, shear_modulus=1.0, lame=1.0, parameters=("lame", "lame"))
    with pytest.raises(InputError, match="out of shear_modulus, bulk_modulus"):
        NeoHookean(2, shear_modulus=1.0, bulk_modulus=1.0, parameters=("lame",))
    with pytest.raises(InputError, match="Ogden: parameters are 'modulus_3'; expected each once"):
        Ogden(2, terms=[(1.0, 2.0)], bulk_modulus=1.0, parameters=("modulus_3",))
    law = IsotropicElastic(Kinematics(2), young=1.0, poisson=0.3, parameters="young")
    assert law.parameter_names == ("young",)


@gdims
def test_a_rotated_law_passes_its_own_parameters_through(gdim: int) -> None:
    inner = law_of("steel", gdim)
    law = Rotated(inner)
    count = 1 if gdim == 2 else 3
    assert law.parameter_names[count:] == inner.parameter_names
    turns = np.random.default_rng(1).uniform(-2, 2, (N, count))
    values = np.concatenate([turns, graded("steel")], axis=1)
    strain = strains_of(inner)
    state = law.evaluate(strain, parameters=values).state
    batch = Batch(1.5 * strain[:, ::-1], state, 1.0, values, np.zeros((N, 0)))
    check_sensitivity(law, batch, 1e-12)


class Twisted(Material):
    """A neo-Hookean law whose sensitivity is wrong by a thousandth."""

    def __init__(self) -> None:
        self.law = law_of("rubber", 2)
        self.kinematics, self.parameter_names = self.law.kinematics, self.law.parameter_names

    def respond(self, strain: Array, state: Array, dt: float, **options: Any) -> Response:
        """Answer wrongly."""
        answer = self.law.respond(strain, state, dt, **options)
        if answer.sensitivity is not None:
            answer.sensitivity[:, :, 1] *= 1.001
        return answer


def test_the_suite_catches_a_wrong_sensitivity() -> None:
    material = Twisted()
    batch = Batch(strains_of(material), np.zeros((N, 0)), 1.0, graded("rubber"), np.zeros((N, 0)))
    with pytest.raises(AssertionError, match="Taylor order"):
        check_sensitivity(material, batch, 1e-12)
