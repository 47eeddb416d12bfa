"""What memory this process uses, what its machine has left, and whether a run fits into it."""

from __future__ import annotations

import os
import platform
import resource
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fesurrogate.errors import InputError

GROUPS = {  # controllers in /proc/self/cgroup: folder, limit, usage, what may be dropped of it
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a run needs at its peak, on one rank or on all.

    Attributes:
        process: What the process uses without the rest: Python, libraries, mesh, cells.
        points: Strain, stress, tangent, state and hint at the quadrature points, all copies.
        macro: The macro matrix and its factors or preconditioner.
        micro: The factors of the cells, one a Material.
    """

    process: int
    points: int
    macro: int
    micro: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.process + self.additional

    @property
    def additional(self) -> int:
        """What is not allocated yet."""
        return self.points + self.macro + self.micro

    def summed(self, comm: Any) -> MemoryEstimate:
        """Return the estimate of all ranks. Collective."""
        return MemoryEstimate(*(comm.allreduce(getattr(self, f.name)) for f in fields(self)))

    def __str__(self) -> str:
        parts = ", ".join(f"{f.name} {readable(getattr(self, f.name))}" for f in fields(self))
        return f"{readable(self.total)} ({parts})"


def readable(size: float) -> str:
    """Return a number of bytes as one reads it, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            break
        size /= 1000.0
    return f"{size:.3g} {unit}"


def resident_bytes() -> int:
    """Return what this process has in memory now; where there is no /proc, its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """Return the most that this process has had in memory so far.

    Linux counts in ``ru_maxrss`` what the process that started this one had, and in /proc it does
    not.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def available_bytes(
    proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Return what this machine, or the control group of this process, has left; None if unknown.

    Args:
        proc: Where Linux tells about processes.
        groups: Where it tells about control groups, of version 1 or 2.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        left = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines, left = [], []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for name in set(controllers.split(",")) & set(GROUPS):
            root, limit, usage, spare = GROUPS[name]
            folder = groups / root
            for part in ("", *path.strip("/").split("/")):  # a parent may be tighter
                folder = folder / part
                left += _left_in_group(folder, limit, usage, spare)
    return min(left, default=None)


def _left_in_group(folder: Path, limit: str, usage: str, spare: str) -> list[int]:
    try:
        most, used = ((folder / name).read_text().strip() for name in (limit, usage))
        rows = [line.split() for line in (folder / "memory.stat").read_text().splitlines()]
    except OSError:
        return []
    dropped = sum(int(value) for name, value in rows if name == spare)
    return [] if most == "max" else [max(0, int(most) - int(used) + dropped)]


def beside_peak(estimate: MemoryEstimate, comm: Any) -> dict[str, int]:
    """Return the estimate of all ranks with its parts, beside their peaks. Collective."""
    whole = estimate.summed(comm)
    peak = comm.allreduce(peak_bytes())
    return {"estimate": whole.total, **asdict(whole), "peak": peak}


def check_fits(estimate: MemoryEstimate, comm: Any) -> None:
    """Refuse a run that needs more than a node has left. Collective.

    Args:
        estimate: Of this rank; ``additional`` counts, on all ranks of a node together.
        comm: An mpi4py communicator.

    Raises:
        InputError: On all ranks, with the same message.
    """
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    needed, ranks = node.allreduce(estimate.additional), node.size
    available = node.bcast(available_bytes())
    node.Free()
    short = available is not None and needed > available
    text = "" if available is None else readable(available)
    note = (readable(needed), text, ranks, platform.node()) if short else None
    found = [given for given in comm.allgather(note) if given]
    if found:
        needed_text, left, count, name = found[0]
        raise InputError(
            f"the run would need about {needed_text} more on {name}, where {count} of its ranks "
            f"are, and {left} are available (all ranks: {estimate.summed(comm)}): use more nodes, "
            "a coarser mesh or cell, a network in place of the cell, or, for a large macro matrix, "
            "-macro_ksp_type cg -macro_pc_type gamg"
        )
