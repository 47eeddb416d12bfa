"""Settings: a TOML as validated, frozen, plain data."""

from fesurrogate.config.data import CalibrationSettings, GenerateSettings
from fesurrogate.config.homogenize import HomogenizeSettings
from fesurrogate.config.macro import (
    BodySettings,
    DirichletSettings,
    MacroSettings,
    MeshSettings,
    ProbeSettings,
    ReactionSettings,
    Schedule,
    SolverSettings,
    StepSettings,
    TractionSettings,
)
from fesurrogate.config.material import MaterialSettings
from fesurrogate.config.output import OutputSettings
from fesurrogate.config.settings import Settings, read_config
from fesurrogate.config.train import TrainSettings

__all__ = [
    "BodySettings",
    "DirichletSettings",
    "CalibrationSettings",
    "GenerateSettings",
    "HomogenizeSettings",
    "MacroSettings",
    "MaterialSettings",
    "MeshSettings",
    "OutputSettings",
    "ProbeSettings",
    "ReactionSettings",
    "Schedule",
    "Settings",
    "SolverSettings",
    "StepSettings",
    "TractionSettings",
    "TrainSettings",
    "read_config",
]
