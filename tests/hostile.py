"""Files that were damaged or made to harm, and what reading them must come to: an InputError.

Each kind has a valid file and a reader. A case is the file with bytes flipped, cut, repeated or
replaced by what parsers stumble over; where a checksum would refuse it at once, it is signed anew,
as one who means harm would.
"""

from __future__ import annotations

import hashlib
import io
import json
import signal
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np

from fesurrogate.checkpoint.archive import ArchiveWriter, read_archive
from fesurrogate.config import read_config
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.store import read_dataset, write_dataset
from fesurrogate.errors import InputError
from fesurrogate.fem.mesh_file import load_mesh_file
from fesurrogate.kinematics import Kinematics
from fesurrogate.run.failed_points import FORMAT, read_failed_point

LIMIT = 10  # seconds that a file may take
EVIL = [
    b"\x80\x04\x95", b"cos\nsystem\n", b"/../../../../tmp/fesurrogate_was_here", b"\x00" * 40,
    b"\xff" * 40, b"9" * 400, b"1e999999", b"-1", b"nan", b"2147483648", b"99999999999999999999",
    b"[" * 5000, b"{", b"}", b'"', b"\n", b"\xed\xa0\x80", b"%s%n", b"null", b"true", b"''" * 60,
]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of file: how a valid one is made, read, and damaged so that its checksums hold."""

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    sign: Callable[[Path, bytes, np.random.Generator], Path] | None = None


def damaged(content: bytes, chance: np.random.Generator) -> bytes:
    """Return content with one to four changes."""
    data = bytearray(content)
    for _ in range(chance.integers(1, 5)):
        at = int(chance.integers(0, max(1, len(data))))
        length = int(chance.integers(1, 60))
        what = int(chance.integers(0, 7))
        if what == 0 and data:
            data[at] ^= 1 << int(chance.integers(0, 8))
        elif what == 1:
            del data[at : at + length]
        elif what == 2:
            data[at:at] = data[at : at + length]
        elif what == 3:
            data[at : at + length] = chance.bytes(length)
        elif what == 4:
            evil = EVIL[int(chance.integers(0, len(EVIL)))]
            data[at : at + (len(evil) if chance.random() < 0.5 else 0)] = evil
        elif what == 5:
            del data[at:]
        else:  # a number becomes another one
            digits = [k for k, byte in enumerate(data) if 48 <= byte < 58]
            if digits:
                k = digits[int(chance.integers(0, len(digits)))]
                data[k : k + 1] = EVIL[int(chance.integers(5, 11))]
    return bytes(data)


@contextmanager
def limited() -> Iterator[None]:
    """Raise TimeoutError where the block takes longer than LIMIT."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attack(kind: Kind, folder: Path, cases: int, seed: int) -> Mapping[str, object]:
    """Read damaged files; return how many were refused, read, and what went wrong otherwise."""
    folder.mkdir()
    path = kind.make(folder)
    content = path.read_bytes()
    chance = np.random.default_rng(seed)
    refused, read, wrong, slowest = 0, 0, [], 0.0
    for case in range(cases):
        target = path
        if kind.sign is not None and chance.random() < 0.7:
            target = kind.sign(path, content, chance)
        else:
            path.write_bytes(damaged(content, chance))
        there = {p: p.stat().st_mtime_ns for p in folder.parent.rglob("*")}
        begin = time.perf_counter()
        try:
            with limited():
                kind.read(target)
            read += 1
        except InputError as error:
            refused += 1
            if not str(error).strip():
                wrong.append(f"case {case}: no message")
        except BaseException as error:  # SystemExit too
            wrong.append(f"case {case}: {type(error).__name__}: {error}"[:300])
        slowest = max(slowest, time.perf_counter() - begin)
        if {p: p.stat().st_mtime_ns for p in folder.parent.rglob("*")} != there:
            wrong.append(f"case {case}: wrote a file")
        if target != path:
            target.unlink()
    return {"refused": refused, "read": read, "wrong": wrong, "slowest": slowest}


# -- the kinds ------------------------------------------------------------------------------


def _model(folder: Path) -> Path:
    from networks import random_energy

    from fesurrogate.surrogate.model_file import save_model

    save_model(folder / "model.safetensors", random_energy(Kinematics(2, "finite")), {"x": 1})
    return folder / "model.safetensors"


def _read_model(path: Path) -> object:
    from fesurrogate.surrogate.model_file import load_network_material

    return load_network_material(path)


def _sign_model(path: Path, content: bytes, chance: np.random.Generator) -> Path:
    """Damage arrays or card, and write them with the checksum of what they hold."""
    import safetensors.numpy

    from fesurrogate.surrogate.weights_file import checksum

    arrays = safetensors.numpy.load(content)
    head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    card = _damaged_json(json.loads(head["__metadata__"]["card"]), chance)
    name = sorted(arrays)[int(chance.integers(len(arrays)))]
    what = chance.integers(4)
    if what == 0:
        arrays[name] = arrays[name].astype("float32")
    elif what == 1:
        arrays[name] = arrays[name].ravel()[: int(chance.integers(3))]
    elif what == 2:
        arrays[name] = arrays[name] * np.nan
    target = path.with_name("signed.safetensors")
    if isinstance(card, dict):
        card["checksum"] = checksum(card, arrays)
    target.write_bytes(safetensors.numpy.save(arrays, metadata={"card": json.dumps(card)}))
    return target


def _damaged_json(value: object, chance: np.random.Generator) -> object:
    """Replace something in what JSON can say by something else."""
    others = [None, -1, 10**30, 1e300, "", "../x", [], {}, [[]], True, {"a": 1}, "9" * 300]
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = sorted(value)[int(chance.integers(len(value)))]
        if chance.random() < 0.2:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: _damaged_json(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        k = int(chance.integers(len(value)))
        return [*value[:k], _damaged_json(value[k], chance), *value[k + 1 :]]
    return others[int(chance.integers(len(others)))]


def _sign_archive(path: Path, content: bytes, chance: np.random.Generator) -> Path:
    """Damage what an archive holds, and pack it anew."""
    target = path.with_name("signed.npz")
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    name = sorted(members)[int(chance.integers(len(members)))]
    if name.endswith(".json") and chance.random() < 0.8:
        facts = _damaged_json(json.loads(members[name]), chance)
        members[name] = json.dumps(facts).encode()
    else:
        begin = 0 if chance.random() < 0.5 else min(128, len(members[name]))
        members[name] = members[name][:begin] + damaged(members[name][begin:], chance)
    method = zipfile.ZIP_DEFLATED if chance.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", method) as new:
        for key, data in members.items():
            if chance.random() > 0.03:
                new.writestr(key if chance.random() > 0.03 else "../../x.npy", data)
    return target


def _field(folder: Path) -> Path:
    from fesurrogate.surrogate.field_file import save_field
    from fesurrogate.surrogate.field_operator import FieldOperator, FieldShape

    shape = FieldShape(2, 2, 4, 4, 2, width=3, waves=1, layers=1)
    save_field(folder / "field.safetensors", FieldOperator(shape), {"x": 1})
    return folder / "field.safetensors"


def _read_field(path: Path) -> object:
    from fesurrogate.surrogate.field_file import load_field

    return load_field(path)


def _cell_image(folder: Path) -> Path:
    from fesurrogate.surrogate.cell_image import CellImage, save_image

    places = np.random.default_rng(0).random((5, 2))
    image = CellImage(
        Kinematics(2, "finite"), ("fibre", "matrix"), np.full((2, 4, 4), 0.5), places, places[:1],
        np.ones((10, 4)), np.eye(2), 1.0, {"fibre.lame": 2.0}, "laws", "cell",
    )  # fmt: skip
    save_image(folder / "cell_image.npz", image)
    return folder / "cell_image.npz"


def _read_cell_image(path: Path) -> object:
    from fesurrogate.surrogate.cell_image import load_image

    image = load_image(path)
    return image.remainder(np.ones((3, 4)), np.ones((3, len(image.linear))))


def _guess(folder: Path) -> Path:
    from fesurrogate.warmstart import FluctuationModes
    from fesurrogate.warmstart.file import save_modes

    guess = FluctuationModes(
        Kinematics(2, "finite"), np.eye(3, dtype=np.int64), np.ones((3, 2)),
        modes=np.ones((2, 6)), centre=np.zeros(3), scale=np.ones(3),
    )  # fmt: skip
    save_modes(folder / "guess.npz", guess, "cell")
    return folder / "guess.npz"


def _read_guess(path: Path) -> object:
    from fesurrogate.warmstart.file import load_modes

    guess = load_modes(path, "cell")
    return guess.fluctuation(np.ones((3, guess.kinematics.size)), np.ones((3, 0)))


def _sign_arrays(path: Path, content: bytes, chance: np.random.Generator) -> Path:
    """Damage what a file of facts and arrays holds, and give it the checksum of that."""
    from fesurrogate.arrays_file import write_arrays

    if chance.random() < 0.3:
        return _sign_archive(path, content, chance)
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    facts = json.loads(str(arrays.pop("head")))
    del facts["checksum"]
    name = sorted(arrays)[int(chance.integers(len(arrays)))]
    what, array = chance.integers(6), arrays[name]
    if what == 0:
        arrays[name] = array.astype(["float16", "int8", "complex64", "U3"][chance.integers(4)])
    elif what == 1:
        arrays[name] = array.ravel()[: int(chance.integers(3))]
    elif what == 2:
        arrays[name] = np.full_like(array, 10**9)
    elif what == 3:
        arrays[name] = np.moveaxis(array[None], 0, -1)
    elif what == 4:
        arrays[name] = np.full(array.shape, np.nan)
    damaged_facts = _damaged_json(facts, chance)
    target = path.with_name("signed.npz")
    write_arrays(target, damaged_facts if isinstance(damaged_facts, dict) else facts, arrays)
    return target


def _dataset(folder: Path) -> Path:
    chance = np.random.default_rng(0)
    strain = chance.normal(size=(6, 2, 3))
    write_dataset(
        Dataset(
            Kinematics(2), strain, 2.0 * strain, None, np.ones((6, 2), dtype=bool),
            reports={"energy": strain[..., 0]},
        ),
        folder,
    )  # fmt: skip
    return next(folder.glob("*.h5"))


def _manifest(folder: Path) -> Path:
    _dataset(folder)
    return folder / "manifest.json"


def _sign_shard(path: Path, content: bytes, chance: np.random.Generator) -> Path:
    """Damage a shard, and name it by its checksum, in the manifest too."""
    data = damaged(content, chance)
    digest = hashlib.sha256(data).hexdigest()
    target = path.with_name(f"{path.name[:12]}-{digest[:16]}.h5")
    path.unlink(missing_ok=True)
    target.write_bytes(data)
    manifest = path.with_name("manifest.json")
    head = json.loads(manifest.read_text())
    manifest.write_text(_signed({**head, "shards": {target.name: digest}}))
    return target


def _signed(head: object) -> str:
    """Give a manifest the checksum of what it says."""
    from fesurrogate.data.manifest import _digest

    if isinstance(head, dict):
        head = {key: value for key, value in head.items() if key != "checksum"}
        head["checksum"] = _digest(head)
    return json.dumps(head)


def _sign_manifest(path: Path, content: bytes, chance: np.random.Generator) -> Path:
    path.write_text(_signed(_damaged_json(json.loads(content), chance)))
    return path


def _checkpoint(folder: Path) -> Path:
    with ArchiveWriter(folder) as sink:
        sink.add("cells", (4,), np.int64, iter([np.arange(4)]))
        sink.add("fields/0/state", (4, 3), float, iter([np.ones((4, 3))]))
        return sink.finish({"format": 1, "time": 0.5, "extra": {"a": [1]}}, "{digest}.npz")


def _read_checkpoint(path: Path) -> object:
    from fesurrogate.checkpoint.problem import _saved

    archive = read_archive(path)
    try:
        _saved(path, archive.facts, ["material"])
    except InputError:
        pass  # it has not all that a run's has
    for name in archive.arrays:
        try:
            list(archive.blocks(name))
            archive.array(name)
        except Exception as error:  # load_problem says so to all ranks
            raise InputError(f"{path}: {error}") from error
    return archive


def _failed_points(folder: Path) -> Path:
    region = {"name": "material", "count": 3, "kind": "linear", "dt": 1.0, "fingerprint": "a",
              "error": ""}  # fmt: skip
    widths = {"strain": 3, "accepted_strain": 3, "state": 2, "hint": 0, "parameters": 0,
              "coordinates": 2}  # fmt: skip
    with ArchiveWriter(folder) as sink:
        sink.add("0/cell", (3,), np.int64, iter([np.arange(3)]))
        for name, width in widths.items():
            sink.add(f"0/{name}", (3, width), float, iter([np.ones((3, width))]))
        facts = {"format": FORMAT, "time": 0.0, "source": "", "regions": [region]}
        return sink.finish(facts, "failed_points.npz")


def _mesh(folder: Path) -> Path:
    from test_cli import gmsh_square

    gmsh_square(folder / "square.msh", 2)
    return folder / "square.msh"


def _vtu(folder: Path) -> Path:
    import meshio

    points, cells = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), [("triangle", [[0, 1, 2]])]
    meshio.Mesh(points, cells).write(folder / "one.vtu")
    return folder / "one.vtu"


def _config(folder: Path) -> Path:
    from test_cli import PROBLEM

    (folder / "case.toml").write_text(PROBLEM)
    return folder / "case.toml"


def _labels() -> np.ndarray:  # (16, 12)
    """Return an image of two phases: a disc in a matrix."""
    row, column = np.mgrid[:16, :12]
    return np.where((row - 8) ** 2 + (column - 6) ** 2 < 16, 255, 0).astype(np.uint8)


def _png(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(_labels()).save(folder / "labels.png")
    return folder / "labels.png"


def _tiff(folder: Path) -> Path:
    from PIL import Image

    pages = [Image.fromarray(_labels()) for _ in range(3)]
    pages[0].save(folder / "labels.tif", save_all=True, append_images=pages[1:])
    return folder / "labels.tif"


def _npy(folder: Path) -> Path:
    np.save(folder / "labels.npy", _labels())
    return folder / "labels.npy"


def _sign_png(path: Path, content: bytes, chance: np.random.Generator) -> Path:
    """Damage chunks of a PNG, and give each the checksum of what it holds."""
    target, at, parts = path.with_name("signed.png"), 8, [content[:8]]
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        body = content[at + 4 : at + 8 + length]
        if chance.random() < 0.5:
            body = body[:4] + damaged(body[4:], chance)
        parts += [len(body[4:]).to_bytes(4, "big"), body, zlib.crc32(body).to_bytes(4, "big")]
        at += 12 + length
    target.write_bytes(b"".join(parts))
    return target


def _read_image(path: Path) -> object:
    from fesurrogate.micro.cells import image_cell

    return image_cell(path, phases={"matrix": 0, "fibre": 255})


KINDS = {
    "model": Kind(_model, _read_model, _sign_model),
    "field network": Kind(_field, _read_field, _sign_model),
    "cell image": Kind(_cell_image, _read_cell_image, _sign_arrays),
    "learned guess": Kind(_guess, _read_guess, _sign_arrays),
    "shard": Kind(_dataset, lambda path: read_dataset(path.parent), _sign_shard),
    "manifest": Kind(_manifest, lambda path: read_dataset(path.parent), _sign_manifest),
    "checkpoint": Kind(_checkpoint, _read_checkpoint, _sign_archive),
    "failed points": Kind(_failed_points, lambda path: read_failed_point(path, 1), _sign_archive),
    "mesh": Kind(_mesh, load_mesh_file),
    "compressed mesh": Kind(_vtu, load_mesh_file),
    "config": Kind(_config, read_config),
    "PNG of labels": Kind(_png, _read_image, _sign_png),
    "TIFF of labels": Kind(_tiff, _read_image),
    "NPY of labels": Kind(_npy, _read_image),
}
