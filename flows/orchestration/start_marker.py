"""A file that marks a started run, written before anything else is imported and removed when the command ends.

A run that is killed in its first seconds leaves no other trace, and a resume would go on with the run before it.
"""

import sys
from contextlib import suppress
from pathlib import Path


def _path() -> Path:
    from churn.settings.environment import STATE

    return STATE / "started" / Path(sys.argv[0]).stem


def put() -> None:
    """Write it, if this command is the run of a flow."""
    if "run" in sys.argv[1:] and "step" not in sys.argv and sys.argv[0].endswith("_flow.py"):
        with suppress(OSError):  # where nothing can be written, the run is refused, and says why
            _path().parent.mkdir(parents=True, exist_ok=True)
            _path().touch()


def remove() -> None:
    """Remove it: the command ends by itself."""
    if "run" in sys.argv[1:] and sys.argv[0].endswith("_flow.py"):
        with suppress(OSError):
            _path().unlink(missing_ok=True)


def newer_than(latest: Path) -> bool:
    """Whether a run was started, and killed, after Metaflow had noted its ``latest`` one in that file."""
    return _path().is_file() and latest.is_file() and _path().stat().st_mtime_ns > latest.stat().st_mtime_ns
