"""docs/config.md says what the code does: tables, keys, defaults, results, commands, options."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from fesurrogate.cli.common import app
from fesurrogate.config import Settings
from fesurrogate.config.cell import CELL_KEYS
from fesurrogate.config.material import MaterialSettings
from fesurrogate.config.phase import PHASES, PhaseSettings
from fesurrogate.results import HistoryEntry, Results

TEXT = (Path(__file__).parents[1] / "docs" / "config.md").read_text()
NO_KEY = object()
"""Default of a key that has none: it is required."""


def section(title: str) -> str:
    """Return the text under a heading, up to the next of its level."""
    level = title.split(" ")[0]
    return TEXT.split(f"\n{title}\n")[1].split(f"\n{level} ")[0]


def rows(text: str, columns: int) -> Iterator[list[str]]:
    """Give the cells of the rows of tables of so many columns, but the heads."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == columns and not set(line) <= set("|- :"):
            yield cells


def named(text: str) -> list[str]:
    """Return the bare words in code marks: keys, where values stand in quotes."""
    return re.findall(r"`(\w+)`", text)


def documented_tables() -> dict[str, dict[str, str]]:
    """Return what stands in the third column, by table and key."""
    found: dict[str, dict[str, str]] = {"": {}}
    parts = [
        ("", section("## Tables")),
        ("material.guard", section("### Trust")),
        ("material.learning", section("### Learning in the run")),
    ]
    for table, text in parts:
        found.setdefault(table, {})
        for key, _, default in rows(text, 3):
            if key.startswith("**"):
                table = key.strip("*`")
                assert table not in found, table
                found[table] = {}
            elif key != "key":
                for name in named(key):
                    assert name not in found[table], (table, name)
                    found[table][name] = default
    return found


def class_of(kind: Any) -> tuple[Any, bool]:
    """Return the dataclass in a type hint or None, and whether it stands under names."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return kind, False
    under_names = typing.get_origin(kind) is dict
    for part in typing.get_args(kind):
        found, under = class_of(part)
        if found is not None:
            return found, under or under_names
    return None, False


def tables_of(kind: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each table that is documented key by key, with the default of each key."""
    hints, own = typing.get_type_hints(kind), dict[str, Any]()
    for item in dataclasses.fields(kind):
        if not item.metadata.get("key", True):
            continue
        inner, under_names = class_of(hints[item.name])
        path = f"{where}.{item.name}".lstrip(".") + (".NAME" if under_names else "")
        if inner is MaterialSettings:
            if not under_names:
                yield from ((f"material.{k}", v) for k, v in material_tables())
            yield path, {}  # the section Materials has its keys
        elif inner is not None:
            yield from tables_of(inner, path)
        elif item.default_factory is not dataclasses.MISSING:
            own[item.name] = item.default_factory()
        else:
            own[item.name] = NO_KEY if item.default is dataclasses.MISSING else item.default
    yield where, own


def material_tables() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the tables of [material] that are documented key by key."""
    hints = typing.get_type_hints(MaterialSettings)
    for name in ("guard", "learning"):
        inner, _ = class_of(hints[name])
        yield name, {item.name: item.default for item in dataclasses.fields(inner)}


WANTED = dict(tables_of(Settings))


def test_the_walks_reach_the_tables() -> None:
    assert len(WANTED) > 25 and sum(map(len, WANTED.values())) > 100
    assert {"", "macro", "train.transfer", "precompute.axes.NAME", "material.guard"} <= set(WANTED)


def test_tables_are_those_that_are_read() -> None:
    read = {name for name, keys in WANTED.items() if keys or name.startswith(("mat", "reg"))}
    assert set(documented_tables()) == read


@pytest.mark.parametrize("table", sorted(WANTED))
def test_keys_and_defaults_are_those_that_are_read(table: str) -> None:
    found, wanted = documented_tables().get(table, {}), WANTED[table]
    assert set(found) == set(wanted)
    for key, said in found.items():
        default = wanted[key]
        if default is NO_KEY:
            assert said == "required", key
            continue
        assert said != "required", key
        try:
            value = tomllib.loads(f"value = {said.strip('`')}")["value"]
        except tomllib.TOMLDecodeError:  # words: what None, "" or nothing at all stands for
            assert not default and default is not False or key == "folder", (key, said, default)
            continue
        assert value == (list(default) if isinstance(default, tuple) else default), key


def test_keys_of_materials_are_those_that_are_read() -> None:
    text = section("## Materials")
    hints = typing.get_type_hints(MaterialSettings)
    assert {item.name for item in dataclasses.fields(MaterialSettings)} <= set(named(text))
    kinds = {row[0].strip('`"'): row[2] for row in rows(text.split("\n###")[0], 3)}
    known = {name: class_of(hint)[0] for name, hint in hints.items()}
    with_table = {
        name for name, kind in known.items() if kind and name not in ("guard", "learning")
    }
    assert with_table == set(kinds) - {"kind", "linearised_rve", "module:factory"}
    for kind in with_table:
        keys = {item.name for item in dataclasses.fields(known[kind])}
        said = set(named(kinds[kind]))
        assert keys == said, (kind, keys ^ said)


def test_keys_of_phases_and_cells_are_those_that_are_read() -> None:
    materials = named(section("## Materials"))
    assert {item.name for item in dataclasses.fields(PhaseSettings)} <= set(materials)
    assert all(f'`"{kind}"`' in section("## Materials") for kind in PHASES)
    text = section("### Cells")
    cells = {row[0].strip('`"'): row[1] for row in rows(text, 3) if row[0] != "`kind`"}
    assert set(cells) == set(CELL_KEYS)
    for kind, (needed, options) in CELL_KEYS.items():
        said = set(named(cells[kind]))
        if "the same in 3D" in cells[kind]:
            said |= set(named(cells["random_fibres"]))
        assert said == {*needed, *options} - {"geometry_degree"}, kind  # said below the table


def test_results_are_those_that_are_written() -> None:
    found = {row[0].strip("`"): row[1] for row in rows(section("## results.json"), 2)}
    wanted = {item.name: item.type for item in dataclasses.fields(Results)}
    assert set(found) - {"key", "format"} == set(wanted)
    hints = typing.get_type_hints(Results)
    for name in wanted:
        lacking = set(keys_in(hints[name], of=name)) - set(named(found[name]))
        assert not lacking, (name, lacking)


def keys_in(kind: Any, *, of: str) -> Iterator[str]:
    """Give the keys of all dataclasses in a type hint, but of increments said elsewhere."""
    if kind is HistoryEntry and of != "history":
        return
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        for name, hint in typing.get_type_hints(kind).items():
            yield name
            yield from keys_in(hint, of=of)
    for part in typing.get_args(kind):
        yield from keys_in(part, of=of)


def test_commands_and_their_options_are_those_there_are() -> None:
    block = re.search(r"```\n(fesurrogate .*?)```", section("## Command line"), re.DOTALL)
    assert block
    found: dict[str, set[str]] = {}
    for line in block[1].splitlines():
        found[line.split()[1]] = set(re.findall(r"--[\w-]+", line))
    commands: Mapping[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    options = {
        name: {opt for each in command.params for opt in each.opts if opt.startswith("--")}
        for name, command in commands.items()
    }
    assert found == {name: opts - {"--help"} for name, opts in options.items()}
