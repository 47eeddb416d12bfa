# %% [markdown]
# # A notched plate of fibres in metal: plastic flow at every micro point
#
# A strip with two round notches is pulled and let go. It is made of stiff elastic fibres (alumina,
# half of the volume) in an aluminium alloy, seen in plane strain across the fibres. Find u with
#
# $$\int \bar\sigma : \varepsilon(v) \,\mathrm{d}x = \int_{\Gamma_\text{top}} t \cdot v
# \,\mathrm{d}s,$$
#
# where $\bar\sigma$ at each point is the mean stress of a cell whose matrix flows plastically (J2,
# Voce hardening). Each cell remembers the plastic strain of all its own points: that is the state
# of the macro point. The traction rises to its peak at time 1 and is gone at time 2.
#
# `mpirun -n 2 python3 -m mpi4py demos/plastic_composite.py`. Geometry, constants and their sources
# are in plastic_composite.toml beside this file; `fesurrogate run` takes it as it is.

# %%
import sys

import petsc4py

petsc4py.init(sys.argv)

from dataclasses import replace
from pathlib import Path

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from dolfinx.mesh import meshtags
from mpi4py import MPI
from petsc4py import PETSc

from fesurrogate.build import load_material
from fesurrogate.config import read_config
from fesurrogate.fem.micro_pictures import Curves, plot_micro
from fesurrogate.fem.pictures import Panel
from fesurrogate.fem.points import point_weights
from fesurrogate.fem.strain import strain_of
from fesurrogate.homogenize.bounds import reuss, voigt
from fesurrogate.laws import isotropic_stiffness
from fesurrogate.run import reported, run

comm = MPI.COMM_WORLD
settings = read_config(Path(__file__).resolve().parent / "plastic_composite.toml")
folder, kinematics = settings.folder, settings.kinematics
traction = settings.traction[0].value[1]  # at the peak
WIDTH = 10.0  # of the top of the quarter, in mm
PEAK = settings.steps.end_times.index(1.0)


def say(text: str = "") -> None:
    if comm.rank == 0:
        print(text, flush=True)


# %% [markdown]
# ## The composite, and the alloy without fibres
# One word apart. The alloy has no cell to look into.

# %%
say("1. Composite: FE² through loading and unloading")
composite = run(settings, comm, folder / "rve", progress=True)
say("2. The alloy without fibres")
alone = replace(
    settings,
    material=replace(settings.material, kind="j2_plasticity"),
    output=replace(settings.output, micro=None),
)
alloy = run(alone, comm, folder / "j2_plasticity", progress=True)
for done in (composite, alloy):
    if not done.results.converged:
        say(f"error: {done.results.message}")
        sys.exit(3)

# %% [markdown]
# ## Forces, displacements, work
# The displacement is the mean one of the top; Simpson's rule gives it exactly, since the top has
# two edges with quadratic displacements. The work of the traction is then exact but for the size of
# the increments.

# %%
SIMPSON = np.array([1.0, 4.0, 2.0, 4.0, 1.0]) / 12.0


def curve(results) -> tuple[np.ndarray, np.ndarray]:  # (increments + 1,) each
    """Return the mean displacement of the top and the force on it, from rest."""
    moved = [[entry.probes[f"top_{k}"][1] for k in range(5)] for entry in results.history]
    force = [-entry.reaction["bottom"][1] for entry in results.history]
    return np.concatenate([[0.0], moved @ SIMPSON]), np.concatenate([[0.0], force])


def total(run, report: str) -> float:
    """Return the integral of a report over the quarter."""
    field = run.model.fields["material"]
    return comm.allreduce(float(point_weights(field) @ field.response.report[report]))


displacement, force = curve(composite.results)
displacement_alloy, force_alloy = curve(alloy.results)
work = float(np.trapezoid(force, displacement))
stored, dissipated = total(composite, "energy"), total(composite, "dissipation")

# %% [markdown]
# ## The elastic plate, by itself
# While nothing flows, the composite is a linear solid with the stiffness that the cell has at rest;
# and by the theorems of minimum energy no arrangement of the phases can be softer than Reuss' or
# stiffer than Voigt's mean of them. Plain DOLFINx solves those three plates on the same mesh.

# %%
V = composite.model.u.function_space
mesh, tagged = V.mesh, composite.model.mesh


def elastic_displacement(stiffness: np.ndarray, load: float) -> float:
    """Return the mean displacement of the top of a linear elastic plate under a traction."""
    u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    C = fem.Constant(mesh, stiffness)
    dx = ufl.dx(metadata={"quadrature_degree": settings.macro.quadrature_degree})
    a = ufl.inner(ufl.dot(C, strain_of(u, kinematics)), strain_of(v, kinematics)) * dx
    top = np.sort(tagged.facets("top"))
    tags = meshtags(mesh, 1, top, np.ones_like(top))
    L = load * v[1] * ufl.Measure("ds", domain=mesh, subdomain_data=tags)(1)
    constrained = [
        fem.locate_dofs_topological(V.sub(axis), 1, tagged.facets(name))
        for axis, name in enumerate(("left", "bottom"))
    ]
    bcs = [
        fem.dirichletbc(PETSc.ScalarType(0), dofs, V.sub(axis))
        for axis, dofs in enumerate(constrained)
    ]
    A = fem_petsc.assemble_matrix(fem.form(a), bcs=bcs)
    A.assemble()
    b = fem_petsc.assemble_vector(fem.form(L))
    b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    force = b.copy()
    owned = b.getLocalSize()
    for dofs in constrained:
        b.array_w[dofs[dofs < owned]] = 0.0
    solver = PETSc.KSP().create(comm)
    solver.setOperators(A)
    solver.setType("preonly")
    solver.pc.setType("lu")
    solver.pc.setFactorSolverType("mumps")
    x = b.duplicate()
    solver.solve(b, x)
    return float(force.dot(x)) / (load * WIDTH)  # the work of the traction, by the traction


first = traction * settings.steps.end_times[0]
shares = composite.model.materials["material"].material.cell.volume_fractions()
constants = settings.material.rve.phases
phases = [
    isotropic_stiffness(kinematics, young=constants[k].young, poisson=constants[k].poisson)
    for k in shares
]
rest = load_material(settings, comm, kind="linearised_rve").evaluate(kinematics.rest[None])
elastic = {
    "Reuss": elastic_displacement(reuss(phases, list(shares.values())), first),
    "cell at rest": elastic_displacement(rest.tangent[0], first),
    "Voigt": elastic_displacement(voigt(phases, list(shares.values())), first),
}

# %%
say("\n   force [N/mm]   top [mm], composite   alloy")
for k, time in enumerate((0.0, *settings.steps.end_times)):
    moved = f"{displacement[k]:15.6f} {displacement_alloy[k]:14.6f}"
    say(f"   {force[k]:12.1f} {moved}   (time {time:g})")
files = composite.results.micro.files
say("\nmost loaded point, and the cell there")
for entry in files["most_loaded_1"]:
    say(
        f"   time {entry.time:4.2f}: ({entry.point[0]:.2f}, {entry.point[1]:.2f}) mm, norm of the "
        f"stress {entry.stress:5.0f} MPa, in the cell up to {entry.largest_stress:5.0f}, plastic "
        f"strain up to {entry.largest['plastic_strain']:.4f}"
    )
kept = files["point_1"][-1].largest["plastic_strain"]
say(
    f"\nafter unloading: the top keeps {displacement[-1]:.6f} mm (alloy "
    f"{displacement_alloy[-1]:.6f}), the root of the notch a plastic strain of up to {kept:.4f}\n"
    f"work of the traction {work:.3f} N mm/mm: {dissipated:.3f} dissipated, {stored:.3f} stored\n"
    f"elastic displacement of the top under {first:g} MPa: {displacement[1]:.8f} mm; "
    + ", ".join(f"{name} {value:.8f}" for name, value in elastic.items())
)

# %% [markdown]
# ## Picture
# Plastic strain of both scales after unloading. `micro_*.xdmf` beside `fields.xdmf` in the folder
# of the run hold the cells increment by increment, for ParaView.

# %%
plot_micro(
    folder / "plastic_composite.png",
    Panel(
        "mean plastic strain of the cells, after unloading",
        mesh,
        None,
        reported(composite.model)["plastic_strain"],
    ),
    composite.micro.views(),
    title=settings.title,
    curves=Curves(
        {"composite": (displacement, force), "alloy": (displacement_alloy, force_alloy)},
        ("displacement of the top [mm]", "force [N/mm]"),
    ),
)
say(f"pictures, results.json and files for ParaView: {folder}")

# %% [markdown]
# ## What must hold
# Equilibrium; the elastic plate, from plain DOLFINx and between its bounds; unloading along the
# elastic line; the first law, work = stored + dissipated, but for the size of the increments (they
# part by 6.1, 1.8 and 0.5 % with 2, 4 and 8 increments from yield to the peak); history that stays.
# The alloy must carry the peak: a strip as narrow as the ligament could, at 2/√3 of the saturated
# yield stress in plane strain, and by the lower bound theorem of limit analysis the plate then can.

# %%
applied = np.array(
    [
        settings.steps.factor(settings.traction[0].schedule, t)
        for t in (0.0, *settings.steps.end_times)
    ]
)
assert np.allclose(force, applied * traction * WIDTH, rtol=0, atol=1e-6 * traction * WIDTH)
assert abs(displacement[1] / elastic["cell at rest"] - 1) < 1e-6
assert elastic["Voigt"] < displacement[1] < elastic["Reuss"]
slope = (force[PEAK + 2] - force[PEAK + 1]) / (displacement[PEAK + 2] - displacement[PEAK + 1])
assert abs(slope * elastic["cell at rest"] / (first * WIDTH) - 1) < 1e-6
ALPHA = [entry.largest["plastic_strain"] for entry in files["point_1"]]
assert all(a <= b + 1e-12 for a, b in zip(ALPHA, ALPHA[1:], strict=False)) and ALPHA[-1] > 0.01
assert displacement[-1] > 0 and 0 < dissipated < work
assert abs(stored + dissipated - work) < 0.05 * work, (stored, dissipated, work)
strength = constants["matrix"].yield_stress + constants["matrix"].saturation
assert force_alloy.max() < 2 / np.sqrt(3) * strength * 6.0  # 6 mm: half of the ligament
assert displacement_alloy.max() > displacement.max()
assert composite.results.micro.micro_iterations == 0  # all cells were found solved
