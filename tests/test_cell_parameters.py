"""Constants of phases as per-point parameters: one cell serves a graded body."""

import numpy as np
import pytest
import ufl
from contract import Batch, check_contract, check_sensitivity
from dolfinx import fem
from mpi4py import MPI

from fesurrogate import InputError, Kinematics
from fesurrogate.fem import MacroProblem, MaterialField, strain_of
from fesurrogate.fem.mesh import rectangle
from fesurrogate.laws import Ogden, TransverselyIsotropic, Viscoelastic
from fesurrogate.material import Material
from fesurrogate.micro import Phase, RVEMaterial, laminate_cell, linear_elastic, neo_hookean

NAMES = ("stiff.shear_modulus", "soft.lame", "stiff.lame")
SOFT, STIFF = {"shear_modulus": 1.0, "lame": 1.5}, {"shear_modulus": 10.0, "lame": 15.0}


def graded(gdim: int = 2, **options) -> RVEMaterial:
    cell = laminate_cell(gdim, {"soft": 0.4, "stiff": 0.6}, resolution=2)
    phases = {"soft": neo_hookean(**SOFT), "stiff": neo_hookean(**STIFF)}
    return RVEMaterial(
        cell, phases, Kinematics(gdim, "finite"), parameters=NAMES, degree=1, rtol=1e-11, **options
    )


def samples(rve: RVEMaterial, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    strain = rve.kinematics.rest + rng.uniform(-0.1, 0.1, (n, rve.kinematics.size))
    return strain, rng.uniform(1.0, 20.0, (n, len(NAMES)))


def test_a_parameter_is_the_constant_it_stands_for() -> None:
    rve = graded()
    strain, values = samples(rve, 3)
    got = rve.evaluate(strain, parameters=values)
    for i, (stiff_shear, soft_lame, stiff_lame) in enumerate(values):
        phases = {
            "soft": neo_hookean(shear_modulus=1.0, lame=soft_lame),
            "stiff": neo_hookean(shear_modulus=stiff_shear, lame=stiff_lame),
        }
        one = RVEMaterial(rve.cell, phases, rve.kinematics, degree=1, rtol=1e-11)
        expected = one.evaluate(strain[i : i + 1])
        np.testing.assert_allclose(got.stress[i], expected.stress[0], rtol=0, atol=1e-9)
        np.testing.assert_allclose(got.tangent[i], expected.tangent[0], rtol=0, atol=1e-9)


def test_what_was_assembled_for_other_parameters_serves_no_more() -> None:
    """At rest and without fluctuation, where a cell stands between points: σ = p I."""
    law = Phase(lambda strain, p: p * ufl.tr(strain) + ufl.inner(strain, strain), {"p": 1.0})
    cell, plane = laminate_cell(2, {"only": 1.0}, resolution=2), Kinematics(2)
    rve = RVEMaterial(cell, {"only": law}, plane, degree=1, parameters=("only.p",))
    pressures = np.array([[1.0], [3.0], [2.0]])
    got = rve.evaluate(np.zeros((3, 3)), parameters=pressures, tangent=False).stress
    np.testing.assert_allclose(got, pressures * plane.pack(np.eye(2)[None]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("gdim", [2, 3])
def test_parameters_meet_the_contract(gdim: int) -> None:
    rve = graded(gdim)
    strain, values = samples(rve, 4)
    check_contract(rve, strain, tolerance=1e-8, parameters=values, objective=True)


@pytest.mark.parametrize("boundary", ["periodic", "traction"])
def test_sensitivity_is_the_derivative_by_the_parameters(boundary: str) -> None:
    rve = graded(boundary=boundary)
    strain, values = samples(rve, 2)
    slope = rve.evaluate(strain, parameters=values, tangent=False, sensitivity=True)
    assert slope.tangent is None
    base = rve.evaluate(strain, parameters=values).stress
    direction = np.random.default_rng(1).uniform(-1, 1, values.shape)
    errors = []
    for h in (0.2, 0.1, 0.05):
        moved = rve.evaluate(strain, parameters=values + h * direction).stress
        linear = base + h * np.einsum("nmp,np->nm", slope.sensitivity, direction)
        errors.append(np.linalg.norm(moved - linear))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.9).all() and errors[-1] > 1e-9


def of_law(kind: str, *, parameters: tuple[str, ...] = ()) -> Material:
    """Return a law with some of its constants as parameters."""
    if kind == "ogden":
        terms = ((0.9, 1.3), (-0.2, -2.0))
        return Ogden(2, terms=terms, bulk_modulus=2.0, parameters=parameters)
    if kind == "viscoelastic":
        branches, options = ((3.0, 0.4),), {"parameters": parameters}
        return Viscoelastic(
            2, shear_modulus=1.0, bulk_modulus=2.5, shear_branches=branches, **options
        )
    return TransverselyIsotropic(
        Kinematics(2), young_along=23.0, young_across=5.0, shear_along=2.4,
        poisson_along=0.25, poisson_across=0.3, direction=[1.0, 1.0], parameters=parameters,
    )  # fmt: skip


OF_LAWS = {
    "ogden": {"modulus_1": 0.9, "exponent_1": 1.3, "bulk_modulus": 2.0},
    "viscoelastic": {"shear_time_1": 0.4, "shear_modulus_1": 3.0, "bulk_modulus": 2.5},
    "transversely_isotropic": {"young_along": 23.0, "poisson_along": 0.25, "shear_along": 2.4},
}


@pytest.mark.parametrize("kind", OF_LAWS)
def test_constants_of_laws_in_a_cell(kind: str) -> None:
    """The sensitivity passes the Taylor test through the condensation, with history if any.

    A soft layer of another law beside it makes the strain of the cell depend on the constants.
    """
    measure, names = ("finite" if kind == "ogden" else "small"), tuple(OF_LAWS[kind])
    soft = neo_hookean(**SOFT) if kind == "ogden" else linear_elastic(young=1.0, poisson=0.2)
    cell = laminate_cell(2, {"soft": 0.4, "stiff": 0.6}, resolution=2)
    phases = {"soft": soft, "stiff": of_law(kind, parameters=names)}
    rve = RVEMaterial(cell, phases, Kinematics(2, measure), degree=1, rtol=1e-12)
    assert rve.parameter_names == tuple(f"stiff.{name}" for name in names)
    rng = np.random.default_rng(4)
    strain = rve.kinematics.rest + rng.uniform(-0.05, 0.05, (3, rve.kinematics.size))
    values = np.array([*OF_LAWS[kind].values()]) * rng.uniform(0.8, 1.2, (3, len(names)))
    state = rve.evaluate(0.4 * strain + 0.6 * rve.kinematics.rest, None, 0.1, parameters=values)
    hint = np.zeros((3, rve.num_hint))
    batch = Batch(strain, state.state, 0.3, values, hint)
    check_sensitivity(rve, batch, 1e-9)
    plain = RVEMaterial(
        cell, {**phases, "stiff": of_law(kind)}, rve.kinematics, degree=1, rtol=1e-12
    )
    same = np.tile([*OF_LAWS[kind].values()], (3, 1))
    got, expected = rve.evaluate(strain, parameters=same), plain.evaluate(strain)
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-11)


def test_values_out_of_range_fail_as_data() -> None:
    rve = graded()
    strain, values = samples(rve, 4)
    values[1, 0], values[2, 1] = -1.0, np.nan
    got = rve.evaluate(strain, parameters=values)
    assert got.ok.tolist() == [True, False, False, True]
    assert np.isnan(got.stress[1:3]).all()


def test_parameters_that_no_phase_has_are_refused() -> None:
    cell = laminate_cell(2, {"only": 1.0}, resolution=1)
    phases = {"only": neo_hookean(**SOFT)}
    for wanted in (("only.young",), ("only.lame", "only.lame")):
        with pytest.raises(InputError, match=r"out of only.shear_modulus, only.lame"):
            RVEMaterial(cell, phases, Kinematics(2, "finite"), parameters=wanted)


@pytest.mark.mpi
def test_one_cell_serves_a_graded_body() -> None:
    """A bar of stiffness E (1 + x) under a pull: its end moves by (F / E) ln 2."""
    kinematics = Kinematics(2, "small")
    cell = laminate_cell(2, {"only": 1.0}, resolution=1)
    phases = {"only": linear_elastic(young=1.0, poisson=0.0)}
    rve = RVEMaterial(cell, phases, kinematics, parameters=("only.young",), degree=1)
    bar = rectangle(MPI.COMM_WORLD, cells=(16, 1))
    V = fem.functionspace(bar.mesh, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    x = ufl.SpatialCoordinate(bar.mesh)
    field = MaterialField(
        rve, strain_of(u, kinematics), degree=4, parameters=ufl.as_vector([10 * (1 + x[0])])
    )
    left = fem.locate_dofs_topological(V, 1, bar.facets("left"))
    right = ufl.Measure("ds", domain=bar.mesh, subdomain_data=bar.facet_tags)(bar.names["right"][1])
    pull = 0.01 * v[0] * right
    problem = MacroProblem(u, [field], bcs=[fem.dirichletbc(np.zeros(2), left, V)], external=pull)
    assert problem.solve().converged
    moved = bar.mesh.comm.allreduce(fem.assemble_scalar(fem.form(u[0] * right)))
    assert moved == pytest.approx(0.001 * np.log(2.0), rel=1e-5)
