"""Nothing is lost, nothing hangs: runs killed at random moments, and hostile files."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import report

KILLS = 100
CASES = 2000
TESTS = Path(__file__).parents[1] / "tests"

KILLING = """
import sys, killing
killing.main(sys.argv[1], int(sys.argv[2]), seed=7)
"""
READING = """
import json, sys
from pathlib import Path
from hostile import KINDS, attack
for name, count in zip(KINDS, json.loads(sys.argv[2])):
    print(json.dumps([name, attack(KINDS[name], Path(sys.argv[1]) / name, count, seed=11)]))
"""
KINDS = 11  # of files in tests/hostile.py


def main() -> None:
    """Kill and restart runs; read damaged files. Each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        found = json.loads(_started(KILLING, folder, str(KILLS))[-1])
    detail = (
        f"kill -9 at random moments, {found['working']} of {found['kills']} after an increment, "
        f"{found['runs']} runs; {found['lost']} lost an increment"
    )
    bad = found["lost"] + (not found["same"]) + (found["kills"] < KILLS)
    report("kills after which a run is not whole", bad, "kills", bar=0, detail=detail)
    counts = [CASES // KINDS] * KINDS
    with tempfile.TemporaryDirectory() as folder:
        results = [json.loads(line) for line in _started(READING, folder, json.dumps(counts))]
    for name, one in results:
        said = f"{one['refused']} refused, {one['read']} read, slowest {one['slowest']:.2g} s"
        report(f"hostile {name}", len(one["wrong"]), "files", bar=0,
               detail="; ".join([said, *one["wrong"][:3]]))  # fmt: skip
    total = sum(one["refused"] + one["read"] for _, one in results)
    report("hostile files read", total, "files", bar=sum(counts), least=True)


def _started(program: str, *arguments: str) -> list[str]:
    """Return the lines that a Python program prints."""
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if line[:1] in "[{"]
