"""Problems from a TOML: a plate of two cells, clamped on the left, whose points are laminates."""

from __future__ import annotations

from pathlib import Path

from mpi4py import MPI

from fesurrogate.config import Settings, read_config

PLATE = """
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "rectangle"
cells = [2, 1]
upper = [2.0, 1.0]
[macro]
degree = 1
{macro}
[material]
kind = "rve"
{material}
[material.rve]
degree = 1
{rve}
cell = {{ kind = "laminate", fractions = {{ {fractions} }}, resolution = {resolution} }}
phases.soft = {{ kind = "neo_hookean", shear_modulus = {soft}, lame = 1.5 }}
phases.stiff = {{ kind = "neo_hookean", shear_modulus = {stiff}, lame = {stiff_lame} }}
[[dirichlet]]
boundary = "left"
[output]
folder = "{folder}"
"""

PULLED = """
[[dirichlet]]
boundary = "right"
value = [0.2, 0.1]
[[reaction]]
boundary = "right"
"""
"""What moves the right edge, and is measured there."""


def plate(more: str, **values: object) -> str:
    """Return the TOML of a plate with other values, and what else it has."""
    known = {
        "macro": "", "material": "", "rve": "", "fractions": "soft = 0.5, stiff = 0.5",
        "resolution": 4, "soft": 1.0, "stiff": 20.0, "stiff_lame": 30.0, "folder": "out",
    }  # fmt: skip
    assert set(values) <= set(known)
    return PLATE.format(**{**known, **values}) + more


def read_from(folder: Path, text: str, comm: MPI.Intracomm = MPI.COMM_SELF) -> Settings:
    """Return the settings of a TOML that rank 0 writes into a folder. Collective."""
    path = folder / "config.toml"
    if comm.rank == 0:
        path.write_text(text)
    comm.Barrier()
    settings = read_config(path)
    comm.Barrier()
    return settings
