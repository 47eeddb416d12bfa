"""``[macro] initial_guess`` as what guesses; a surrogate's problem beside the one that it leads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fesurrogate.build.context import naming
from fesurrogate.build.guess import predictor_of as extrapolation_of
from fesurrogate.build.problem import MacroModel, build_problem
from fesurrogate.combine import Corrected
from fesurrogate.config import Settings
from fesurrogate.config.material import MaterialSettings
from fesurrogate.fem.stepping import Predictor
from fesurrogate.warmstart import DynamicModes, Led


def predictor_of(
    model: MacroModel, *, allow_code: bool = False, stop: Callable[[], bool] | None = None
) -> Predictor | None:
    """Return the guess that ``[macro] initial_guess`` names; None begins from the accepted u.

    Collective.

    Args:
        model: The problem.
        allow_code: Whether a user's module may be imported.
        stop: Asked now and then whether to stop.

    Raises:
        InputError: On all ranks: the surrogate cannot be built.
    """
    settings = model.settings
    if settings.macro.initial_guess == "dynamic_modes":
        dofmap = model.u.function_space.dofmap
        owned = dofmap.index_map.size_local * dofmap.index_map_bs
        return DynamicModes(model.mesh.mesh.comm, owned)
    if settings.macro.initial_guess != "surrogate":
        return extrapolation_of(settings)
    if not any(table.guarded or table.kind == "rve" for table in settings.tables.values()):
        return None  # a surrogate's run, say, which differs by one word: all in it is cheap
    with naming("macro.initial_guess"):
        cheap = without_cells(settings, settings.macro.surrogate)
        return led(model, cheap, allow_code=allow_code, stop=stop)


def led(
    model: MacroModel,
    cheap: Settings,
    *,
    allow_code: bool = False,
    stop: Callable[[], bool] | None = None,
) -> Led:
    """Return what leads a problem by another of cheap Materials. Collective.

    Args:
        model: The problem.
        cheap: Its settings with other Materials.
        allow_code: Whether a user's module may be imported.
        stop: Asked now and then whether to stop.

    Raises:
        InputError: On all ranks: a Material cannot be built.
    """
    comm = model.mesh.mesh.comm
    beside = build_problem(cheap, comm, allow_code=allow_code, beside=model, wrap=Corrected)
    beside.problem.stop = stop
    return Led(model.problem, beside.problem, beside.apply_load)


def without_cells(settings: Settings, kind: str | None = None) -> Settings:
    """Return the settings with nothing behind a guard, and a cheap kind in place of cells.

    What learns has its model in the run alone: it counts as a cell. A table has no answer at all
    outside of its axes: where it falls back it keeps its guard.

    Args:
        settings: The whole.
        kind: In place of ``rve``; that stays if None, with its own tangent.
    """

    def cheap(table: MaterialSettings) -> MaterialSettings:
        other = kind if kind and (table.kind == "rve" or table.learns) else table.kind
        guard = table.guard if other == "table" else None
        if guard is not None and guard.policy != "fallback":
            guard = None
        return replace(table, kind=other, guard=guard, learning=None, tangent=None)

    return settings.with_tables(cheap)
