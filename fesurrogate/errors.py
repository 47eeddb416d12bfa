"""The exceptions a user can cause; each says what was given, what was expected and what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: a key, a file, a shape or a constant that cannot be used.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """


class MissingPackageError(InputError, ImportError):
    """A package that this operation needs is not installed; the message names the command."""


class ConvergenceError(RuntimeError):
    """The macro problem did not converge at the smallest load step (exit code 3)."""


class MaterialError(RuntimeError):
    """A Material that communicates raised, on all ranks together: its points have failed."""


class Interrupted(RuntimeError):
    """The run was asked to stop, and can be continued from its checkpoint (exit code 4)."""
