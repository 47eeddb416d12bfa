"""``generate --active MODEL``: points where a model is least sure, added to its dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fesurrogate.build.calibration import calibration_of
from fesurrogate.build.dataset import EnsuredDataset, ensure_dataset, fingerprint
from fesurrogate.build.model import ensure_model
from fesurrogate.build.ranks import together
from fesurrogate.config import GenerateSettings, Settings
from fesurrogate.data.active import choose
from fesurrogate.data.added import Batch, batches_of
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import components_of, strain_with
from fesurrogate.data.plan import plan_of
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material
from fesurrogate.trust import Deviation, Novelty, stress_scale, training_inputs


@dataclass(frozen=True)
class Asked:
    """What a model asked for.

    Attributes:
        made: The dataset with its points.
        reused: Whether nothing was computed and nothing trained.
        lines: What is to be said of each batch that the dataset holds.
    """

    made: EnsuredDataset
    reused: bool
    lines: tuple[str, ...]


def ensure_active(
    settings: Settings,
    model: Path,
    comm: Any = None,
    *,
    fresh: bool = False,
    progress: bool = False,
    allow_code: bool = False,
) -> Asked:
    """Add to the dataset of ``[generate]`` what a model is least sure of. Collective.

    Each model file adds its batch once: the same command again finds it there. With ``error`` or
    ``most_samples`` the model of ``[train]`` is then trained with it and asked in turn, until it
    errs no more than that at a batch that it has not seen, or the dataset holds as many points.
    Rank 0 chooses and trains: the points are the same on any number of ranks.

    Args:
        settings: ``[generate]``, ``[generate.active]`` and ``[train]``.
        model: The model file that is asked first. It may be missing where it is that of
            ``[train]`` and the loop trains it.
        comm: An mpi4py communicator; None works alone.
        fresh: Generate anew in any case.
        progress: Whether rank 0 shows rate and time left.
        allow_code: Whether a user's module may be imported.

    Raises:
        InputError: On all ranks: paths with history, a model that does not fit, or what
            :func:`ensure_dataset` and :func:`ensure_model` raise.
    """
    wanted = settings.generate
    if wanted.path != "point":
        raise InputError(
            f"generate.path is {wanted.path!r}; --active asks for points, path = 'point': which "
            "path with history would teach a model is not known"
        )
    loops = wanted.active.error is not None or wanted.active.most_samples is not None
    own = model.resolve() == settings.model.resolve()
    options: dict[str, Any] = {"progress": progress, "allow_code": allow_code}
    if not (own and loops):
        together(comm, lambda: _readable(model, settings) if _first(comm) else None)
    made = ensure_dataset(settings, comm, fresh=fresh, **options)
    reused = made.reused
    if not (own and loops):
        before, made = made, _extended(settings, made, model, comm, **options)
        reused &= made is before
    if loops and settings.calibration is not None:
        ensure_dataset(calibration_of(settings), comm, fresh=fresh, **options)
    while loops and not _enough(wanted, made, comm):
        trained = ensure_model(settings, comm=comm, progress=progress)
        made = _extended(settings, made, trained.path, comm, **options)
        reused = False
    if loops:
        reused &= ensure_model(settings, comm=comm, progress=progress).reused
    lines = together(comm, lambda: tuple(_said(made)) if _first(comm) else ())
    return Asked(made, reused, lines)


def _enough(wanted: GenerateSettings, made: EnsuredDataset, comm: Any) -> bool:
    """Return whether the last model asked was good enough, or the dataset is full. Collective."""
    active, head = wanted.active, made.manifest

    def look() -> bool:
        if active.most_samples is not None and head.paths >= active.most_samples:
            return True
        batches = batches_of(head) if _first(comm) else ()
        if active.error is None or not batches:
            return False
        return batches[-1].error(made.dataset, stress_scale(made.dataset)) <= active.error

    found = together(comm, look)
    return bool(found if comm is None else comm.bcast(found))


def _extended(
    settings: Settings, made: EnsuredDataset, model: Path, comm: Any, **options: Any
) -> EnsuredDataset:
    """Return the dataset with the batch of a model; as it is where it holds it. Collective."""
    found = together(comm, lambda: _batch(settings, made, model) if _first(comm) else None)
    more = found if comm is None else comm.bcast(found)
    return made if more is None else ensure_dataset(settings, comm, more=more, **options)


def _content(path: Path, settings: Settings) -> str:
    """Return a hash of the model file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"--active {path} cannot be read ({error.strerror}); give the model file that train "
            f"writes, here {settings.model}"
        ) from error


def _readable(path: Path, settings: Settings) -> None:
    """Refuse what is no model before points are solved for it."""
    from fesurrogate.surrogate import load_network_material

    _content(path, settings)
    load_network_material(path, settings.kinematics, threads=1)


def _batch(settings: Settings, made: EnsuredDataset, path: Path) -> Batch | None:
    """Return the points that a model asks for; None where they are in the dataset."""
    wanted, active = settings.generate, settings.generate.active
    content = _content(path, settings)
    recorded = read_dataset(active.recorded, settings.kinematics) if active.recorded else None
    origin = None if recorded is None else recorded.fingerprint
    count = active.batch
    if active.most_samples is not None:
        count = min(count, active.most_samples - made.manifest.paths)
    key = fingerprint(content, active.batch, active.candidates, wanted.seed, origin)
    batches = batches_of(made.manifest)
    if count < 1 or any(batch.key == key for batch in batches):
        return None
    material = _model(path, settings.kinematics, made.manifest.parameter_names)
    data = made.dataset
    if recorded is None:
        strain, parameters = _in_envelope(settings, data, len(batches))
    else:
        strain, parameters = _recorded(recorded, wanted, data, active.recorded)
    doubt, measure, stress = _doubt(material, data, strain, parameters)
    assert data.parameters is not None
    taken = choose(
        _coordinates(data.kinematics, strain, parameters),
        _coordinates(data.kinematics, data.strain[:, 0], data.parameters),
        doubt,
        count=count,
    )
    if not len(taken):
        raise InputError(
            f"all {len(strain)} candidates are in the dataset; raise generate.active.candidates, "
            "or give other recorded paths"
        )
    return Batch(
        key, made.manifest.paths, strain[taken], parameters[taken], stress[taken], doubt[taken],
        measure,
    )  # fmt: skip


def _model(path: Path, kinematics: Kinematics, names: tuple[str, ...]) -> Material:
    """Return the model as a Material that gives the same bits on any number of ranks."""
    from fesurrogate.surrogate import load_network_material

    material = load_network_material(path, kinematics, threads=1)
    if material.num_state:
        raise InputError(
            f"model {path} has history; --active asks for points, and which path would teach such "
            "a model is not known: raise samples, or record the paths of a run"
        )
    if material.parameter_names != names:
        raise InputError(
            f"model {path} has the parameters {', '.join(material.parameter_names) or 'none'}; the "
            f"dataset has {', '.join(names) or 'none'}: train a model on this dataset"
        )
    return material


def _in_envelope(
    settings: Settings, data: Dataset, batches: int
) -> tuple[Array, Array]:  # (n, m), (n, p)
    """Return candidates spread over what ``[generate]`` samples, others for each batch."""
    wanted = settings.generate
    plan = plan_of(
        settings.kinematics,
        replace(
            wanted, samples=wanted.active.candidates, sequence="sobol",
            seed=int(fingerprint("candidates", wanted.seed, batches), 16) >> 1,
        ),
        data.parameter_names,
    )  # fmt: skip
    every = np.arange(plan.samples)
    return plan.strain(every)[:, 0], plan.parameters(every)


def _recorded(
    recorded: Dataset, wanted: GenerateSettings, data: Dataset, place: Path | None
) -> tuple[Array, Array]:  # (n, m), (n, p)
    """Return points that a macro run went through, without their rotations."""
    if recorded.parameter_names != data.parameter_names:
        raise InputError(
            f"{place} was recorded with the parameters "
            f"{', '.join(recorded.parameter_names) or 'none'}; expected those of the dataset, "
            f"{', '.join(data.parameter_names) or 'none'}: record a run with them"
        )
    kinematics, T = recorded.kinematics, recorded.increments
    assert recorded.parameters is not None
    strain = recorded.strain.reshape(-1, kinematics.size)
    solved = np.flatnonzero(recorded.ok.ravel() & kinematics.admissible(strain))
    order = np.random.default_rng(wanted.seed).permutation(solved)[: wanted.active.candidates]
    turned_back = strain_with(kinematics, components_of(kinematics, strain[order]))
    return turned_back, recorded.parameters[order // T]


def _coordinates(kinematics: Kinematics, strain: Array, parameters: Array) -> Array:  # (n, q + p)
    return np.hstack([components_of(kinematics, strain), parameters])


def _doubt(
    material: Material,
    data: Dataset,
    strain: Array,  # (n, m)
    parameters: Array,  # (n, p)
) -> tuple[Array, str, Array]:  # (n,), name, (n, m)
    """Return the doubt of each candidate, its measure, and the model's stress."""
    answer = material.evaluate(strain, parameters=parameters, tangent=False)
    known = "standard_deviation" in answer.report
    measure = (
        Deviation(stress_scale(data)) if known else Novelty(data.kinematics, training_inputs(data))
    )
    doubt = measure.doubt(strain, parameters, answer)
    known = answer.ok & np.isfinite(doubt)
    return np.where(known, doubt, np.nan), measure.name, answer.stress


def _said(made: EnsuredDataset) -> Iterator[str]:
    """Give one line a batch."""
    data = made.dataset
    scale = stress_scale(data)
    for batch in batches_of(made.manifest):
        error = batch.error(data, scale)
        known = batch.doubt[np.isfinite(batch.doubt)]
        doubt = f"{known.min():.2g} to {known.max():.2g}" if len(known) else "unknown"
        yield (
            f"{len(batch)} points added behind {batch.first}: {batch.measure} {doubt}, error of "
            f"the stress of the model, which had not seen them, {error:.3%}"
        )


def _first(comm: Any) -> bool:
    return comm is None or comm.rank == 0
