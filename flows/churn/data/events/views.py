"""Views of each table's rows that had happened and were known at a moment, with row count, newest event and late rows."""

from datetime import datetime
from typing import Any

from churn.data.events import staging
from churn.data.events.predicates import sql_name
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.settings.events.table import EventTable


def make(
    connection: Any, dataset: Dataset, staged: dict[str, staging.Staged], as_of: datetime
) -> dict[str, dict[str, Any]]:
    """Create a view of each table in DuckDB or Spark; return, by table, its hash, rows, newest event and any late rows.

    Raises:
        ChurnError: A required cell is missing.
    """
    integer_ids, lineage = staging.whole_ids(dataset, staged), {}
    for name, table in dataset.tables.items():
        connection.execute(
            f"CREATE OR REPLACE TEMPORARY VIEW {sql_name(name)} AS {staging.select(table, staged[name], integer_ids, as_of)}"
        )
        full = [table.id, table.moment, *([table.known] if table.known else [])]
        full += [column for column, described in table.columns.items() if not described.missing]
        gaps = "".join(f", COUNT(*) FILTER (WHERE {sql_name(column)} IS NULL)" for column in full)
        counts = connection.execute(
            f"SELECT COUNT(*){gaps} FROM ({staging.rows(table, staged[name], integer_ids)}) AS rows"
        ).fetchone()
        assert counts is not None
        for column, gone in zip(full, counts[1:], strict=True):
            if gone:
                way = (
                    f"write missing = true in {commands.description(dataset.name)} [tables.{name}.columns.{column}]"
                    if column in table.columns
                    else f'write without_id = "leave out" in {commands.description(dataset.name)} [tables.{name}]'
                    if column == table.id
                    else "leave these rows out"
                )
                raise ChurnError(
                    f"table '{name}': column {column!r} is missing in {gone:,} of {counts[0]:,} rows; fill it in, or {way}"
                )
        rows, newest = connection.execute(
            f"SELECT COUNT(*), MAX({sql_name(table.moment)}) FROM {sql_name(name)}"
        ).fetchone() or (0, None)
        lineage[name] = {"hash": staged[name].hash, "rows": rows, "newest": newest and newest.isoformat()}
        if table.known:
            lineage[name]["late"] = _late(connection, table, staged[name], integer_ids, as_of)
    return lineage


def _late(connection: Any, table: EventTable, staged: staging.Staged, integer_ids: bool, as_of: datetime) -> int:
    """The number of rows that had happened by ``as_of`` but became known later."""
    limit = f"TIMESTAMP '{as_of.isoformat(sep=' ')}'"
    late = f"{sql_name(table.moment)} <= {limit} AND {sql_name(table.known)} > {limit}"
    row = connection.execute(
        f"SELECT COUNT(*) FROM ({staging.rows(table, staged, integer_ids)}) AS rows WHERE {late}"
    ).fetchone()
    return int(row[0]) if row else 0
