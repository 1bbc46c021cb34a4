"""Runs the statement where the tables are: in PostgreSQL, which sends only the resulting customers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.data import sources, tables
from churn.data.events import statement
from churn.data.events.predicates import sql_name
from churn.data.events.running import Running
from churn.errors import ChurnError
from churn.files import parts
from churn.settings import commands
from churn.settings.data import Source, Sql
from churn.settings.dataset import Dataset
from churn.settings.events.table import EventTable

if TYPE_CHECKING:
    import pandas as pd


def database(dataset: Dataset) -> Sql:
    """The source of the one database that holds all tables.

    Raises:
        ChurnError: A table is elsewhere.
    """
    declared = [source for table in dataset.tables.values() for source in table.source]
    places = {getattr(source, "url", "") for source in declared}
    if len(declared) > len(dataset.tables) or len(places) > 1:
        declared = []
    if not declared or not isinstance(declared[0], Sql):
        raise ChurnError(
            f'{commands.description(dataset.name)}: engine = "postgresql" needs every table to have one source of kind = "sql" '
            "with the same url; correct them, or leave the engine out"
        )
    return declared[0]


@contextmanager
def running(dataset: Dataset, instead: dict[str, Source], as_of: datetime, folder: Path) -> Iterator[Running]:
    """PostgreSQL over its tables as they were known at ``as_of``; only customers are transferred."""
    assert not instead
    database(dataset)
    yield Running(tables_lineage(dataset, as_of), (), lambda moment, path: customers(dataset, moment, as_of, path))


def customers(dataset: Dataset, moment: datetime, as_of: datetime, path: Path) -> None:
    """Write the customers at ``moment``, as they were known at ``as_of``, to ``path`` as the database sends them."""
    text = statement.compiled(dataset, [moment]).removeprefix("WITH ")
    ordered = f'ORDER BY snapshot, {sql_name(dataset.id or "")} COLLATE "C"'
    place = database(dataset)
    source = place.model_copy(
        update={"query": f"WITH {_tables(dataset, as_of)}, made AS (WITH {text}) SELECT * FROM made {ordered}"}
    )
    sources.persist(place, lambda: tables.write_parts(sources.batches(source, parts.ROWS), dataset, path))


def tables_lineage(dataset: Dataset, as_of: datetime) -> dict[str, dict[str, Any]]:
    """Each table's row count and newest event until ``as_of``, and an order-independent sum of its rows' hashes."""
    lineage = {}
    for name, table in dataset.tables.items():
        what = f"COUNT(*) AS n, MAX(t.{sql_name(table.moment)}) AS newest, SUM(HASHTEXTEXTENDED(CAST(t AS TEXT), 0)) AS hash"
        row = run_query(dataset, f"WITH {_tables(dataset, as_of)} SELECT {what} FROM {sql_name(name)} AS t").iloc[0]
        newest = None if row["n"] == 0 else row["newest"].isoformat()
        lineage[name] = {"hash": str(row["hash"]), "rows": int(row["n"]), "newest": newest}
    return lineage


def run_query(dataset: Dataset, query: str) -> "pd.DataFrame":
    """The result of the query."""
    place = database(dataset)
    return sources.persist(place, lambda: sources.query(place.model_copy(update={"query": query})))


def _tables(dataset: Dataset, as_of: datetime) -> str:
    return ", ".join(
        f"{sql_name(name)} AS NOT MATERIALIZED ({_rows(table, as_of)})" for name, table in dataset.tables.items()
    )


def _rows(table: EventTable, as_of: datetime) -> str:
    """The rows that had happened and were known, in the types the statement expects."""
    (source,) = table.source
    assert isinstance(source, Sql)
    columns = [f"NULLIF(TRIM(CAST({sql_name(table.id)} AS TEXT)), '') AS {sql_name(table.id)}"]
    columns += [f"CAST({sql_name(name)} AS TIMESTAMP) AS {sql_name(name)}" for name in table.moments]
    for name, column in table.columns.items():
        cell = (
            f"CAST({sql_name(name)} AS DOUBLE PRECISION)"
            if column.numeric
            else f"NULLIF(TRIM(CAST({sql_name(name)} AS TEXT)), '')"
        )
        columns.append(f"{cell} AS {sql_name(name)}")
    limit = f"TIMESTAMP '{as_of.isoformat(sep=' ')}'"
    seen = f"{sql_name(table.id)} IS NOT NULL AND " if table.without_id == "leave out" else ""
    seen += " AND ".join(f"{sql_name(moment)} <= {limit}" for moment in (table.moment, table.known) if moment)
    rows = f"SELECT {'DISTINCT ' * table.deduplicate}{', '.join(columns)} FROM ({source.query.rstrip().rstrip(';')}) AS given"
    return f"SELECT * FROM ({rows}) AS typed WHERE {seen}"
