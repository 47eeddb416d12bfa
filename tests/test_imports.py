"""A model is trained where nothing but NumPy and torch is installed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = set('''basix click cffi dolfinx ffcx gmsh h5py matplotlib meshio mpi4py petsc4py pydantic
    rich safetensors scipy typer ufl'''.split())
sys.meta_path.insert(0, Blocked())

import numpy as np
import fesurrogate.surrogate
from fesurrogate.config import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import NeoHookean
from fesurrogate.train import fit

law = NeoHookean(2, shear_modulus=1.0, lame=2.0)
strain = law.kinematics.rest + np.random.default_rng(0).uniform(-0.1, 0.1, (40, 1, 4))
answer = law.evaluate(strain[:, 0])
data = Dataset(law.kinematics, strain, answer.stress[:, None], answer.tangent[:, None],
               np.ones((40, 1), bool))
fitted = fit(data, TrainSettings(hidden=(8,), iterations=60))
print(fitted.errors.stress)
assert BLOCKED.isdisjoint(name.partition(".")[0] for name in sys.modules)
"""


def test_training_needs_numpy_and_torch_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.2
