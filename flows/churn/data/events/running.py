"""What an engine has to offer, once it has the tables of a description as they were known at a moment."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Running:
    """The tables' lineage (hash, rows, newest event, late rows), notes on their reading, and the statement.

    ``write`` puts the customers of a moment, by id, into a Parquet file or a folder of them; ``unchanged`` says whether the
    tables are still those that were read.
    """

    tables: dict[str, dict[str, Any]]
    notes: tuple[str, ...]
    write: Callable[[datetime, Path], None]
    unchanged: Callable[[], bool] = lambda: True
