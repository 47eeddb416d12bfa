"""The compiled kernel answers what torch answers, wherever a point stands, and says who serves.

Compiling it takes some 15 s of a core where the cache is empty, else the file takes 10 s.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics

numba = pytest.importorskip("numba")
torch = pytest.importorskip("torch")

from networks import random_energy  # noqa: E402

from fesurrogate.machine_code import compiled  # noqa: E402
from fesurrogate.surrogate import NetworkMaterial  # noqa: E402
from fesurrogate.surrogate.compiled import CompiledEnergy, tanh_table  # noqa: E402
from fesurrogate.surrogate.kernels import blocks, energy  # noqa: E402

KINEMATICS = [Kinematics(d, m) for d in (2, 3) for m in ("small", "finite", "gradient")]
NAMES = ("fraction", "modulus")
DTYPES = ("float64", "float32")


def compiled_tanh(x: Array, dtype: str) -> Array:  # (n,), (n,) in the dtype
    """Return the kernel's tanh of any number of arguments."""
    rows = -(-len(x) // blocks.POINTS)
    z = np.resize(x.astype(dtype), (rows, blocks.POINTS))
    power = np.empty(blocks.POINTS, dtype)
    bits = power.view(f"i{power.itemsize}")
    one = np.array(1.0, dtype).view(bits.dtype)
    exponent = np.array([np.finfo(dtype).nmant, one], bits.dtype)
    blocks.tanh(z, power, bits, tanh_table(dtype), exponent)
    return z.ravel()[: len(x)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_over_the_whole_range(dtype: str) -> None:
    """To 4 units in the last place of the dtype; NumPy's own, in float64, is good to one."""
    facts = np.finfo(dtype)
    sizes = np.concatenate(
        [
            np.geomspace(facts.smallest_subnormal, facts.max, 4000, dtype=np.longdouble),
            np.linspace(0.0, 25.0, 20_000),
            0.25 * np.log(2.0) * np.arange(1, 120) * (1.0 + 1e-7),  # where k changes
        ]
    )
    x = sizes.astype(dtype)
    found, expected = compiled_tanh(x, dtype), np.tanh(x.astype(np.float64))
    error = np.abs(found.astype(np.float64) - expected)
    assert (error <= 4.0 * facts.eps * expected + facts.smallest_subnormal).all()
    assert (found <= 1.0).all() and (found[x > 20.0] == 1.0).all()
    np.testing.assert_array_equal(compiled_tanh(-x, dtype), -found)
    special = compiled_tanh(np.array([0.0, -0.0, np.inf, -np.inf, np.nan]), dtype)
    np.testing.assert_array_equal(special, [0.0, 0.0, 1.0, -1.0, np.nan])


@pytest.mark.parametrize("names", [(), NAMES], ids=["no parameters", "parameters"])
@pytest.mark.parametrize("hidden", [(6,), (8, 7), (5, 6, 9)])
@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_same_answer_as_torch(
    kinematics: Kinematics, hidden: tuple[int, ...], names: tuple[str, ...]
) -> None:
    """Each part of the energy alone, so that none hides in another's round-off."""
    generator = np.random.default_rng(0)
    strain = stretches(kinematics, 70, 0.2)[:, 0]  # a block of 64 and a part of one
    if kinematics.measure == "finite":
        strain = strain + generator.uniform(-0.1, 0.1, strain.shape)
    parameters = generator.uniform(0.0, 2.0, (70, len(names)))
    for part in ("perceptron", "stiffness", "growth"):
        network = random_energy(kinematics, hidden, parameter_names=names)
        if part != "perceptron":
            network.energy_scale.fill_(0.0)
        if part != "stiffness":
            network.stiffness.fill_(0.0)
        if part != "growth":
            network.growth.fill_(0.0)
        if part == "growth" and kinematics.measure != "finite":
            continue
        torch_says = NetworkMaterial(network, backend="torch").evaluate(
            strain, parameters=parameters
        )
        kernel = NetworkMaterial(network, backend="numba")
        for tangent in (True, False):
            answer = kernel.evaluate(strain, parameters=parameters, tangent=tangent)
            close(answer.stress, torch_says.stress, 1e-12)
            close(answer.report["energy"], torch_says.report["energy"], 1e-12)
            assert (answer.tangent is None) is not tangent
            if tangent:
                close(answer.tangent, torch_says.tangent, 1e-12)


def close(found: Array | None, expected: Array | None, tolerance: float) -> None:
    """Assert that arrays agree relative to the largest entry, which is not zero."""
    assert found is not None and expected is not None
    assert np.abs(expected).max() > 0.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gdim", [2, 3])
def test_both_keep_the_contract(gdim: int, dtype: str, backend: str) -> None:
    """In float64 with parameters; in float32 the declared bound of the tangent is tested."""
    kinematics, names = Kinematics(gdim, "finite"), NAMES if dtype == "float64" else ()
    network = random_energy(kinematics, (16, 16), parameter_names=names)
    material = NetworkMaterial(network, dtype=dtype, backend=backend, chunk=5)
    assert material.backend == backend
    generator = np.random.default_rng(1)
    strain = stretches(kinematics, 9, 0.1)[:, 0] + generator.uniform(-0.05, 0.05, (9, gdim**2))
    check_contract(
        material, strain,
        parameters=generator.uniform(0.0, 2.0, (9, len(names))),
        tolerance=1e-12 if dtype == "float64" else 1e-5,
        step=0.005,
        objective=True,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_point_answers_the_same_to_the_last_bit_wherever_it_stands(dtype: str) -> None:
    kinematics = Kinematics(2, "finite")
    material = NetworkMaterial(random_energy(kinematics, (9, 6)), dtype=dtype, backend="numba")
    strain = stretches(kinematics, 150, 0.2)[:, 0]
    whole = material.evaluate(strain)
    order = np.random.default_rng(0).permutation(len(strain))
    for rows in (order, order[:1], order[:64], order[:65]):
        some = material.evaluate(strain[rows])
        np.testing.assert_array_equal(some.stress, whole.stress[rows])
        np.testing.assert_array_equal(some.tangent, whole.tangent[rows])
    none = material.evaluate(strain[:0])
    assert none.stress.shape == (0, 4) and none.tangent.shape == (0, 4, 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_rest_is_exactly_free_of_energy_and_stress(kinematics: Kinematics, dtype: str) -> None:
    network = random_energy(kinematics, (8, 7), parameter_names=NAMES)
    material = NetworkMaterial(network, dtype=dtype, backend="numba")
    parameters = np.random.default_rng(0).uniform(0.0, 2.0, (3, 2))
    rest = material.evaluate(np.repeat(kinematics.rest[None], 3, 0), parameters=parameters)
    assert (rest.stress == 0.0).all() and (rest.report["energy"] == 0.0).all()


def test_float32_weights_leave_the_closed_form_in_float64() -> None:
    kinematics = Kinematics(3, "finite")
    network = random_energy(kinematics, (32, 32))
    strain = stretches(kinematics, 80, 0.2)[:, 0]
    for scale, low, high in ((0.05, 1e-9, 5e-6), (0.0, 0.0, 1e-13)):
        network.energy_scale.fill_(scale)
        double, single = (NetworkMaterial(network, dtype=d).evaluate(strain) for d in DTYPES)
        error = np.abs(single.tangent - double.tangent).max() / np.abs(double.tangent).max()
        assert low <= error <= high


def test_threads_may_share_a_material() -> None:
    """The kernel lets go of the interpreter's lock, and keeps nothing between two calls."""
    from concurrent.futures import ThreadPoolExecutor

    kinematics = Kinematics(2, "finite")
    material = NetworkMaterial(random_energy(kinematics), backend="numba")
    batches = [stretches(kinematics, 2000, 0.2, seed=k)[:, 0] for k in range(6)]
    expected = [material.evaluate(batch).stress for batch in batches]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda batch: material.evaluate(batch).stress, batches * 3))
    for k, stress in enumerate(found):
        np.testing.assert_array_equal(stress, expected[k % 6])


def test_no_kind_of_array_makes_it_compile_again() -> None:
    kinematics = Kinematics(2, "finite")
    network = random_energy(kinematics, parameter_names=NAMES)
    strain, parameters = stretches(kinematics, 6, 0.2)[:, 0], np.ones((6, 2))
    material = NetworkMaterial(network, backend="numba")
    expected = material.evaluate(strain, parameters=parameters)
    known = len(energy.evaluate.signatures)
    frozen = strain.copy()
    frozen.flags.writeable = False
    for one, two in (
        (frozen, np.asfortranarray(parameters)),
        (np.repeat(strain, 2, 0)[::2], parameters[::-1]),
        (strain, np.broadcast_to(1.0, (6, 2))),
    ):
        answer = material.evaluate(one, parameters=two)
        np.testing.assert_array_equal(answer.stress, expected.stress)
    assert len(energy.evaluate.signatures) == known


def test_kernel_is_a_copy_of_the_weights_and_travels() -> None:
    kinematics = Kinematics(2, "finite")
    network = random_energy(kinematics)
    material = NetworkMaterial(network, backend="numba")
    strain = stretches(kinematics, 5, 0.2)[:, 0]
    before = material.evaluate(strain).stress
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(1.0)
        network.scale.add_(1.0)
        network.growth.add_(1.0)
    np.testing.assert_array_equal(material.evaluate(strain).stress, before)
    again = pickle.loads(pickle.dumps(material))
    np.testing.assert_array_equal(again.evaluate(strain).stress, before)


def test_torch_serves_what_the_kernel_does_not() -> None:
    kinematics = Kinematics(2, "finite")
    for options in ({"symmetry": "isotropic"}, {"exponentials": 2}):
        network = random_energy(kinematics, **options)
        assert NetworkMaterial(network).backend == "torch"
        with pytest.raises(InputError, match="symmetry nor exponentials"):
            NetworkMaterial(network, backend="numba")
    network = random_energy(kinematics, parameter_names=NAMES)
    strain, parameters = stretches(kinematics, 5, 0.2)[:, 0], np.ones((5, 2))
    slopes = [
        NetworkMaterial(network, backend=backend)
        .evaluate(strain, parameters=parameters, sensitivity=True)
        .sensitivity
        for backend in ("numba", "torch")
    ]
    np.testing.assert_array_equal(*slopes)


def test_without_numba_torch_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    network = random_energy(Kinematics(2))
    assert NetworkMaterial(network).backend == "torch"
    with pytest.raises(InputError, match="it needs Numba"):
        NetworkMaterial(network, backend="numba")
    monkeypatch.undo()
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    with pytest.raises(InputError, match="NUMBA_DISABLE_JIT"):
        NetworkMaterial(network, backend="numba")
    with pytest.raises(InputError, match="'auto', 'numba' or 'torch'"):
        NetworkMaterial(network, backend="fortran")  # type: ignore[arg-type]


def test_nothing_is_loaded_before_it_is_needed() -> None:
    program = "import sys, fesurrogate.surrogate; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_kernel_comes_from_the_sources_that_are_here() -> None:
    """A kernel of older sources in the cache is not taken: their stamp is in its key."""
    kinematics = Kinematics(2)
    kernel = CompiledEnergy(random_energy(kinematics), "float64")
    kernel(np.zeros((1, 3)), np.zeros((1, 0)), tangent=True)
    arguments = (
        np.zeros((1, 3)), np.zeros(3), np.zeros((1, 0)), kernel._net, kernel._form,
        np.empty((1, 3)), np.empty((1, 3, 3)), np.empty(1),
    )  # fmt: skip
    assert energy.evaluate(*arguments) == energy.stamp()
    cells = energy.evaluate.py_func.__closure__  # what Numba's key is made of
    assert energy.stamp() in [cell.cell_contents for cell in cells]


def test_nowhere_to_keep_what_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba refuses cache=True where neither folder can be written to."""
    original = numba.njit

    def refusing(cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function 'evaluate': no locator available")
        return original(**options)

    monkeypatch.setattr(numba, "njit", refusing)
    assert compiled(lambda x: x + 1)(1) == 2
