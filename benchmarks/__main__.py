"""``python -m benchmarks [SUBJECT ...]``: run the named subjects, or all."""

import importlib
import sys

SUBJECTS = (
    "rve",
    "twin",
    "network",
    "speed",
    "step",
    "memory",
    "scaling",
    "linear",
    "balance",
    "history",
    "uncertainty",
    "active",
    "guard",
    "learning",
    "learning_history",
    "robustness",
    "table",
    "storage",
    "warmstart",
    "field_guess",
    "guess_samples",
    "mode_step",
    "warmstart_macro",
    "increments",
)


def main() -> int:
    """Run what the command line names; return the exit code."""
    wanted = sys.argv[1:] or list(SUBJECTS)
    unknown = [name for name in wanted if name not in SUBJECTS]
    if unknown:
        print(f"error: no subject {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
        return 2
    for name in wanted:
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


sys.exit(main())
