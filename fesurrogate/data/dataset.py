"""A dataset: strain paths and what a Material answered, in memory and in one HDF5 file."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.kinematics import Array, Kinematics

BoolArray = NDArray[np.bool_]

FORMAT = "fesurrogate dataset 1"
CONVENTIONS = {
    "small": "Mandel: 2D [xx, yy, sqrt2 xy], 3D [xx, yy, zz, sqrt2 yz, sqrt2 xz, sqrt2 xy]",
    "finite": "row-major F and first Piola-Kirchhoff P; tangent dP/dF",
    "gradient": "gradient and flux",
}
ARRAYS = ("strain", "stress", "tangent", "ok", "dt", "parameters")


@dataclass(frozen=True)
class Dataset:
    """N strain paths of T increments with the answers of a Material.

    Attributes:
        kinematics: The strain measure.
        strain: (N, T, m).
        stress: (N, T, m); NaN where the point failed.
        tangent: (N, T, m, m) or None; NaN where the point failed.
        ok: (N, T), False where the point failed.
        dt: (N, T), lengths of the increments, or None where time does not matter.
        parameters: (N, p), parameters of the Material on each path.
        parameter_names: Names of the p parameters.
        meta: JSON-like facts: source, seed, envelope, units, versions, cost.
    """

    kinematics: Kinematics
    strain: Array
    stress: Array
    tangent: Array | None
    ok: BoolArray
    dt: Array | None = None
    parameters: Array | None = None
    parameter_names: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.parameters is None:
            object.__setattr__(self, "parameters", np.zeros((len(self.strain), 0)))
        assert self.parameters is not None
        size = self.kinematics.size
        if self.strain.ndim != 3 or self.strain.shape[2] != size:
            raise InputError(
                f"Dataset: strain has shape {self.strain.shape}; expected (N, T, {size}) "
                f"for {self.kinematics}"
            )
        paths, increments, _ = self.strain.shape
        expected: dict[str, tuple[int, ...]] = {
            "stress": (paths, increments, size),
            "tangent": (paths, increments, size, size),
            "ok": (paths, increments),
            "dt": (paths, increments),
            "parameters": (paths, len(self.parameter_names)),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise InputError(f"Dataset: {name} has shape {array.shape}; expected {shape}")

    def __len__(self) -> int:
        """Return the number of paths N."""
        return len(self.strain)

    @property
    def failed(self) -> int:
        """Number of increments whose point failed."""
        return int((~self.ok).sum())

    @property
    def fingerprint(self) -> str:
        """Hash (16 hex digits) of the kinematics and all arrays; the meta data do not count."""
        return self._digest({})[:16]

    def take(
        self,
        paths: NDArray[np.integer],  # indices
    ) -> Dataset:
        """Return the dataset of some of the paths."""
        taken: dict[str, Any] = {}
        for name in ARRAYS:
            array = getattr(self, name)
            taken[name] = None if array is None else array[paths]
        return replace(self, **taken)

    def split(self, fraction: float, *, seed: int) -> tuple[Dataset, Dataset]:
        """Return (training, validation): whole paths, drawn at random.

        Args:
            fraction: Part of the paths that goes to validation, in (0, 1).
            seed: Seed of the draw.

        Raises:
            InputError: One of the two parts would be empty.
        """
        held = round(fraction * len(self))
        if not 0.0 < fraction < 1.0 or held < 1 or held >= len(self):
            raise InputError(
                f"validation is {fraction} of {len(self)} paths; expected a fraction in (0, 1) "
                "that leaves at least one path in each part: give more samples"
            )
        order = np.random.default_rng(seed).permutation(len(self))
        return self.take(np.sort(order[held:])), self.take(np.sort(order[:held]))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one HDF5 file, first under a temporary name, so that no half file ever counts.

        Raises:
            MissingPackageError: h5py is not installed.
        """
        h5py = _h5py()
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        meta = json.loads(json.dumps(dict(self.meta), default=str))
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            with h5py.File(temporary, "w") as file:
                file.attrs["format"] = FORMAT
                file.attrs["gdim"] = self.kinematics.gdim
                file.attrs["measure"] = self.kinematics.measure
                file.attrs["convention"] = CONVENTIONS[self.kinematics.measure]
                file.attrs["parameter_names"] = json.dumps(list(self.parameter_names))
                file.attrs["meta"] = json.dumps(meta)
                file.attrs["checksum"] = self._digest(meta)
                for name in ARRAYS:
                    if getattr(self, name) is not None:
                        file.create_dataset(name, data=getattr(self, name))
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def load(path: str | os.PathLike[str], kinematics: Kinematics | None = None) -> Dataset:
        """Read a dataset and check it.

        Args:
            path: The HDF5 file.
            kinematics: What the caller needs; None takes what the file holds.

        Raises:
            InputError: The file is missing, damaged, of another format, convention or Kinematics.
            MissingPackageError: h5py is not installed.
        """
        h5py = _h5py()
        if not Path(path).is_file():
            raise InputError(
                f"dataset {path} does not exist; make it with: fesurrogate generate CONFIG"
            )
        try:
            with h5py.File(path, "r") as file:
                attributes = dict(file.attrs)
                arrays = {name: file[name][()] for name in ARRAYS if name in file}
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"dataset {path} cannot be read ({error}); it is no dataset or was cut short: "
                "make it again with: fesurrogate generate CONFIG"
            ) from error
        return _checked(path, attributes, arrays, kinematics)

    def _digest(self, meta: Mapping[str, Any]) -> str:
        head = [
            self.kinematics.gdim,
            self.kinematics.measure,
            list(self.parameter_names),
            meta,
        ]
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        for name in ARRAYS:
            array = getattr(self, name)
            if array is not None:
                digest.update(f"{name}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def _checked(
    path: str | os.PathLike[str],
    attributes: Mapping[str, Any],
    arrays: dict[str, NDArray],
    kinematics: Kinematics | None,
) -> Dataset:
    if attributes.get("format") != FORMAT:
        raise InputError(
            f"{path} says format {attributes.get('format')!r}; expected {FORMAT!r}: "
            "make it again with: fesurrogate generate CONFIG"
        )
    try:
        found = Kinematics(int(attributes["gdim"]), str(attributes["measure"]))  # type: ignore[arg-type]
        names = tuple(json.loads(attributes["parameter_names"]))
        meta = json.loads(attributes["meta"])
        convention, checksum = attributes["convention"], attributes["checksum"]
        for name in ARRAYS:
            if name in arrays:
                arrays[name] = arrays[name].astype(bool if name == "ok" else np.float64)
        dataset = Dataset(
            found, arrays["strain"], arrays["stress"], arrays.get("tangent"), arrays["ok"],
            arrays.get("dt"), arrays["parameters"], names, meta,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"dataset {path} is incomplete ({error}); make it again with: "
            "fesurrogate generate CONFIG"
        ) from error
    if convention != CONVENTIONS[found.measure]:
        raise InputError(
            f"dataset {path} uses the components {convention!r}; expected "
            f"{CONVENTIONS[found.measure]!r}: convert it or generate it again"
        )
    if kinematics is not None and found != kinematics:
        raise InputError(f"dataset {path} was made under {found}; expected {kinematics}")
    if dataset._digest(meta) != checksum:
        raise InputError(
            f"dataset {path} is damaged (checksum differs); make it again with: "
            "fesurrogate generate CONFIG"
        )
    return dataset


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError(
            "reading and writing datasets needs h5py; install it with: "
            "pip install fesurrogate[train]"
        ) from error
    return h5py
