"""What asks a run to stop: SIGTERM of a batch system, Ctrl-C of a user."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals(*, loud: bool) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether this process was asked to stop within the block.

    The first signal is noted, and left to the program; the second one is a KeyboardInterrupt.

    Args:
        loud: Whether to say on the screen that the signal was noted.

    Note:
        Python sees a signal between two of its own steps: a long call of PETSc ends first. Outside
        the main thread nothing is changed.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)
        if loud:
            name = signal.Signals(number).name
            sys.stderr.write(f"{name}: stopping at the last increment; once more ends at once\n")
            sys.stderr.flush()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
