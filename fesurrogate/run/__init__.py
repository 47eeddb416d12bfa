"""One run: from the first increment to its files, its checkpoints, and what it is worth."""

from fesurrogate.run.command import Run, run
from fesurrogate.run.recorder import largest_stretch, reported, stress_magnitude

__all__ = ["Run", "largest_stretch", "reported", "run", "stress_magnitude"]
