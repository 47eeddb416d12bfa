"""Strain measures: sizes, packing, inner products, admissible strains."""

from __future__ import annotations

import numpy as np
import pytest

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics, determinant

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("gdim", "measure", "size"),
    [(2, "small", 3), (3, "small", 6), (2, "finite", 4), (3, "finite", 9),
     (2, "gradient", 2), (3, "gradient", 3)],
)  # fmt: skip
def test_size_and_rest(gdim: int, measure: str, size: int) -> None:
    kinematics = Kinematics(gdim, measure)
    assert kinematics.size == size
    expected = np.eye(gdim).ravel() if measure == "finite" else np.zeros(size)
    np.testing.assert_array_equal(kinematics.rest, expected)


@pytest.mark.parametrize("gdim", [2, 3])
@pytest.mark.parametrize("measure", ["small", "finite"])
def test_packing_keeps_the_double_contraction(gdim: int, measure: str) -> None:
    kinematics = Kinematics(gdim, measure)
    a, b = RANDOM.standard_normal((2, 5, gdim, gdim))
    if measure == "small":
        a, b = a + np.swapaxes(a, 1, 2), b + np.swapaxes(b, 1, 2)
    packed = np.einsum("ni,ni->n", kinematics.pack(a), kinematics.pack(b))
    np.testing.assert_allclose(packed, np.einsum("nij,nij->n", a, b), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(kinematics.unpack(kinematics.pack(a)), a, rtol=1e-15, atol=1e-15)


def test_mandel_order() -> None:
    tensor = np.array([[[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]]])
    root = np.sqrt(2.0)
    np.testing.assert_allclose(
        Kinematics(3).pack(tensor), [[1, 2, 3, 4 * root, 5 * root, 6 * root]], rtol=1e-15
    )
    np.testing.assert_allclose(
        Kinematics(2).pack(tensor[:, :2, :2]), [[1, 2, 6 * root]], rtol=1e-15
    )


def test_packing_takes_the_symmetric_part() -> None:
    tensor = RANDOM.standard_normal((4, 3, 3))
    symmetric = 0.5 * (tensor + np.swapaxes(tensor, 1, 2))
    np.testing.assert_allclose(
        Kinematics(3).pack(tensor), Kinematics(3).pack(symmetric), rtol=1e-14, atol=1e-15
    )


def test_packing_does_not_share_memory() -> None:
    for measure, shape in (("finite", (2, 2)), ("gradient", (2,))):
        tensor = RANDOM.standard_normal((3, *shape))
        kinematics = Kinematics(2, measure)
        assert not np.shares_memory(kinematics.pack(tensor), tensor)
        assert not np.shares_memory(kinematics.unpack(kinematics.pack(tensor)), tensor)


@pytest.mark.parametrize(("gdim", "measure"), [(1, "small"), (4, "finite"), (2, "large")])
def test_unknown_kinematics_is_refused(gdim: int, measure: str) -> None:
    with pytest.raises(InputError, match="gdim" if gdim in (1, 4) else "measure"):
        Kinematics(gdim, measure)


@pytest.mark.parametrize("gdim", [2, 3])
def test_determinant_against_numpy(gdim: int) -> None:
    tensors = RANDOM.standard_normal((20, gdim, gdim))
    np.testing.assert_allclose(
        determinant(tensors.reshape(20, -1), gdim), np.linalg.det(tensors), rtol=1e-11, atol=1e-13
    )


def test_admissible() -> None:
    finite = np.array([[1.0, 0, 0, 1], [-1, 0, 0, 1], [1, 1, 1, 1], [np.nan, 0, 0, 1]])
    np.testing.assert_array_equal(
        Kinematics(2, "finite").admissible(finite), [True, False, False, False]
    )
    small = np.array([[-5.0, 0.0, 0.0], [np.inf, 0.0, 0.0]])
    np.testing.assert_array_equal(Kinematics(2).admissible(small), [True, False])
