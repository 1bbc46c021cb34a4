"""A note that a run has begun, written before anything else is imported and taken back when the command ends.

A run that is killed in its first seconds leaves no other trace, and a resume would go on with the run before it.
"""

import sys
from contextlib import suppress
from pathlib import Path


def _note() -> Path:
    from churn.settings.environment import STATE

    return STATE / "begun" / Path(sys.argv[0]).stem


def note() -> None:
    """Write it, if this command is the run of a flow."""
    if "run" in sys.argv[1:] and "step" not in sys.argv and sys.argv[0].endswith("_flow.py"):
        with suppress(OSError):  # where nothing can be written, the run is refused, and says why
            _note().parent.mkdir(parents=True, exist_ok=True)
            _note().touch()


def forget() -> None:
    """Take it back: the command ends by itself."""
    if "run" in sys.argv[1:] and sys.argv[0].endswith("_flow.py"):
        with suppress(OSError):
            _note().unlink(missing_ok=True)


def since(latest: Path) -> bool:
    """Whether a run was begun, and killed, after Metaflow had noted its ``latest`` one in that file."""
    return _note().is_file() and latest.is_file() and _note().stat().st_mtime_ns > latest.stat().st_mtime_ns
