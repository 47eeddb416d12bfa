"""A progress bar on a terminal, plain lines with the same figures elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Takes the number of steps done since the last call, and a short note to show beside them."""

    def __call__(self, count: int, note: str = "") -> None:
        """Advance the bar."""


SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress_bar(
    title: str,
    total: int,
    *,
    unit: str = "points",
    enabled: bool = True,
) -> Iterator[Advance]:
    """Give a function that advances the bar; the bar ends with the block.

    Args:
        title: Shown before the bar.
        total: Number of steps that make a full bar.
        unit: What a step is, for the rate.
        enabled: False gives a function that does nothing.
    """
    if not enabled:
        yield _silent
    elif sys.stderr.isatty():
        with _rich_bar(title, total, unit) as advance:
            yield advance
    else:
        yield _plain_lines(title, total, unit)


def tell(text: str, *, enabled: bool = True) -> None:
    """Write a line to where the bars are."""
    if enabled:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _silent(count: int, note: str = "") -> None:
    """Show nothing."""


@contextmanager
def _rich_bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining
    except ImportError:
        yield _plain_lines(title, total, unit)
        return
    start = time.perf_counter()
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.3g} " + unit + "/s"), Remaining(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, rate=0.0, note="")
        done = 0

        def advance(count: int, note: str = "") -> None:
            nonlocal done
            done += count
            rate = done / max(time.perf_counter() - start, 1e-9)
            bar.update(task, advance=count, rate=rate, note=note)

        yield advance


def _plain_lines(title: str, total: int, unit: str) -> Advance:
    start = last = time.perf_counter()
    done = 0

    def advance(count: int, note: str = "") -> None:
        nonlocal done, last
        if count == 0:
            return
        first = done == 0
        done += count
        now = time.perf_counter()
        if not (first or done >= total or now - last >= SECONDS_BETWEEN_LINES):
            return
        last = now
        rate = done / max(now - start, 1e-9)
        filled = int(20 * min(done / max(total, 1), 1.0))
        sys.stderr.write(
            f"{title} [{'#' * filled}{'-' * (20 - filled)}] {done}/{total}  "
            f"{rate:.3g} {unit}/s  {max(total - done, 0) / rate:.0f} s left  {note}".rstrip()
            + "\n"
        )
        sys.stderr.flush()

    return advance
