"""An adjoint tells, to first order, what another stress would do to reactions and displacements."""

from dataclasses import dataclass

import numpy as np
import pytest
from mpi4py import MPI

from fesurrogate.build.problem import MacroModel, build_problem
from fesurrogate.config import read_config
from fesurrogate.fem.adjoint import Adjoint
from fesurrogate.fem.points import point_weights
from fesurrogate.laws import NeoHookean

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
TOML = """
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "rectangle"
cells = [5, 3]
[material]
kind = "neo_hookean"
[material.neo_hookean]
shear_modulus = {shear_modulus}
lame = 1.0
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
component = "x"
value = 0.2
[[traction]]
boundary = "top"
value = [0.0, 0.05]
[[probe]]
name = "corner"
point = [1.0, 0.9]
[[reaction]]
boundary = "left"
[[reaction]]
boundary = "right"
"""


@dataclass
class Outputs:
    model: MacroModel
    left: np.ndarray
    right: np.ndarray
    corner: np.ndarray


def solved(tmp_path, shear_modulus: float) -> Outputs:  # type: ignore[no-untyped-def]
    folder = COMM.bcast(tmp_path)
    path = folder / f"case_{shear_modulus}.toml"
    if COMM.rank == 0:
        path.write_text(TOML.format(shear_modulus=shear_modulus))
    COMM.Barrier()
    model = build_problem(read_config(path), COMM)
    model.apply_load(1.0)
    assert model.problem.solve().converged
    reactions, probes = model.measure()
    return Outputs(model, *map(np.array, (reactions["left"], reactions["right"], probes["corner"])))


def test_the_change_of_outputs_is_predicted_to_first_order(tmp_path) -> None:  # type: ignore[no-untyped-def]
    base = solved(tmp_path, 1.0)
    model = base.model
    (field,) = model.fields.values()
    adjoint, weights, strain = Adjoint(model.problem), point_weights(field), field.current_strain()
    probe = model.probes[0]
    remainders = []
    for step in (1e-2, 5e-3):
        moved = solved(tmp_path, 1.0 + step)
        other = NeoHookean(2, shear_modulus=1.0 + step, lame=1.0).evaluate(strain).stress
        assert field.response is not None
        error = weights[:, None] * (other - field.response.stress)  # (n, m)
        worst = 0.0
        for name, component in [(n, c) for n in ("left", "right", "corner") for c in (0, 1)]:
            if name == "corner":
                (along,) = adjoint.of_value(probe.point, probe.cell, component)
            else:
                (along,) = adjoint.of_reaction(model.reactions[name], component)
            predicted = COMM.allreduce(float((error * along).sum()))
            truth = float((getattr(moved, name) - getattr(base, name))[component])
            if abs(truth) > 1e-8:
                worst = max(worst, abs(predicted - truth) / abs(truth))
        assert worst < 0.05, (step, worst)
        remainders.append(worst)
    assert remainders[1] < 0.6 * remainders[0]  # of second order in all
