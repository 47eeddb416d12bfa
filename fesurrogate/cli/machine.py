"""The command that looks at the machine: doctor."""

from __future__ import annotations

from fesurrogate.cli.common import app


@app.command()
def doctor() -> tuple[int, str]:
    """Print what was found on this machine, and what to mend."""
    from fesurrogate.doctor import doctor as examine

    return int(examine() or 0), ""
