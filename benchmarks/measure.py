"""Timing and reporting, the same for every subject."""

import json
import statistics
import time
from collections.abc import Callable


def medians(
    actions: dict[str, Callable[[], object]],
    repeats: int = 7,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median seconds of each action; they alternate, after one run to warm up.

    What runs on one thread may be timed by ``time.process_time``, which does not count the time
    that other programs take.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for repeat in range(repeats + 1):
        for name, action in actions.items():
            begin = clock()
            action()
            if repeat:
                times[name].append(clock() - begin)
    return {name: statistics.median(of) for name, of in times.items()}


def report(
    name: str,
    value: float,
    unit: str,
    *,
    bar: float | None = None,
    least: bool = False,
    detail: str = "",
) -> None:
    """Print one figure; ``bar`` is the largest value that holds, or the least."""
    holds = None if bar is None else value >= bar if least else value <= bar
    shown = float(f"{value:.4g}")
    line = {"name": name, "value": shown, "unit": unit, "bar": bar, "holds": holds}
    print(json.dumps({**line, "detail": detail}), flush=True)
