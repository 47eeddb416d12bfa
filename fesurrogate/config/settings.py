"""Settings as plain, frozen data. Reading a TOML into them validates every key (pydantic).

The dataclasses need only the standard library, so that ``fesurrogate.train`` can use them where
nothing but NumPy and torch is installed; :func:`read_config` needs pydantic. Every key is
documented in docs/config.md. A class here is a table there; what is required has no default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from fesurrogate.config.data import CalibrationSettings, GenerateSettings
from fesurrogate.config.file import read_table
from fesurrogate.config.homogenize import HomogenizeSettings
from fesurrogate.config.macro import (
    BodySettings,
    DirichletSettings,
    MacroSettings,
    MeshSettings,
    ProbeSettings,
    ReactionSettings,
    SolverSettings,
    StepSettings,
    TractionSettings,
)
from fesurrogate.config.material import GuardSettings, MaterialSettings
from fesurrogate.config.output import OutputSettings
from fesurrogate.config.precompute import PrecomputeSettings
from fesurrogate.config.train import TrainSettings
from fesurrogate.kinematics import Kinematics

REST = "material"  # name of the table of all cells that no region claims


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A whole TOML; paths are absolute.

    Attributes:
        source: The TOML itself, where there is one; no key.
        run_output: ``--output`` of ``run``, in place of the folder of the kind; no key.
    """

    kinematics: Kinematics
    title: str = ""
    material: MaterialSettings | None = None
    regions: dict[str, MaterialSettings] = field(default_factory=dict)
    mesh: MeshSettings | None = None
    macro: MacroSettings = MacroSettings()
    dirichlet: tuple[DirichletSettings, ...] = ()
    traction: tuple[TractionSettings, ...] = ()
    body: BodySettings | None = None
    steps: StepSettings = StepSettings()
    probe: tuple[ProbeSettings, ...] = ()
    reaction: tuple[ReactionSettings, ...] = ()
    solver: SolverSettings = SolverSettings()
    output: OutputSettings = OutputSettings()
    generate: GenerateSettings = GenerateSettings()
    calibration: CalibrationSettings | None = None
    homogenize: HomogenizeSettings = HomogenizeSettings()
    precompute: PrecomputeSettings = PrecomputeSettings()
    train: TrainSettings = TrainSettings()
    source: Path | None = field(default=None, metadata={"key": False})
    run_output: Path | None = field(default=None, metadata={"key": False})

    @property
    def tables(self) -> dict[str, MaterialSettings]:
        """Those of the regions, completed, and ``[material]`` as :data:`REST`, by name.

        What a region leaves out it takes from ``[material]``.
        """
        rest = {} if self.material is None else {REST: self.material}
        return {k: _completed(table, self.material) for k, table in self.regions.items()} | rest

    def with_tables(self, change: Callable[[MaterialSettings], MaterialSettings]) -> Settings:
        """Return the settings with another table in place of each of :attr:`tables`."""
        base = self.material
        regions = {k: change(_completed(table, base)) for k, table in self.regions.items()}
        return replace(self, material=None if base is None else change(base), regions=regions)

    @property
    def guards(self) -> tuple[GuardSettings, ...]:
        """Those of all tables whose kind has one; a region without takes that of ``[material]``."""
        return tuple(table.guard for table in self.tables.values() if table.guard and table.guarded)

    @property
    def folder(self) -> Path:
        """The output folder: as the TOML says, else ``output/NAME`` under the current one."""
        if self.output.folder is not None:
            return self.output.folder
        return Path.cwd() / "output" / (self.source.stem if self.source else "run")

    @property
    def run_folder(self) -> Path:
        """Where ``run`` writes: its ``--output``, else a folder named by the kind of Material.

        Runs that differ by the one word ``kind`` keep their results side by side.
        """
        if self.run_output is not None:
            return self.run_output
        kind = "regions" if self.material is None else self.material.kind
        return self.folder / kind.replace(":", ".")

    @property
    def dataset(self) -> Path:
        """Where ``generate`` writes its dataset and ``train`` reads it."""
        return self.folder / "dataset"

    @property
    def model(self) -> Path:
        """Where ``train`` writes its model."""
        return self.folder / "model.safetensors"

    @property
    def table(self) -> Path:
        """Where ``precompute`` writes its table, and ``kind = "table"`` looks by default."""
        return self.folder / "table.h5"

    @property
    def learned_guess(self) -> Path:
        """Where ``generate`` with ``fields`` writes the learned guess of the cell."""
        return self.folder / "guess.npz"

    @property
    def cell_image(self) -> Path:
        """Where ``generate`` writes what a field network is told of the cell."""
        return self.folder / "cell_image.npz"

    @property
    def field_network(self) -> Path:
        """Where ``train`` writes the field network that guesses the cell."""
        return self.folder / "field_network.safetensors"

    @property
    def models(self) -> tuple[Path, ...]:
        """Where ``kind = "network"`` looks by default; the first that exists is taken.

        The first is that of ``train --output`` with the folder that ``run --output`` names.
        """
        if self.run_output is None:
            return (self.model,)
        return (self.run_output / self.model.name, self.model)


def read_config(path: str | Path) -> Settings:
    """Read a TOML and validate it; nothing but the TOML itself is opened.

    Relative paths in it are relative to its folder.

    Raises:
        InputError: The file is missing or no TOML, or keys are unknown, missing or unusable; one
            message names them all.
        MissingPackageError: pydantic is not installed.
    """
    settings = read_table(Path(path), Settings)
    return replace(settings, source=Path(path).resolve())


def _completed(table: MaterialSettings, base: MaterialSettings | None) -> MaterialSettings:
    """Return a region's table, with the sub-tables it leaves out taken from ``[material]``."""
    if base is None:
        return table
    left_out = [item.name for item in fields(table) if getattr(table, item.name) is None]
    return replace(table, **{name: getattr(base, name) for name in left_out})
