"""Guarded problems from a TOML whose models are trained once: a laminate, elastic or plastic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mpi4py import MPI

from fesurrogate.build import ensure_dataset, ensure_model
from fesurrogate.build.calibration import calibration_of
from fesurrogate.config import Settings, read_config

BODY = """
[mesh]
generator = "rectangle"
cells = [4, 4]

[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
value = {moved}

[[reaction]]
boundary = "right"
[[probe]]
name = "inner"
point = [0.3, 0.8]

[material]
kind = "network"
[material.guard]
{guard}
[material.rve]
degree = 1
rtol = 1e-10
cell = {{ kind = "laminate", fractions = {{ soft = 0.5, stiff = 0.5 }}, resolution = 2 }}

[output]
folder = "output"

[train]
suspicious = "keep"
{train}
"""

ELASTIC = (
    BODY.replace("{moved}", "[0.2, 0.1]")
    + """
[kinematics]
gdim = 2
measure = "finite"
[material.rve.phases]
soft = {{ kind = "neo_hookean", shear_modulus = 1.0, lame = 1.0 }}
stiff = {{ kind = "neo_hookean", shear_modulus = 8.0, lame = 8.0 }}
[steps]
increments = 2
[generate]
samples = 96
stretch = 0.12
[calibration]
samples = 96
stretch = 0.3
"""
)

PLASTIC = (
    BODY.replace(
        "{moved}", "[0.012, 0.006]\nschedule = [[0.0, 0.0], [1.0, 1.0], [2.0, -0.2]]"
    ).replace("cells = [4, 4]", "cells = [2, 2]")
    + """
[macro]
degree = 1
[kinematics]
gdim = 2
measure = "small"
[material.rve.phases]
stiff = {{ kind = "linear_elastic", young = 200.0, poisson = 0.2 }}
[material.rve.phases.soft]
kind = "j2_plasticity"
young = 70.0
poisson = 0.33
yield_stress = 0.3
hardening = 5.0
[steps]
times = [0.3, 0.6, 1.0, 1.3, 1.6, 2.0]
[generate]
path = "random_walk"
samples = 16
increments = 8
stretch = 0.02
[calibration]
samples = 8
[train.physical.phases.soft]
young = 70.0
poisson = 0.33
yield_stress = 0.3
hardening = 5.0
points = 2
[train.physical.phases.stiff]
young = 200.0
poisson = 0.2
points = 1
"""
)


def trained(folder: Path, comm: MPI.Intracomm, text: str, *, guard: str, train: str) -> Settings:
    """Return settings whose model is trained and calibrated in a folder of rank 0. Collective."""
    folder = comm.bcast(folder)
    if comm.rank == 0:
        (folder / "guarded.toml").write_text(text.format(guard=guard, train=train))
    comm.Barrier()
    settings = read_config(folder / "guarded.toml")
    ensure_dataset(settings, comm)
    ensure_dataset(calibration_of(settings), comm)
    ensure_model(settings, comm=comm)
    return settings


def with_guard(settings: Settings, **changes: Any) -> Settings:
    """Return the settings with another guard."""
    assert settings.material is not None and settings.material.guard is not None
    guard = replace(settings.material.guard, **changes)
    return replace(settings, material=replace(settings.material, guard=guard))


def direct(settings: Settings) -> Settings:
    """Return the settings of direct FE²."""
    assert settings.material is not None
    return replace(settings, material=replace(settings.material, kind="rve"))


def alone(settings: Settings) -> Settings:
    """Return the settings of the surrogate without its guard."""
    assert settings.material is not None
    return replace(settings, material=replace(settings.material, guard=None))
