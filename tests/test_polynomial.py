"""Polynomial energies: stretches, derivatives, laws by construction, least squares, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.config.train import PolynomialSettings, TrainSettings, TransferSettings
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import Linear, NeoHookean, Ogden, isotropic_stiffness

torch = pytest.importorskip("torch")

from networks import assert_derivatives_of_energy  # noqa: E402

from fesurrogate.surrogate import NetworkMaterial, load_model, save_model  # noqa: E402
from fesurrogate.surrogate.biot import anticommutator, biot_strain  # noqa: E402
from fesurrogate.surrogate.objective import components  # noqa: E402
from fesurrogate.surrogate.polynomial_energy import PolynomialEnergy, term_count  # noqa: E402
from fesurrogate.train import errors_on, fit, least_squares  # noqa: E402
from fesurrogate.train.result import parts_of  # noqa: E402

KINEMATICS = [Kinematics(d, m) for d in (2, 3) for m in ("small", "finite", "gradient")]
NAMES = ("volume", "modulus")
SETTINGS = TrainSettings(model="polynomial", suspicious="keep", device="cpu")
RUBBER = Ogden(2, terms=((0.6, 4.0), (-0.1, -3.0)), bulk_modulus=1.0)


def random_polynomial(
    kinematics: Kinematics, degree: int = 4, *, names: tuple[str, ...] = ()
) -> PolynomialEnergy:
    """Return a polynomial with random coefficients and scales that are not one."""
    network = PolynomialEnergy(kinematics, degree, parameter_names=names)
    generator = torch.Generator().manual_seed(0)
    for name, low, high in (
        ("coefficients", -0.01, 0.02), ("growth", 0.5, 1.0), ("scale", 0.1, 0.2),
        ("scaling.centre", 0.0, 1.0), ("scaling.width", 0.5, 1.0),
    ):  # fmt: skip
        buffer = network.get_buffer(name)
        buffer.copy_(low + (high - low) * torch.rand(buffer.shape, generator=generator))
    if kinematics.measure != "finite":
        network.growth.zero_()
    return network


@pytest.mark.parametrize("gdim", [2, 3])
def test_biot_strain_is_the_stretch_less_one(gdim: int) -> None:
    """Principal stretches between 1/50 and 20 and rotated axes; and equal ones."""
    rng = np.random.default_rng(0)
    principal = np.exp(rng.uniform(-4.0, 3.0, (300, gdim)))
    principal[:50] = principal[:50, :1]
    axes = np.linalg.qr(rng.standard_normal((300, gdim, gdim)))[0]
    stretch = np.einsum("nij,nj,nkj->nik", axes, principal, axes)
    kinematics = Kinematics(gdim, "finite")
    e = components(kinematics, torch.from_numpy(stretch.reshape(300, -1).T.copy()))
    x, _ = biot_strain(e, gdim)
    small = Kinematics(gdim)
    expected = small.pack(stretch - np.eye(gdim)).T
    # forming C loses up to 20² / 50 of the digits of its smallest eigenvalue's root
    np.testing.assert_allclose(
        x.numpy() / principal.max(1), expected / principal.max(1), atol=1e-11
    )


@pytest.mark.parametrize("gdim", [2, 3])
@pytest.mark.parametrize("size", [1e-12, 1e-3, 0.2])
def test_biot_strain_keeps_the_digits_of_small_strains(gdim: int, size: float) -> None:
    """(x + 1)² - 1 = 2 E to rounding relative to E, and dx = 2 T dE to second order."""
    q = gdim * (gdim + 1) // 2
    e = size * (2.0 * torch.rand(q, 40, generator=torch.Generator().manual_seed(1)).double() - 1.0)
    x, inverse = biot_strain(e, gdim)
    back = x + 0.25 * (anticommutator(x, gdim) * x).sum(1)
    assert float((back - e).abs().max()) <= 1e-14 * size
    step = 1e-5 * torch.ones_like(e)
    ahead, behind = biot_strain(e + step, gdim)[0], biot_strain(e - step, gdim)[0]
    slope = 0.5 * (ahead - behind)
    torch.testing.assert_close(slope, 2.0 * (inverse * step).sum(1), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("names", [(), NAMES], ids=["plain", "parameters"])
@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_derivatives_are_those_of_automatic_differentiation(
    kinematics: Kinematics, names: tuple[str, ...]
) -> None:
    assert_derivatives_of_energy(random_polynomial(kinematics, names=names), 1e-11)


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_laws_of_materials(kinematics: Kinematics) -> None:
    """The contract, and no energy or stress at rest, whatever coefficients and parameters are."""
    material = NetworkMaterial(random_polynomial(kinematics, names=NAMES), chunk=5)
    parameters = np.random.default_rng(0).uniform(0.2, 1.5, (12, 2))
    check_contract(
        material, stretches(kinematics, 12, 0.1)[:, 0], parameters=parameters, tolerance=1e-11,
        step=0.02, objective=kinematics.measure == "finite",
    )  # fmt: skip
    rest = np.tile(kinematics.rest, (12, 1))
    answer = material.evaluate(rest, parameters=parameters)
    np.testing.assert_allclose(answer.stress, 0.0, atol=1e-14)
    np.testing.assert_allclose(answer.report["energy"], 0.0, atol=1e-15)


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_a_polynomial_is_found_again(kinematics: Kinematics) -> None:
    """Least squares of stress and tangent give back the energy that made them."""
    law = random_polynomial(kinematics, 3)
    data = generate(NetworkMaterial(law), stretches(kinematics, 30, 0.2))
    cubic = fit(data, replace(SETTINGS, polynomial=PolynomialSettings(degree=3))).network
    found, expected = (
        of.coefficients / of.monomials(of.scale)[-len(of.coefficients) :, 0] for of in (cubic, law)
    )  # of monomials of x itself; those of degree 0 and 1, which are no terms, come first
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
    torch.testing.assert_close(cubic.growth, law.growth, rtol=1e-7, atol=1e-9)
    chosen = fit(data, SETTINGS)
    assert chosen.errors.stress < 1e-8 and chosen.network.degree >= 3


def test_the_error_falls_with_the_degree() -> None:
    """An analytic law: by more than half with each, and by a thousand from 2 to 8."""
    data = generate(RUBBER, stretches(RUBBER.kinematics, 64, 0.2))
    unseen = generate(RUBBER, stretches(RUBBER.kinematics, 200, 0.2, seed=99))
    errors = [
        errors_on(
            fit(data, replace(SETTINGS, polynomial=PolynomialSettings(degree=degree))).network,
            unseen,
        ).stress
        for degree in range(2, 9)
    ]
    assert all(after < before / 2.0 for before, after in zip(errors, errors[1:], strict=False))
    assert errors[-1] < 1e-3 * errors[0]
    assert fit(data, SETTINGS).network.degree == 8


@pytest.mark.parametrize("gdim", [2, 3])
def test_a_neo_hookean_law_with_parameters_is_exact(gdim: int) -> None:
    """Coefficients of growth that are quadratic in a parameter are found again."""
    kinematics = Kinematics(gdim, "finite")
    strain = stretches(kinematics, 60, 0.1)
    p = np.linspace(1.0, 3.0, 60)
    made = [
        generate(NeoHookean(gdim, shear_modulus=1.3 * x, lame=0.5 * x * x), strain[k : k + 1])
        for k, x in enumerate(p)
    ]
    data = replace(
        made[0],
        **{k: np.concatenate([getattr(d, k) for d in made])
           for k in ("strain", "stress", "tangent", "ok")},
        parameters=p[:, None], parameter_names=("modulus",),
        reports={k: np.concatenate([d.reports[k] for d in made]) for k in made[0].reports},
    )  # fmt: skip
    result = fit(data, replace(SETTINGS, polynomial=PolynomialSettings(degree=3)))
    assert result.errors.stress < 1e-8
    factors, _ = result.network.scaling.quadratics(
        result.network.scaling(torch.tensor([[2.0]]).double(), torch.zeros(1, 1).double())
    )
    found = (result.network.growth.T @ factors)[:, 0]
    np.testing.assert_allclose(found, [2.6, 2.0], rtol=1e-5)


@pytest.mark.parametrize("measure", ["small", "gradient"])
def test_a_linear_law_is_exact(measure: str) -> None:
    kinematics = Kinematics(2, measure)
    stiffness = (
        np.diag([1.0, 2.0])
        if measure == "gradient"
        else isotropic_stiffness(kinematics, young=2.0, poisson=0.3)
    )
    data = generate(Linear(kinematics, stiffness), stretches(kinematics, 20, 0.1))
    for made in (data, replace(data, tangent=None)):
        assert fit(made, SETTINGS).errors.stress < 1e-10


def test_blocks_of_equations_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    data = generate(RUBBER, stretches(RUBBER.kinematics, 40, 0.2))
    settings = replace(SETTINGS, polynomial=PolynomialSettings(degree=4))
    whole = fit(data, settings).network
    monkeypatch.setattr(least_squares, "ENTRIES", 1)
    alone = fit(data, settings).network
    strain = torch.from_numpy(data.strain[:, 0])
    torch.testing.assert_close(alone(strain).stress, whole(strain).stress, rtol=0, atol=1e-10)


def test_terms_that_would_pull_down_are_left_out() -> None:
    """A law that softens as it is pressed: without the bound a coefficient would be negative."""
    law = NeoHookean(2, shear_modulus=1.0, lame=1.0)
    data = generate(law, stretches(law.kinematics, 40, 0.2))
    data = replace(data, stress=-data.stress, tangent=-data.tangent)
    network = fit(data, replace(SETTINGS, polynomial=PolynomialSettings(degree=4))).network
    np.testing.assert_array_equal(network.growth, 0.0)


def test_energies_count_as_told() -> None:
    """Energies that contradict the stresses move the fit, if they have a weight."""
    data = generate(RUBBER, stretches(RUBBER.kinematics, 40, 0.2))
    reports = {**data.reports, "energy": 1.5 * data.reports["energy"]}
    data = replace(data, reports=reports)
    settings = replace(SETTINGS, polynomial=PolynomialSettings(degree=4))
    without = fit(data, settings).errors.stress
    assert without < 1e-2 < fit(data, replace(settings, energy_weight=1.0)).errors.stress


def test_a_file_gives_it_back(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    network = random_polynomial(Kinematics(3, "finite"), names=NAMES)
    save_model(tmp_path / "model", network)
    again, _ = load_model(tmp_path / "model")
    assert isinstance(again, PolynomialEnergy) and again.degree == network.degree
    state = again.state_dict()
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("q", "p", "degree"), [(3, 0, 5), (6, 0, 4), (2, 2, 4), (3, 1, 2)])
def test_terms_are_counted_before_they_are_made(q: int, p: int, degree: int) -> None:
    measure = {2: "gradient", 3: "small", 6: "small"}[q]
    kinematics = Kinematics(3 if q == 6 else 2, measure)
    network = PolynomialEnergy(kinematics, degree, parameter_names=NAMES[:p])
    assert len(network.coefficients) == term_count(q, p, degree)


def test_what_cannot_be_fitted_is_refused(tmp_path: Path) -> None:
    data = generate(RUBBER, stretches(RUBBER.kinematics, 5, 0.2))
    with pytest.raises(InputError, match="generate more"):
        fit(replace(data, tangent=None).take(slice(0, 3)), SETTINGS)
    with pytest.raises(InputError, match="degree 7 .* has 116 terms"):
        fit(data, replace(SETTINGS, polynomial=PolynomialSettings(degree=7)))
    with pytest.raises(InputError, match="lower the degree"):
        PolynomialEnergy(Kinematics(3, "finite"), 4096)
    with pytest.raises(InputError, match="degree"):
        PolynomialSettings(degree=1)
    save_model(tmp_path / "start", random_polynomial(RUBBER.kinematics))
    with pytest.raises(InputError, match="leave out transfer"):
        fit(data, replace(SETTINGS, transfer=TransferSettings(model=tmp_path / "start")))


def test_progress_counts_the_points(capsys: pytest.CaptureFixture[str]) -> None:
    data = generate(RUBBER, stretches(RUBBER.kinematics, 20, 0.2))
    fit(data, replace(SETTINGS, polynomial=PolynomialSettings(degree=3)), progress=True)
    assert "18/18" in capsys.readouterr().err  # of 20, two judge


def test_strains_along_one_line_are_enough_for_themselves() -> None:
    """Many terms are then alike: of all that fit, the smallest coefficients are taken."""
    law = NeoHookean(2, shear_modulus=1.0, lame=1.0)
    stretch = np.tile(law.kinematics.rest, (30, 1))
    stretch[:, 0] = np.linspace(0.85, 1.2, 30)
    data = generate(law, stretch[:, None])
    assert fit(data, SETTINGS).errors.stress < 1e-6


@pytest.mark.parametrize("samples", [20, 6])
def test_what_judges_is_unseen_and_all_else_is_fitted(samples: int) -> None:
    """Stresses that are wrong at the paths that judge change nothing; at all others they do.

    Of six paths one is held out, which chooses and judges: it is not fitted, either.
    """
    data = generate(RUBBER, stretches(RUBBER.kinematics, samples, 0.2))
    settings = replace(SETTINGS, polynomial=PolynomialSettings(degree=3))
    parts = parts_of(data, settings.validation, seed=settings.seed)
    network = fit(data, settings).network.coefficients
    for part, changes in (
        (parts.training, True),
        (parts.choosing, samples == 20),
        (parts.judging, False),
    ):
        chosen = (data.strain[:, None] == part.strain).all(axis=(2, 3)).any(axis=1)
        assert chosen.sum() == len(part)
        stress = np.where(chosen[:, None, None], 1.1 * data.stress, data.stress)
        other = fit(replace(data, stress=stress), settings).network.coefficients
        assert torch.equal(network, other) != changes
