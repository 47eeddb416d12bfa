"""Points spread over two ranks: ``mpirun -n 2 python -m benchmarks balance``.

All costly points, which flow, lie on rank 0; those of rank 1 stay elastic and take one iteration.
Efficiency is the time of all points on one rank over twice the time on two. On one rank there is
nothing to measure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from benchmarks.measure import report
from fesurrogate import Kinematics
from fesurrogate.combine import Balanced
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity
from fesurrogate.material import Material, Response
from fesurrogate.micro import RVEMaterial, hexagonal_packing, linear_elastic

POINTS = 120  # a rank
REPEATS = 5


def plastic_rve() -> RVEMaterial:
    """Return elastic fibres in a plastic matrix."""
    phases = {
        "matrix": J2Plasticity(2, young=70e3, poisson=0.33, yield_stress=250.0, hardening=500.0),
        "fibre": linear_elastic(young=400e3, poisson=0.2),
    }
    cell = hexagonal_packing(0.5, cell="rhombus", resolution=8)
    return RVEMaterial(cell, phases, Kinematics(2, "small"))


def main() -> None:
    """Print the figures."""
    comm = MPI.COMM_WORLD
    if comm.size != 2:
        if comm.rank == 0:
            print("# balance: run it as mpirun -n 2 python -m benchmarks balance", flush=True)
        return
    rve = plastic_rve()
    rng = np.random.default_rng(comm.rank)
    strain = (8e-3 if comm.rank == 0 else 1e-4) * rng.uniform(-1, 1, (POINTS, 3))
    everything = np.concatenate(comm.allgather(strain))
    nothing = everything[:0]
    balanced = Balanced(rve, comm)
    learned = balanced.evaluate(strain)  # what the points cost
    hint = np.zeros_like(learned.hint)
    hint[:, -1] = learned.hint[:, -1]  # cold, so that all ways solve the same

    ways: dict[str, Callable[[], Response]] = {
        "one": lambda: rve.evaluate(everything if comm.rank == 0 else nothing),
        "plain": lambda: rve.evaluate(strain),
        "balanced": lambda: balanced.evaluate(strain, hint=hint),
    }
    seconds = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, way in ways.items():
            comm.Barrier()
            begin = time.perf_counter()
            way()
            comm.Barrier()
            if repeat:
                seconds[name].append(time.perf_counter() - begin)
    median = {name: statistics.median(of) for name, of in seconds.items()}
    sent = balanced.wire_bytes
    answer = balanced.evaluate(strain, hint=hint)
    sent = comm.allreduce(balanced.wire_bytes - sent)
    moved = comm.allreduce(int(answer.report["moved"].sum()))
    apart = comm.allreduce(difference(answer.stress, rve, strain), op=MPI.MAX)
    if comm.rank:
        return
    iterations = learned.report["micro_iterations"].mean()
    detail = f"{2 * POINTS} points, {iterations:.1f} iterations on rank 0, on 2 ranks; "
    detail += f"{median['one']:.2f} s on one rank"
    for name, bar in (("plain", None), ("balanced", 0.85)):
        value = median["one"] / (2 * median[name])
        report(f"balance.efficiency_{name}", value, "1", bar=bar, least=True, detail=detail)
    detail = f"{moved} of {2 * POINTS} points moved; strain, state, hint there and all back"
    report("balance.wire_bytes_a_moved_point", sent / max(moved, 1), "B", detail=detail)
    report("balance.difference", apart, "1", bar=1e-10, detail="relative, of the stress")


def difference(stress: Array, material: Material, strain: Array) -> float:
    """Return how far stresses are from those of the Material itself, relative to the largest."""
    expected = material.evaluate(strain).stress
    return float(np.abs(stress - expected).max() / np.abs(expected).max())


if __name__ == "__main__":
    main()
