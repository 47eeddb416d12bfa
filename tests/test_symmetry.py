"""Energies of invariants have the symmetry for any weights, and no more of it than asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.config.train import EnergySettings, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import Linear, Ogden, TransverselyIsotropic, isotropic_stiffness

torch = pytest.importorskip("torch")

from networks import assert_derivatives_of_energy, random_energy  # noqa: E402

from fesurrogate.surrogate import NetworkMaterial, load_model, save_model  # noqa: E402
from fesurrogate.surrogate.polynomial import PolynomialMap  # noqa: E402
from fesurrogate.surrogate.symmetry import invariants  # noqa: E402
from fesurrogate.train import errors_on, fit  # noqa: E402

KINEMATICS = [Kinematics(d, m) for d in (2, 3) for m in ("small", "finite", "gradient")]
SYMMETRIES = ["isotropic", "transversely_isotropic", "cubic"]
AXIS = {2: (0.6, 0.8), 3: (0.48, 0.6, 0.64)}
CASES = [(k, s) for k in KINEMATICS for s in SYMMETRIES]
cases = pytest.mark.parametrize(("kinematics", "symmetry"), CASES, ids=str)


def options(kinematics: Kinematics, symmetry: str) -> dict:
    """Return the arguments that ask for a symmetry."""
    transverse = symmetry == "transversely_isotropic"
    return {"symmetry": symmetry, "direction": AXIS[kinematics.gdim] if transverse else None}


@cases
def test_derivatives_are_those_of_automatic_differentiation(
    kinematics: Kinematics, symmetry: str
) -> None:
    network = random_energy(kinematics, exponentials=2, **options(kinematics, symmetry))
    assert_derivatives_of_energy(network, 1e-11)


@cases
def test_laws_of_materials(kinematics: Kinematics, symmetry: str) -> None:
    network = random_energy(kinematics, **options(kinematics, symmetry))
    strain = stretches(kinematics, 12, 0.15)[:, 0]
    finite = kinematics.measure == "finite"
    check_contract(NetworkMaterial(network), strain, tolerance=1e-10, step=0.05, objective=finite)
    rest = NetworkMaterial(network).evaluate(kinematics.rest[None])
    np.testing.assert_allclose(rest.stress, 0.0, atol=1e-13)


def rotation(axis: Array, angle: float) -> Array:
    """Return the rotation about an axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def in_group(gdim: int, symmetry: str) -> list[Array]:
    """Return some orthogonal tensors of the symmetry group; of the cubic one, all."""
    if symmetry == "cubic":
        return [
            np.eye(gdim)[list(order)] * np.array(signs)
            for order in permutations(range(gdim))
            for signs in product((1.0, -1.0), repeat=gdim)
        ]
    a = np.array(AXIS[gdim])
    reflections = [np.eye(gdim) - 2.0 * np.outer(a, a), -np.eye(gdim)]
    if symmetry == "transversely_isotropic":
        turns = [rotation(a, angle) for angle in (0.3, 2.0)] if gdim == 3 else []
        return [*reflections, *turns]
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((gdim, gdim)))[0]
    return [*reflections, turn]


def departure(network, kinematics: Kinematics, q: Array) -> float:
    """Return how far the stress of turned strains is from the turned stress, relative to it."""
    strain = stretches(kinematics, 6, 0.2, seed=3)[:, 0]
    material, tensor = NetworkMaterial(network), kinematics.unpack(strain)

    def turned(t: Array) -> Array:
        if kinematics.measure == "gradient":
            return t @ q.T
        return t @ q.T if kinematics.measure == "finite" else q @ t @ q.T

    # at finite strain F Qᵀ: the body is turned before it is deformed; det Q = 1 wanted
    before = kinematics.unpack(material.evaluate(strain).stress)
    after = kinematics.unpack(material.evaluate(kinematics.pack(turned(tensor))).stress)
    return float(np.abs(after - turned(before)).max() / np.abs(before).max())


@cases
def test_the_group_leaves_the_energy_alone(kinematics: Kinematics, symmetry: str) -> None:
    network = random_energy(kinematics, **options(kinematics, symmetry))
    for q in in_group(kinematics.gdim, symmetry):
        proper = q * np.sign(np.linalg.det(q)) if kinematics.gdim == 3 else q
        if kinematics.measure == "finite" and np.linalg.det(proper) < 0.0:
            continue  # a reflection in the plane has no admissible F Qᵀ
        assert departure(network, kinematics, proper) < 1e-12
    if symmetry != "isotropic":  # no more symmetry than was asked for
        other = np.eye(kinematics.gdim)
        c, s = np.cos(0.5), np.sin(0.5)
        other[:2, :2] = [[c, -s], [s, c]]
        assert departure(network, kinematics, other) > 1e-4


@cases
def test_as_many_invariants_are_independent_as_there_are_orbits(
    kinematics: Kinematics, symmetry: str
) -> None:
    """The rank of their gradients is q less the dimension of the group, at generic strains."""
    d = kinematics.gdim
    vector = kinematics.measure == "gradient"
    q = d if vector else d * (d + 1) // 2
    dimension = {
        "cubic": 0,
        "isotropic": (d - 1 if vector else d * (d - 1) // 2),
        "transversely_isotropic": d - 2,
    }[symmetry]
    found = PolynomialMap(invariants(kinematics, **options(kinematics, symmetry)), q)
    e = torch.from_numpy(np.random.default_rng(0).standard_normal((q, 3)))
    _, gradient, _ = found(e, second=False)
    for point in range(3):
        assert int(torch.linalg.matrix_rank(gradient[:, :, point], rtol=1e-10)) == q - dimension


def cubic_stiffness(gdim: int) -> Array:
    stiffness = isotropic_stiffness(Kinematics(gdim, "small"), young=2.0, poisson=0.3)
    shear = np.arange(gdim, len(stiffness))
    stiffness[shear, shear] *= 1.7
    return stiffness


@pytest.mark.parametrize("gdim", [2, 3])
def test_the_stiffness_of_a_symmetry_is_found_from_few_samples(gdim: int) -> None:
    """Four strains and their stresses, no tangents: without the symmetry C0 is underdetermined."""
    kinematics = Kinematics(gdim, "small")
    transverse = TransverselyIsotropic(
        kinematics, young_along=5.0, young_across=1.0, shear_along=0.6, poisson_along=0.3,
        poisson_across=0.4, direction=AXIS[gdim],
    ).stiffness  # fmt: skip
    laws = {"cubic": cubic_stiffness(gdim), "transversely_isotropic": transverse}
    settings = TrainSettings(hidden=(4,), iterations=1, validation=0.4)
    unseen = stretches(kinematics, 30, 0.1, seed=9)
    for symmetry, stiffness in laws.items():
        law = Linear(kinematics, stiffness)
        data = generate(law, stretches(kinematics, 5, 0.1), tangents=False)
        known = EnergySettings(**options(kinematics, symmetry))
        errors = {}
        for name, energy in (("known", known), ("isotropic", EnergySettings(symmetry="isotropic"))):
            fitted = fit(data, replace(settings, energy=energy))
            errors[name] = errors_on(fitted.network, generate(law, unseen)).stress
        assert errors["known"] < 1e-6 and errors["isotropic"] > 0.05


def test_a_known_symmetry_saves_samples() -> None:
    """Rubber in 3D, three invariants in place of six components: a third of the samples serve."""
    law = Ogden(3, terms=((0.63, 1.3), (0.0012, 5.0), (-0.01, -2.0)), bulk_modulus=5.0)

    def data(samples: int, seed: int = 0) -> Dataset:
        return generate(law, stretches(law.kinematics, samples, 0.15, seed=seed))

    settings = TrainSettings(hidden=(8, 8), iterations=100, suspicious="keep")
    known, unseen = EnergySettings(symmetry="isotropic"), data(200, seed=99)
    from_few = errors_on(fit(data(8), replace(settings, energy=known)).network, unseen)
    from_more = errors_on(fit(data(24), settings).network, unseen)
    assert from_few.stress < from_more.stress


@cases
def test_the_model_file_keeps_the_symmetry(tmp_path, kinematics: Kinematics, symmetry: str) -> None:
    pytest.importorskip("safetensors")
    network = random_energy(kinematics, **options(kinematics, symmetry))
    save_model(tmp_path / "model", network)
    again, _ = load_model(tmp_path / "model")
    strain = torch.from_numpy(stretches(kinematics, 3, 0.1)[:, 0])
    assert torch.equal(again(strain).stress, network(strain).stress)


@pytest.mark.parametrize(
    ("symmetry", "direction", "named"),
    [("transversely_isotropic", None, "direction"), ("isotropic", (1.0, 0.0), "direction"),
     ("transversely_isotropic", (0.0, 0.0), "not all 0"), ("hexagonal", None, "hexagonal"),
     ("transversely_isotropic", (1.0, 0.0, 0.0), "2 numbers")],
)  # fmt: skip
def test_what_makes_no_symmetry_is_refused(symmetry: str, direction, named: str) -> None:
    with pytest.raises(InputError, match=named):
        invariants(Kinematics(2), symmetry, direction)
