"""Materials that learn: where a surrogate fell back, its samples come from; accepts refine it."""

from fesurrogate.learning.history import LearningPaths
from fesurrogate.learning.material import Learning
from fesurrogate.learning.untaught import Untaught, untaught

__all__ = ["Learning", "LearningPaths", "Untaught", "untaught"]
