"""Laminates in closed form: any normal, any number of layers, plane cells, prisms and solids."""

from __future__ import annotations

import numpy as np
import pytest
from verification import Laminate, jump_modes, laminated, rotation, tagged_cell

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import (
    Linear,
    NeoHookean,
    Ogden,
    Rotated,
    TransverselyIsotropic,
    isotropic_stiffness,
)
from fesurrogate.micro import (
    Cell,
    RVEMaterial,
    conductor,
    linear_elastic,
    neo_hookean,
)

FIBROUS = {
    "young_along": 45.0,
    "young_across": 10.0,
    "shear_along": 5.0,
    "poisson_along": 0.28,
    "poisson_across": 0.4,
}
NAMES = ("a", "b", "c")
SHARES = np.array([0.25, 0.5, 0.25])  # of the layers a, b, c


def layer_of(s: Array) -> Array:
    """Return the layer at s, a coordinate across the layers in periods."""
    return np.array(NAMES)[np.searchsorted(np.cumsum(SHARES)[:-1], s % 1.0)]


def turned_cell(dimension: int) -> tuple[Cell, Array]:
    """Layers along two faces of a turned and sheared parallelepiped; the cell and their normal."""
    edges = np.array([[1.0, 0.3, -0.2], [0.0, 1.2, 0.0], [0.0, 0.4, 0.9]])  # a1 leans
    lattice = edges[:dimension, :dimension] @ rotation(dimension, 0.6).T
    kind = "triangle" if dimension == 2 else "tetrahedron"
    counts = [4, *[1] * (dimension - 1)]
    cell = tagged_cell(kind, counts, lambda x: layer_of(x[:, 0]), lattice=lattice)
    normal = np.linalg.inv(lattice)[:, 0]  # of the faces that hold the other lattice vectors
    return cell, normal / np.linalg.norm(normal)


def diagonal_cell(dimension: int) -> tuple[Cell, Array]:
    """Layers at 45 degrees in a square or cube, along the diagonals of its elements."""
    kind = "triangle" if dimension == 2 else "tetrahedron"
    counts = [4, 4, 1][:dimension]
    cell = tagged_cell(kind, counts, lambda x: layer_of(x[:, 0] - x[:, 1]))
    return cell, np.array([1.0, -1.0, 0.0])[:dimension] / np.sqrt(2)


def axis_cell(dimension: int, axis: int) -> tuple[Cell, Array]:
    """Layers normal to an axis."""
    kind = "triangle" if dimension == 2 else "tetrahedron"
    counts = np.where(np.arange(dimension) == axis, 4, 1).tolist()
    return tagged_cell(kind, counts, lambda x: layer_of(x[:, axis])), np.eye(dimension)[axis]


CELLS = {
    "normal to y": lambda d: axis_cell(d, 1),
    "normal to the last axis": lambda d: axis_cell(d, d - 1),
    "turned": turned_cell,
    "at 45 degrees": diagonal_cell,
}
every_cell = pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
spaces = pytest.mark.parametrize(
    ("dimension", "gdim"), [(2, 2), (2, 3), (3, 3)], ids=["plane", "prism", "solid"]
)


def in_space(normal: Array, gdim: int) -> Array:
    return np.append(normal, np.zeros(gdim - len(normal)))


@every_cell
@spaces
def test_isotropic_layers_at_small_strain(make, dimension: int, gdim: int) -> None:
    kinematics = Kinematics(gdim)
    cell, normal = make(dimension)
    assert [cell.volume_fractions()[name] for name in NAMES] == pytest.approx(SHARES)
    constants = [(1.0, 0.45), (10.0, 0.2), (3.0, 0.0)]
    phases = {
        name: linear_elastic(young=young, poisson=poisson)
        for name, (young, poisson) in zip(NAMES, constants, strict=True)
    }
    stiffnesses = np.stack(
        [isotropic_stiffness(kinematics, young=E, poisson=nu) for E, nu in constants]
    )
    B = jump_modes(kinematics, in_space(normal, gdim))
    expected = laminated(stiffnesses, SHARES, B)
    got = RVEMaterial(cell, phases, kinematics, degree=1).evaluate(np.zeros((1, kinematics.size)))
    np.testing.assert_allclose(got.tangent[0], expected, rtol=0, atol=1e-11 * expected.max())


@every_cell
@spaces
def test_layers_conduct_along_any_normal(make, dimension: int, gdim: int) -> None:
    """Series across and parallel along: k = <k> 1 + (<1/k>⁻¹ - <k>) n ⊗ n."""
    cell, normal = make(dimension)
    values = np.array([1.0, 5.0, 20.0])
    phases = {name: conductor(conductivity=k) for name, k in zip(NAMES, values, strict=True)}
    rve = RVEMaterial(cell, phases, Kinematics(gdim, "gradient"), degree=1)
    n, mean = in_space(normal, gdim), SHARES @ values
    expected = mean * np.eye(gdim) + (1 / (SHARES @ (1 / values)) - mean) * np.outer(n, n)
    got = rve.evaluate(np.zeros((1, gdim))).tangent[0]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)


def turned_stiffness(kinematics: Kinematics, stiffness: Array, turn: Array) -> Array:
    """Return the stiffness on turned axes, through its tensor of fourth order."""
    basis = kinematics.unpack(np.eye(kinematics.size))  # (m, d, d)
    tensor = np.einsum("aij,ab,bkl->ijkl", basis, stiffness, basis)
    tensor = np.einsum("ip,jq,kr,ls,pqrs->ijkl", turn, turn, turn, turn, tensor)
    return np.einsum("aij,ijkl,bkl->ab", basis, tensor, basis)


@pytest.mark.parametrize("as_parameter", [False, True], ids=["fixed", "parameter"])
@spaces
def test_anisotropic_layers_at_small_strain(
    dimension: int, gdim: int, *, as_parameter: bool
) -> None:
    """An angle-ply stack: fibres turned from layer to layer, the orientation fixed or a point's."""
    kinematics = Kinematics(gdim)
    cell, normal = turned_cell(dimension)
    along = np.array([1.0, 0.0] if gdim == 2 else [0.6, 0.0, 0.8])
    base = TransverselyIsotropic(kinematics, **FIBROUS, direction=along).stiffness
    if gdim == 2:
        orientations = [np.array([angle]) for angle in (0.3, -0.9, 1.4)]
        turns = [rotation(2, angle[0]) for angle in orientations]
    else:
        orientations = [np.array(v) for v in ([0.3, 0.1, 0.0], [0.0, -0.9, 0.4], [1.0, 1.0, 1.0])]
        turns = [rotation(3, np.linalg.norm(v), v) for v in orientations]
    law = Linear(kinematics, base)
    parameters = None
    if as_parameter:
        phases = {name: Rotated(law) for name in NAMES}
        parameters = np.concatenate(orientations)[None]
    else:
        fixed = [v[0] if gdim == 2 else v for v in orientations]
        phases = {name: Rotated(law, v) for name, v in zip(NAMES, fixed, strict=True)}
    layers = np.stack([turned_stiffness(kinematics, base, Q) for Q in turns])
    expected = laminated(layers, SHARES, jump_modes(kinematics, in_space(normal, gdim)))
    rve = RVEMaterial(cell, phases, kinematics, degree=1, rtol=1e-12)
    got = rve.evaluate(np.full((1, kinematics.size), 0.01), parameters=parameters)
    np.testing.assert_allclose(got.tangent[0], expected, rtol=0, atol=1e-11 * expected.max())
    np.testing.assert_allclose(got.stress[0], expected.sum(axis=1) * 0.01, rtol=0, atol=1e-10)


@every_cell
@spaces
def test_hyperelastic_layers_at_finite_strain(make, dimension: int, gdim: int) -> None:
    """F + a_k ⊗ N with Σ f_k a_k = 0 and P_k N alike: stress, tangent; energies and Materials."""
    kinematics = Kinematics(gdim, "finite")
    cell, normal = make(dimension)
    soft, stiff = {"shear_modulus": 1.0, "lame": 4.0}, {"shear_modulus": 10.0, "lame": 15.0}
    ogden = Ogden(gdim, terms=((3.0, 2.0), (-1.0, -2.0)), bulk_modulus=20.0)
    laws = [NeoHookean(gdim, **soft), NeoHookean(gdim, **stiff), ogden]
    phases = {"a": neo_hookean(**soft), "b": neo_hookean(**stiff), "c": ogden}
    exact = Laminate(laws, SHARES, in_space(normal, gdim))
    rve = RVEMaterial(cell, phases, kinematics, degree=1, rtol=1e-12)
    F = kinematics.rest + np.random.default_rng(5).uniform(-0.25, 0.25, (2, kinematics.size))
    got = rve.evaluate(F)
    assert got.ok.all()
    for i in range(len(F)):
        stress, tangent, layers = exact.evaluate(F[i])
        np.testing.assert_allclose(got.stress[i], stress, rtol=0, atol=1e-9)
        np.testing.assert_allclose(got.tangent[i], tangent, rtol=0, atol=1e-8)
        # the layers differ by far more than the tolerance: the jump condition did work
        assert np.abs(layers[0].stress - layers[1].stress).max() > 0.1
