"""Runs the statement in DuckDB over the staged tables, within a memory limit."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from churn.data.events import staging, statement, views
from churn.data.events.predicates import sql_name
from churn.data.events.running import Running
from churn.errors import ChurnError
from churn.settings.data import Source
from churn.settings.dataset import Dataset

if TYPE_CHECKING:
    import duckdb

MEMORY = "CHURNFLOW_DUCKDB_MEMORY"  # the memory DuckDB may use before it spills to TMPDIR
USUAL = "2GB"


@contextmanager
def running(dataset: Dataset, instead: dict[str, Source], as_of: datetime, folder: Path) -> Iterator[Running]:
    """DuckDB over the tables as they were known at ``as_of``; it spills to ``folder``."""
    with connected(folder) as connection:
        staged = {name: staging.stage(dataset, name, instead.get(name), folder, connection) for name in dataset.tables}
        before = staging.fingerprints(list(staged.values()))
        lineage = views.make(connection, dataset, staged, as_of)

        def unchanged() -> bool:
            return staging.fingerprints(list(staged.values())) == before

        yield Running(
            lineage,
            tuple(note for one in staged.values() for note in one.notes),
            lambda moment, path: write_moment(connection, dataset, moment, path),
            unchanged,
        )


def write_moment(connection: "duckdb.DuckDBPyConnection", dataset: Dataset, moment: datetime, path: Path) -> None:
    """Run the statement for ``moment`` and write the customers to ``path`` (Parquet)."""
    key, text = sql_name(dataset.id or ""), statement.compiled(dataset, [moment])
    ids = f"* REPLACE (CAST({key} AS VARCHAR) AS {key})"
    connection.execute(f"COPY (SELECT {ids} FROM ({text}) AS customers) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


@contextmanager
def connected(folder: Path) -> Iterator["duckdb.DuckDBPyConnection"]:
    """DuckDB in memory, spilling to ``folder``.

    Raises ChurnError when it runs out of memory or disk, or cannot read a table.
    """
    import duckdb

    try:
        limits = {"memory_limit": os.environ.get(MEMORY, USUAL), "temp_directory": str(folder / "spill")}
        with duckdb.connect(config={**limits, "preserve_insertion_order": "false"}) as connection:
            connection.execute("SET TimeZone TO 'UTC'")
            yield connection
    except duckdb.OutOfMemoryException as error:
        now = os.environ.get(MEMORY, USUAL)
        raise ChurnError(
            f"DuckDB needs more memory or disk: {_first(error)}; raise {MEMORY} (now {now}), or free space on the disk of TMPDIR"
        ) from error
    except duckdb.Error as error:
        raise ChurnError(
            f"DuckDB stopped: {_first(error)}; see that every file is whole and that the disk of TMPDIR has room, and run "
            "this again"
        ) from error


def _first(error: Exception) -> str:
    return str(error).splitlines()[0]
