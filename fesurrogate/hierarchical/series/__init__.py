"""A quantity of a table by other means: each in a series of sizes, from few numbers to many."""

from fesurrogate.hierarchical.series.candidates import TRAINED, Candidates
from fesurrogate.hierarchical.series.judge import Candidate, Judge

__all__ = ["TRAINED", "Candidate", "Candidates", "Judge"]
