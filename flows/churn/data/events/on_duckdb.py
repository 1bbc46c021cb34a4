"""Runs the statement in DuckDB over the staged tables, within a memory limit.

The statement groups all events by customer, which slows down once the groups no longer fit into memory. Large tables are
therefore divided by customer first, and the statement runs on one part after the other.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
EVENTS = 20_000_000  # approximate number that the statement processes at once
PART = "churnflow_part"  # column added to divided tables


@contextmanager
def running(dataset: Dataset, instead: dict[str, Source], as_of: datetime, folder: Path) -> Iterator[Running]:
    """DuckDB over the tables as they were known at ``as_of``; it spills to ``folder``."""
    with connected(folder) as connection:
        staged = {name: staging.stage(dataset, name, instead.get(name), folder, connection) for name in dataset.tables}
        before = staging.fingerprints(list(staged.values()))
        lineage = views.make(connection, dataset, staged, as_of)

        def unchanged() -> bool:
            return staging.fingerprints(list(staged.values())) == before

        divided = divide(connection, dataset, lineage, folder)
        yield Running(
            lineage,
            tuple(note for one in staged.values() for note in one.notes),
            lambda moment, path: write_moment(connection, *divided, moment, path),
            unchanged,
        )


def divide(
    connection: "duckdb.DuckDBPyConnection", dataset: Dataset, lineage: Mapping[str, Mapping[str, Any]], folder: Path
) -> tuple[Dataset, list[list[str]]]:
    """Divide the tables' rows by customer into parts of about EVENTS rows.

    Returns:
        The description, and for each part the statements that restrict the tables' views to it; ``[[]]`` if one part
        suffices. With several parts, the description's ``until`` is set to the newest event of all tables.
    """
    count = -(-sum(one["rows"] for one in lineage.values()) // EVENTS)
    if count <= 1:
        return dataset, [[]]
    assert dataset.snapshots is not None
    until = dataset.snapshots.until or max(one["newest"] for one in lineage.values() if one["newest"])
    parts: list[list[str]] = [[] for _ in range(count)]
    for name, table in dataset.tables.items():
        view, whole = sql_name(name), sql_name(f"all {name}")
        connection.execute(f"ALTER VIEW {view} RENAME TO {whole}")
        rows = f"SELECT *, hash(CAST({sql_name(table.id)} AS VARCHAR)) % {count} AS {PART} FROM {whole}"
        if lineage[name]["rows"] > EVENTS // count:  # smaller tables are simply read once per part
            place = folder / f"table-{len(parts[0])}"
            connection.execute(f"COPY ({rows}) TO '{place}' (FORMAT parquet, PARTITION_BY ({PART}))")
            types = f"hive_partitioning=true, hive_types={{{PART}: UBIGINT}}"
            rows = f"SELECT * FROM read_parquet('{place}/*/*.parquet', {types})"
        for number, limits in enumerate(parts):
            chosen = f"SELECT * EXCLUDE ({PART}) FROM ({rows}) AS divided WHERE {PART} = {number}"
            limits.append(f"CREATE OR REPLACE TEMPORARY VIEW {view} AS {chosen}")
    return dataset.model_copy(update={"snapshots": dataset.snapshots.model_copy(update={"until": until})}), parts


def write_moment(
    connection: "duckdb.DuckDBPyConnection", dataset: Dataset, parts: list[list[str]], moment: datetime, path: Path
) -> None:
    """Run the statement for the ``moment`` over each part of ``divide``, and write its customers to ``path`` (Parquet)."""
    key, text = sql_name(dataset.id or ""), statement.compiled(dataset, [moment])
    if len(parts) > 1:
        made = [str(path.with_suffix(f".{number}")) for number in range(len(parts))]
        for limits, file in zip(parts, made, strict=True):
            for limit in limits:
                connection.execute(limit)
            connection.execute(f"COPY ({text}) TO '{file}' (FORMAT parquet)")
        text = f"SELECT * FROM read_parquet({made}) ORDER BY snapshot, {key}"
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
    except duckdb.Error as error:
        raise stopped(error) from error


def stopped(error: Exception) -> ChurnError:
    """An error of DuckDB in our words; where Arrow reads its rows, it is an OSError."""
    first, now = str(error).splitlines()[0], os.environ.get(MEMORY, USUAL)
    if first.startswith("Out of Memory"):
        return ChurnError(
            f"DuckDB needs more memory or disk: {first}; raise {MEMORY} (now {now}), or free space on the disk of TMPDIR"
        )
    return ChurnError(
        f"DuckDB stopped: {first}; see that every file is whole and that the disk of TMPDIR has room, and run this again"
    )
