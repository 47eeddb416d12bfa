# %% [markdown]
# # A plain DOLFINx script: hyperelasticity with PETSc's SNES
#
# A cantilever of neo-Hookean elastomer (plane strain) bends under a shear traction at its end:
# find u with u = 0 at the left and
#
# $$\int P(F) : \nabla v \,\mathrm{d}x = \int_{\Gamma_\text{right}} t \cdot v \,\mathrm{d}s
# \quad \text{for all } v, \qquad P = \partial W / \partial F.$$
#
# It knows nothing of fesurrogate; embed_in_script.py is the same script with five lines changed.

# %%
from pathlib import Path

import numpy as np
import ufl
from dolfinx import fem, la, mesh
from dolfinx.fem import petsc
from mpi4py import MPI
from petsc4py import PETSc

# %% [markdown]
# ## Problem
# Lengths in mm, stresses in MPa. Constants of the elastomer: see demos/cook_membrane.toml.

# %%
comm = MPI.COMM_WORLD
domain = mesh.create_rectangle(
    comm, [[0.0, 0.0], [10.0, 2.0]], [10, 2], mesh.CellType.quadrilateral
)
V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
u, v, du = fem.Function(V), ufl.TestFunction(V), ufl.TrialFunction(V)
left = mesh.locate_entities_boundary(domain, 1, lambda x: np.isclose(x[0], 0.0))
right = mesh.locate_entities_boundary(domain, 1, lambda x: np.isclose(x[0], 10.0))
bc = fem.dirichletbc(np.zeros(2), fem.locate_dofs_topological(V, 1, left), V)
ds = ufl.Measure("ds", subdomain_data=mesh.meshtags(domain, 1, np.sort(right), 1))
traction = fem.Constant(domain, (0.0, 0.5))

mu, lam = 100 / 2.8, 100 * 0.4 / (1.4 * 0.2)
gradient = ufl.Identity(2) + ufl.grad(u)
J = ufl.det(gradient)
energy = mu / 2 * (ufl.inner(gradient, gradient) - 2 - 2 * ufl.ln(J)) + lam / 2 * ufl.ln(J) ** 2
internal = ufl.derivative(energy * ufl.dx(metadata={"quadrature_degree": 4}), u, v)
tangent = ufl.derivative(internal, u, du)

# %% [markdown]
# ## Solver
# The residual and its Jacobian, as SNES wants them.

# %%
residual_form = fem.form(internal - ufl.inner(traction, v) * ds(1))
jacobian_form = fem.form(tangent)
b = fem.Function(V)
A = petsc.create_matrix(jacobian_form)


def residual(snes, x, out):
    u.x.array[: x.getLocalSize()] = x.getArray(readonly=True)
    u.x.scatter_forward()
    b.x.array[:] = 0.0
    fem.assemble_vector(b.x.array, residual_form)
    b.x.scatter_reverse(la.InsertMode.add)
    bc.set(b.x.array, u.x.array, -1.0)


def jacobian(snes, x, J, P):
    A.zeroEntries()
    petsc.assemble_matrix(A, jacobian_form, bcs=[bc])
    A.assemble()


snes = PETSc.SNES().create(comm)
snes.setFunction(residual, b.x.petsc_vec)
snes.setJacobian(jacobian, A)
snes.setTolerances(rtol=1e-10)
snes.setOptionsPrefix("beam_")
options = {"snes_linesearch_type": "basic", "ksp_type": "preonly", "pc_type": "lu"}
for key, value in {**options, "pc_factor_mat_solver_type": "mumps"}.items():
    PETSc.Options()["beam_" + key] = value
snes.setFromOptions()
x = A.createVecRight()
snes.solve(None, x)

# %% [markdown]
# ## Answer
# Newton must have converged, and the work of the load must be positive and finite.

# %%
assert snes.getConvergedReason() > 0, f"SNES ended with reason {snes.getConvergedReason()}"
work = comm.allreduce(fem.assemble_scalar(fem.form(ufl.inner(traction, u) * ds(1))))
if comm.rank == 0:
    print(f"{Path(__file__).name}: {snes.getIterationNumber()} Newton iterations")
    print(f"work of the load {work:.10g} N mm/mm")
assert 0.0 < work < np.inf
