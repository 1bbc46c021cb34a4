"""The interface of an engine over a description's tables as they were known at a moment."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Running:
    """The tables' lineage (hash, rows, newest event, late rows), notes on their reading, and the statement.

    ``write`` writes the customers of a moment, sorted by id, to a Parquet file or a folder of them; ``unchanged`` tells whether
    the tables are still the same as when they were read.
    """

    tables: dict[str, dict[str, Any]]
    notes: tuple[str, ...]
    write: Callable[[datetime, Path], None]
    unchanged: Callable[[], bool] = lambda: True
