"""A dataset survives its folder, a kill at any moment, and refuses what is not it."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.lock import locked
from fesurrogate.data.manifest import NAME, Manifest, read_manifest
from fesurrogate.data.sampling import stretches
from fesurrogate.data.shard import Shard, read_shard, write_shard
from fesurrogate.data.store import Writer, begin, finish, new_uid, read_dataset, write_dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import NeoHookean

h5py = pytest.importorskip("h5py")

LAW = NeoHookean(2, shear_modulus=1.0, lame=2.0)


@pytest.fixture
def dataset() -> Dataset:
    """Return 10 points with a failed one, units, a scalar report and a micro field."""
    made = generate(LAW, stretches(LAW.kinematics, 10, 0.2), meta={"seed": 0})
    field = np.random.default_rng(0).standard_normal((10, 1, 7, 2)).astype(np.float32)
    made = replace(made, units="mm, MPa", reports={**made.reports, "fluctuation": field})
    failed = np.zeros((10, 1), dtype=bool)
    failed[2] = True
    return made.without(failed)


def the_shard(folder: Path) -> Path:
    return next(folder.glob("*.h5"))


def test_round_trip(tmp_path: Path, dataset: Dataset) -> None:
    write_dataset(dataset, tmp_path / "data")
    again = read_dataset(tmp_path / "data", LAW.kinematics, units="mm, MPa")
    for (name, mine), (other, theirs) in zip(dataset.arrays(), again.arrays(), strict=True):
        assert name == other and mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    assert again.kinematics == dataset.kinematics
    assert again.fingerprint == dataset.fingerprint
    assert again.meta["seed"] == 0 and again.failed == 1
    assert np.isnan(again.stress[2]).all() and np.isnan(again.reports["fluctuation"][2]).all()
    with h5py.File(the_shard(tmp_path / "data")) as file:
        assert file["reports/fluctuation"].compression == "gzip" and file["strain"].chunks is None
    kinds = {path.suffix for path in (tmp_path / "data").iterdir()}
    assert kinds == {".h5", ".json", ""} and not list(tmp_path.rglob("*.tmp"))


def test_a_dataset_replaces_another(tmp_path: Path, dataset: Dataset) -> None:
    write_dataset(dataset, tmp_path)
    other = dataset.take(slice(0, 4))
    write_dataset(other, tmp_path)
    assert read_dataset(tmp_path).fingerprint == other.fingerprint
    assert len(list(tmp_path.glob("*.h5"))) == 1


def edited(change: Callable[[dict], None], *, sign: bool = True) -> Callable[[Path], None]:
    """Return a change of the manifest, its checksum put right as somebody hostile would."""

    def edit(folder: Path) -> None:
        content = json.loads((folder / NAME).read_text())
        change(content)
        if sign:
            content.pop("checksum", None)
            text = json.dumps(content, sort_keys=True).encode()
            content["checksum"] = hashlib.sha256(text).hexdigest()
        (folder / NAME).write_text(json.dumps(content))

    return edit


def reshaped(change: Callable[[Any], None]) -> Callable[[Path], None]:
    """Return a change of the shard, all checksums put right as somebody hostile would."""

    def edit(folder: Path) -> None:
        old = the_shard(folder)
        with h5py.File(old, "r+") as file:
            change(file)
        digest = hashlib.sha256(old.read_bytes()).hexdigest()
        new = f"{old.name.partition('-')[0]}-{digest[:16]}.h5"
        old.rename(folder / new)
        edited(lambda content: content.update(shards={new: digest}))(folder)

    return edit


def cut(length: Callable[[int], int], name: str = "*.h5") -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = next(folder.glob(name))
        content = path.read_bytes()
        path.write_bytes(content[: length(len(content))])

    return edit


def flipped(folder: Path) -> None:
    content = bytearray(the_shard(folder).read_bytes())
    content[len(content) // 2] ^= 1
    the_shard(folder).write_bytes(content)


def linked(file: Any) -> None:
    del file["stress"]
    file["stress"] = h5py.ExternalLink("/etc/hostname", "/")


def outside(file: Any) -> None:
    shape = file["stress"].shape
    del file["stress"]
    file.create_dataset("stress", shape, "f8", external=[("/etc/hostname", 0, 320)])


def huge(file: Any) -> None:
    del file["stress"]
    file.create_dataset("stress", (10**6, 10**6, 4), "f8", chunks=True)


def objects(file: Any) -> None:
    del file["stress"]
    file.create_dataset("stress", data=["import os"] * 10)


def fewer(file: Any) -> None:
    paths = file["paths"][()]
    paths[3] = 4
    file["paths"][...] = paths


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (shutil.rmtree, "does not exist"),
    "format": (edited(lambda c: c.update(format="another 3")), "another 3"),
    "convention": (edited(lambda c: c.update(convention="Voigt")), "Voigt"),
    "measure": (edited(lambda c: c["kinematics"].update(measure="small")), "small|components"),
    "gdim": (edited(lambda c: c["kinematics"].update(gdim=7)), "gdim"),
    "unsigned edit": (edited(lambda c: c.update(units="psi"), sign=False), "checksum"),
    "no JSON": (cut(lambda n: n // 2, NAME), "no JSON"),
    "empty manifest": (cut(lambda n: 0, NAME), "no JSON"),
    "deep manifest": (lambda p: (p / NAME).write_text("[" * 10**5) and None, "no JSON"),  # type: ignore[dict-item]
    "list": (lambda p: (p / NAME).write_text("[]") and None, "format 'list'"),  # type: ignore[dict-item]
    "unknown key": (edited(lambda c: c.update(code="x")), "incomplete"),
    "no key": (edited(lambda c: c.pop("uid")), "incomplete"),
    "wrong type": (edited(lambda c: c.update(paths="10")), "type"),
    "negative": (edited(lambda c: c.update(paths=-1)), "type"),
    "more paths": (edited(lambda c: c.update(paths=11)), "11 paths"),
    "far more paths": (edited(lambda c: c.update(paths=10**15)), "inconsistent"),
    "no number": (edited(lambda c: c.update(increments=10**400)), "type"),
    "elsewhere": (edited(lambda c: c.update(shards={"../x.h5": "0"})), "type"),
    "unfinished": (edited(lambda c: c.update(complete=False)), "unfinished"),
    "shard missing": (lambda p: the_shard(p).unlink(), "is missing"),
    "shard empty": (cut(lambda n: 0), "damaged"),
    "shard halved": (cut(lambda n: n // 2), "damaged"),
    "shard less a byte": (cut(lambda n: n - 1), "damaged"),
    "shard flipped": (flipped, "damaged"),
    "external link": (reshaped(linked), "is a link"),
    "external data": (reshaped(outside), "not in the file"),
    "huge": (reshaped(huge), "not in the file"),
    "objects": (reshaped(objects), "no array of numbers"),
    "array missing": (reshaped(lambda f: f.__delitem__("ok")), "inconsistent"),
    "other shape": (reshaped(lambda f: (f.__delitem__("ok"), f.create_dataset("ok", data=[True]))),
                    "inconsistent"),
    "path missing": (reshaped(fewer), "inconsistent"),
    "not its dataset": (reshaped(lambda f: f.attrs.update(dataset="x")), "another dataset"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_and_hostile_datasets_are_refused(
    tmp_path: Path, dataset: Dataset, damage: str
) -> None:
    place = tmp_path / "data"
    write_dataset(dataset, place)
    edit, named = DAMAGES[damage]
    edit(place)
    with pytest.raises(InputError, match=named) as caught:
        read_dataset(place)
    assert str(place) in str(caught.value) and "\n" not in str(caught.value)


def test_bytes_at_random_are_read_or_refused(tmp_path: Path, dataset: Dataset) -> None:
    """Whoever signs a damaged shard anew gets a message, or a dataset, and nothing else."""
    write_dataset(dataset, tmp_path / "whole")
    random = np.random.default_rng(7)
    refused = 0
    for _ in range(100):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "data")
        old = the_shard(tmp_path / "data")
        content = np.frombuffer(old.read_bytes(), np.uint8).copy()
        places = random.integers(0, random.choice([200, 3000, len(content)]), random.integers(1, 9))
        content[places] = random.integers(0, 256, len(places))
        digest = hashlib.sha256(content).hexdigest()
        new = f"{old.name.partition('-')[0]}-{digest[:16]}.h5"
        old.unlink()
        (tmp_path / "data" / new).write_bytes(content)
        edited(lambda content, new=new, digest=digest: content.update(shards={new: digest}))(
            tmp_path / "data"
        )
        try:
            read_dataset(tmp_path / "data")
        except InputError:
            refused += 1
    assert refused > 20


def test_what_the_caller_does_not_want_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    write_dataset(dataset, tmp_path / "data")
    with pytest.raises(InputError, match="made under"):
        read_dataset(tmp_path / "data", Kinematics(3))
    with pytest.raises(InputError, match="'mm, MPa'; expected 'psi'"):
        read_dataset(tmp_path / "data", units="psi")


def test_a_foreign_shard_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    write_dataset(dataset, tmp_path / "one")
    write_dataset(dataset.take(slice(0, 5)), tmp_path / "two")
    foreign = the_shard(tmp_path / "two")
    shutil.copy(foreign, tmp_path / "one")
    with pytest.raises(InputError, match="move it away"):
        read_dataset(tmp_path / "one")
    (tmp_path / "one" / foreign.name).unlink()
    mine = the_shard(tmp_path / "one")
    shutil.copy(foreign, mine)  # under the name of the right one
    with pytest.raises(InputError, match="damaged"):
        read_dataset(tmp_path / "one")


def head(paths: int) -> Manifest:
    return Manifest(new_uid(), "what is asked", LAW.kinematics, paths, 1)


def part(dataset: Dataset, *paths: int) -> Shard:
    rows = np.array(paths)
    arrays = {"strain": dataset.strain, "stress": dataset.stress, "tangent": dataset.tangent,
              "ok": dataset.ok, "parameters": dataset.parameters}  # fmt: skip
    return Shard(rows, {name: array[rows] for name, array in arrays.items()}, {}, 1.0)


def test_a_store_takes_up_what_was_written(
    tmp_path: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    begun, missing = begin(tmp_path, head(10))
    np.testing.assert_array_equal(missing, np.arange(10))
    write_shard(tmp_path, begun.uid, part(dataset, 1, 2, 7))
    lost, _ = write_shard(tmp_path, begun.uid, part(dataset, 4, 5))
    (tmp_path / ".half.tmp").write_bytes(b"half a shard")
    (tmp_path / lost).write_bytes(b"")  # a disk that lies
    with pytest.raises(InputError, match="unfinished"):
        read_dataset(tmp_path)
    with caplog.at_level(logging.WARNING):
        again, missing = begin(tmp_path, head(10))
    assert again.uid == begun.uid and lost in caplog.text
    np.testing.assert_array_equal(missing, [0, 3, 4, 5, 6, 8, 9])
    assert not list(tmp_path.glob("*.tmp"))
    with pytest.raises(InputError, match="7 of 10 paths are missing"):
        finish(tmp_path, again)
    writer = Writer(tmp_path, again.uid, lambda: False)
    writer.add(part(dataset, 0, 3, 4, 5))
    writer.add(part(dataset, 6, 8, 9))
    assert len(list(tmp_path.glob("*.h5"))) == 1  # not due
    writer.flush()
    write_shard(tmp_path, again.uid, part(dataset, 7, 8))  # once more, by a rank that lived on
    whole = finish(tmp_path, again)
    assert len(whole.shards) == len(list(tmp_path.glob("*.h5")))
    read = read_dataset(tmp_path)
    np.testing.assert_array_equal(read.stress, dataset.stress)
    assert read.meta["failed"] == 1
    # fewer samples are the first of them, more keep what is there
    fewer, missing = begin(tmp_path, head(4))
    assert len(missing) == 0
    finish(tmp_path, fewer)
    np.testing.assert_array_equal(read_dataset(tmp_path).stress, dataset.stress[:4])
    more, missing = begin(tmp_path, head(12))
    np.testing.assert_array_equal(missing, [10, 11])
    # another request, or a fresh start, keeps nothing
    other, missing = begin(tmp_path, replace(head(10), request="else"))
    assert other.uid != more.uid and len(missing) == 10 and not list(tmp_path.glob("*.h5"))


def test_a_kill_while_one_dataset_replaces_another_blocks_nothing(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(dataset, tmp_path)
    wanted = head(10)

    removed = Path.unlink

    def killed(path: Path, **options: Any) -> None:
        if path.suffix == ".h5":
            raise KeyboardInterrupt
        removed(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        for other in (wanted, replace(head(10), request="else")):
            with pytest.raises(KeyboardInterrupt):
                begin(tmp_path, other)
    assert read_manifest(tmp_path).discard and list(tmp_path.glob("*.h5"))
    begun, missing = begin(tmp_path, wanted)
    assert len(missing) == 10 and not list(tmp_path.glob("*.h5"))


def test_two_kills_leave_the_dataset_that_was_there(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its shard written, and the manifest not."""
    write_dataset(dataset, tmp_path)
    write = Manifest.write

    def killed(self: Manifest, folder: Path) -> None:
        if self.complete and self.discard and len(self.shards) and self.paths == 5:
            raise KeyboardInterrupt
        write(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "write", killed)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                write_dataset(dataset.take(slice(0, 5)), tmp_path)
            np.testing.assert_array_equal(read_dataset(tmp_path).stress, dataset.stress)
    write_dataset(dataset.take(slice(0, 5)), tmp_path)
    assert len(read_dataset(tmp_path)) == 5 and len(list(tmp_path.glob("*.h5"))) == 1


def test_one_writer_at_a_time(tmp_path: Path, dataset: Dataset) -> None:
    with locked(tmp_path):
        with pytest.raises(InputError, match="is being written by process"):
            write_dataset(dataset, tmp_path)
    write_dataset(dataset, tmp_path)


def test_a_shard_is_checked_before_it_is_opened(tmp_path: Path, dataset: Dataset) -> None:
    name, digest = write_shard(tmp_path, "abc", part(dataset, 0, 1))
    shard, found = read_shard(tmp_path / name, "abc")
    assert found == digest and shard.seconds == 1.0
    np.testing.assert_array_equal(shard.arrays["strain"], dataset.strain[:2])
    with pytest.raises(InputError, match="damaged"):
        read_shard(tmp_path / name, "abd")
