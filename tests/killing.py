"""Kills runs of the plate at random moments and restarts them, until as many as wanted were killed.

Processes are forked from one that has imported everything: a run is a fraction of a second.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
from faults import PLATE
from mpi4py import MPI

from fesurrogate.checkpoint.store import Store
from fesurrogate.config import Settings, read_config
from fesurrogate.run import run


def main(folder: str, kills: int, seed: int = 1) -> None:
    """Print how many were killed, how many increments were lost, and whether the ends agree.

    ``working`` are the kills of processes that had accepted an increment: most of the time of these
    goes into writing.
    """
    place = Path(folder)
    text = PLATE.replace("degree = 3", "degree = 1").replace("increments = 4", "increments = 40")
    (place / "plate.toml").write_text(text)
    settings = read_config(place / "plate.toml")
    whole = run(settings, MPI.COMM_SELF, place / "whole", allow_code=True)
    begin = time.perf_counter()
    run(settings, MPI.COMM_SELF, place / "second", allow_code=True)
    duration = time.perf_counter() - begin
    chance, killed, lost, same, runs, working = random.Random(seed), 0, 0, True, 0, 0
    while killed < kills:
        output = place / f"run{runs}"
        runs, reached, ended = runs + 1, 0.0, False
        while not ended:
            limit = chance.uniform(0.0, 1.2 * duration) if killed < kills else None
            ended = _run(settings, output, limit)
            killed += not ended
            working += not ended and _noted(output) > reached
            newest = Store(output / "checkpoint").newest()  # raises where all are damaged
            time_kept = newest.facts["time"] if newest else 0.0
            noted = _noted(output)
            lost += time_kept < max(reached, noted)
            reached = time_kept
        final = run(settings, MPI.COMM_SELF, output, allow_code=True, restart=True)
        same &= bool(np.array_equal(final.model.u.x.array, whole.model.u.x.array))
        same &= final.results.history == whole.results.history
        shutil.rmtree(output)
    found = {"kills": killed, "working": working, "lost": lost, "same": same, "runs": runs}
    print(json.dumps(found))


def _run(settings: Settings, output: Path, limit: float | None) -> bool:
    """Go on with a run in a process of its own; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            _child(settings, output)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(7)
    begin = time.perf_counter()
    while True:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            assert os.waitstatus_to_exitcode(status) == 0, "a restart failed"
            return True
        if limit is not None and time.perf_counter() - begin > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.001)


def _child(settings: Settings, output: Path) -> None:
    """Run; note the time of an increment as soon as its checkpoint is said to be written."""
    import fesurrogate.run.checkpoint as module

    real = module.save_problem

    def noted(store, problem, fields, saved, **options):  # type: ignore[no-untyped-def]
        path = real(store, problem, fields, saved, **options)
        with open(output / "noted", "ab", buffering=0) as file:
            file.write(np.float64(saved.position.time).tobytes())
        return path

    module.save_problem = noted
    run(settings, MPI.COMM_SELF, output, allow_code=True, restart=True)


def _noted(output: Path) -> float:
    path = output / "noted"
    return float(np.frombuffer(path.read_bytes()).max(initial=0.0)) if path.exists() else 0.0
