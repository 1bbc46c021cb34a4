"""A file that marks a started run, written before anything else is imported and removed when the command ends.

A run killed in its first seconds leaves no other trace, and a resume would continue the run before it.
"""

import sys
from contextlib import suppress
from pathlib import Path


def _path() -> Path:
    from churn.settings.environment import STATE

    return STATE / "started" / Path(sys.argv[0]).stem


def put() -> None:
    """Write the marker if this command runs a flow."""
    if "run" in sys.argv[1:] and "step" not in sys.argv and sys.argv[0].endswith("_flow.py"):
        with suppress(OSError):  # if nothing can be written, the run itself is refused with the reason
            _path().parent.mkdir(parents=True, exist_ok=True)
            _path().touch()


def remove() -> None:
    """Remove the marker: the command ends regularly."""
    if "run" in sys.argv[1:] and sys.argv[0].endswith("_flow.py"):
        with suppress(OSError):
            _path().unlink(missing_ok=True)


def newer_than(latest: Path) -> bool:
    """Whether a run was started and killed after Metaflow recorded its latest run in the file ``latest``."""
    return _path().is_file() and latest.is_file() and _path().stat().st_mtime_ns > latest.stat().st_mtime_ns
