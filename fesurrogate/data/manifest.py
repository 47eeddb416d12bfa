"""What a dataset is, beside its numbers: ``manifest.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.whole_file import write_whole

FORMAT = "fesurrogate dataset 2"
NAME = "manifest.json"
ADDED = "added"
"""Of ``meta``: the batches of points that were added to the drawn ones, where there are any."""
CONVENTIONS = {
    "small": "Mandel: 2D [xx, yy, sqrt2 xy], 3D [xx, yy, zz, sqrt2 yz, sqrt2 xz, sqrt2 xy]",
    "finite": "row-major F and first Piola-Kirchhoff P; tangent dP/dF",
    "gradient": "gradient and flux",
}
AGAIN = "make it again with: fesurrogate generate CONFIG --fresh"


@dataclass(frozen=True)
class Manifest:
    """The head of a dataset.

    Attributes:
        uid: Names the dataset; its shards carry it.
        request: Hash of what it was made from and how, its number of paths left out.
        kinematics: The strain measure.
        paths: N.
        increments: T.
        parameter_names: Names of the p parameters.
        units: In the user's words.
        meta: JSON-like facts.
        shards: {file: sha256}; empty until all are written.
        complete: Whether all N paths are written.
        discard: uid of the dataset that this one replaces, whose shards may still lie there.
    """

    uid: str
    request: str
    kinematics: Kinematics
    paths: int
    increments: int
    parameter_names: tuple[str, ...] = ()
    units: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    shards: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False
    discard: str = ""

    @property
    def added(self) -> list[Any]:
        """What JSON says of the batches of added points, by :mod:`fesurrogate.data.added`."""
        return list(self.meta.get(ADDED, ()))

    def write(self, folder: Path) -> None:
        """Replace the manifest of a folder in one move."""
        content = json.loads(json.dumps(asdict(self), default=str))
        content = {
            "format": FORMAT,
            "convention": CONVENTIONS[self.kinematics.measure],
            **content,
        }
        content["checksum"] = _digest(content)
        write_whole(folder / NAME, json.dumps(content, indent=1).encode())


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a dataset.

    Raises:
        InputError: There is none, or it is damaged, or of another format or convention.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = f"{folder} is no dataset" if folder.is_dir() else f"dataset {folder} does not exist"
        raise InputError(f"{there}; make one with: fesurrogate generate CONFIG") from None
    except OSError as error:
        raise InputError(f"dataset {folder} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}); {AGAIN}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        said = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path} says format {said!r}; expected {FORMAT!r}: {AGAIN}")
    checksum = content.pop("checksum", None)
    convention, _ = content.pop("convention", None), content.pop("format")
    try:
        shape = content.pop("kinematics")
        kinematics = Kinematics(shape["gdim"], shape["measure"])
        names = tuple(str(name) for name in content.pop("parameter_names"))
        manifest = Manifest(kinematics=kinematics, parameter_names=names, **content)
        _check_types(manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is incomplete ({error}); {AGAIN}") from error
    if convention != CONVENTIONS[kinematics.measure]:
        raise InputError(
            f"{path} uses the components {convention!r}; expected "
            f"{CONVENTIONS[kinematics.measure]!r}: convert it or generate it again"
        )
    whole = {"format": FORMAT, "convention": convention, **asdict(manifest)}
    if _digest(whole) != checksum:
        raise InputError(f"{path} is damaged (its checksum differs); {AGAIN}")
    return manifest


def _check_types(manifest: Manifest) -> None:
    texts = (manifest.uid, manifest.request, manifest.units, manifest.discard)
    counts = (manifest.paths, manifest.increments)
    files = {**manifest.shards}
    if (
        not all(isinstance(text, str) for text in (*texts, *files, *files.values()))
        or not all(type(count) is int and 0 <= count < 2**53 for count in counts)
        or not isinstance(manifest.meta, dict)
        or not isinstance(manifest.complete, bool)
        or any(Path(name).name != name for name in files)  # nothing outside the folder
    ):
        raise ValueError("a value of it has another type than it must have")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
