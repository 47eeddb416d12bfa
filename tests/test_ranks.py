"""Threads beside ranks."""

import os

import pytest
from mpi4py import MPI

from fesurrogate.build.ranks import threads_per_rank


@pytest.mark.mpi
def test_ranks_times_threads_do_not_exceed_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    threads, ranks = threads_per_rank(MPI.COMM_WORLD), MPI.COMM_WORLD.size
    assert threads >= 1
    assert threads * ranks <= cores or threads == 1
    assert threads_per_rank(None) == cores
