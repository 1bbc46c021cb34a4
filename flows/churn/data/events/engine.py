"""DuckDB runs a description's statement over its staged tables, a moment at a time, within a limit of memory."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.data import tables
from churn.data.events import in_database, staging, statement
from churn.data.events.predicates import sql_name
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.data import Source
from churn.settings.dataset import Dataset
from churn.settings.events.history import CHURNED, SNAPSHOT
from churn.settings.events.table import EventTable

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

MEMORY = "CHURNFLOW_DUCKDB_MEMORY"  # what DuckDB may hold before it spills to TMPDIR
USUAL = "2GB"


@dataclass(frozen=True)
class Made:
    """Customers at moments as Parquet bytes, where they come from (JSON's types).

    ``notes`` say how the tables were read.
    """

    table: bytes
    lineage: dict[str, Any]
    notes: tuple[str, ...]


def customers(dataset: Dataset, instead: dict[str, Source], as_of: datetime | None = None, now: bool = False) -> Made:
    """The customers of all snapshots, or, with ``now``, of the newest event's moment.

    As they were known at ``as_of`` (default: now).

    Raises:
        ChurnError: a table cannot be read, no moment lies within it, or memory or disk do not suffice.
    """
    import pyarrow.parquet as pq

    limit = as_of or datetime.now(UTC).replace(tzinfo=None)
    if dataset.engine == "postgresql" and not instead:
        return _in_database(dataset, limit, now)
    with tempfile.TemporaryDirectory() as folder, connected(Path(folder)) as connection:
        staged = {
            name: staging.stage(dataset, name, instead.get(name), Path(folder), connection) for name in dataset.tables
        }
        before = staging.fingerprints(list(staged.values()))
        newest = views(connection, dataset, staged, limit)
        aged = _outdated(dataset, newest["until"], limit) if now else []
        moments = [newest["until"]] if now else snapshots(dataset, newest["until"])
        parts = run(connection, dataset, moments, Path(folder, "customers"))
        if staging.fingerprints(list(staged.values())) != before:
            raise ChurnError(
                f"data set '{dataset.name}': a table's file changed while it was read; run this again when it is whole"
            )
        table, calendar = tables.written(pq.read_table(parts)), _calendar(connection, parts)
    notes = aged + [note for one in staged.values() for note in one.notes]
    notes += [
        f"{name}: {newest[name]['late']:,} rows had happened by {limit:%Y-%m-%d %H:%M} and became known later; they are not used"
        for name in staged
        if newest[name].get("late")
    ]
    lineage = {
        "snapshots": calendar,
        "tables": {name: {"hash": staged[name].hash, **newest[name]} for name in staged},
        "sql": statement.compiled(dataset, moments),
    }
    return Made(table, lineage, tuple(notes))


def _in_database(dataset: Dataset, limit: datetime, now: bool) -> Made:
    """The same where the tables live."""
    in_database.database(dataset)
    found = in_database.tables_lineage(dataset, limit)
    until = _newest(dataset, found, limit)
    aged = _outdated(dataset, until, limit) if now else []
    moments = [until] if now else snapshots(dataset, until)
    frame = in_database.customers(dataset, moments, limit)
    calendar = [
        {
            "moment": datetime.fromisoformat(str(moment)).isoformat(),
            "customers": len(outcomes),
            "churned": int((outcomes == "Yes").sum()),
            "unlabelled": int(outcomes.isna().sum()),
        }
        for moment, outcomes in frame.groupby(SNAPSHOT)[CHURNED]
    ]
    lineage = {"snapshots": calendar, "tables": found, "sql": statement.compiled(dataset, moments)}
    return Made(tables.to_bytes(tables.object_to_text(frame)), lineage, tuple(aged))


def _outdated(dataset: Dataset, until: datetime, now: datetime) -> list[str]:
    """A note where the newest event, at ``until``, is older than the description allows.

    Raises:
        ChurnError: it is, and the description refuses that.
    """
    rule = dataset.snapshots
    assert rule is not None
    if rule.max_age_days is None or (now - until).days <= rule.max_age_days:
        return []
    said = (
        f"the newest event, of {until:%Y-%m-%d}, is {(now - until).days} days old: max_age_days = {rule.max_age_days}"
    )
    if rule.outdated == "refuse":
        way = f"export the tables again, or raise max_age_days in {commands.description(dataset.name)} [snapshots]"
        raise ChurnError(f"data set '{dataset.name}': {said}; {way}")
    return [said]


def _newest(dataset: Dataset, found: dict[str, Any], as_of: datetime) -> datetime:
    """The moment of the newest event of all tables.

    Raises:
        ChurnError: there is no row at all.
    """
    moments = [datetime.fromisoformat(one["newest"]) for one in found.values() if one["newest"]]
    if not moments:
        raise ChurnError(
            f"data set '{dataset.name}': its tables hold no row until {as_of:%Y-%m-%d}; give others, or a later date"
        )
    return max(moments)


def views(
    connection: "duckdb.DuckDBPyConnection", dataset: Dataset, staged: dict[str, staging.Staged], as_of: datetime
) -> dict[str, Any]:
    """Make a view of each table; its rows and newest event, and under ``until`` the newest of all.

    Raises:
        ChurnError: a cell is missing that may not be, or there is no row at all.
    """
    whole, found = staging.whole_ids(dataset, staged), {}
    for name, table in dataset.tables.items():
        connection.execute(
            f"CREATE OR REPLACE VIEW {sql_name(name)} AS {staging.select(table, staged[name], whole, as_of)}"
        )
        full = [table.id, table.moment, *([table.known] if table.known else [])]
        full += [column for column, described in table.columns.items() if not described.missing]
        gaps = "".join(f", COUNT(*) FILTER (WHERE {sql_name(column)} IS NULL)" for column in full)
        counts = connection.execute(
            f"SELECT COUNT(*){gaps} FROM ({staging.rows(table, staged[name], whole)}) AS rows"
        ).fetchone()
        assert counts is not None
        for column, gone in zip(full, counts[1:], strict=True):
            if gone:
                way = (
                    f"write missing = true in {commands.description(dataset.name)} [tables.{name}.columns.{column}]"
                    if column in table.columns
                    else "leave these rows out"
                )
                raise ChurnError(
                    f"table '{name}': column {column!r} is missing in {gone:,} of {counts[0]:,} rows; fill it in, or {way}"
                )
        rows, newest = connection.execute(
            f"SELECT COUNT(*), MAX({sql_name(table.moment)}) FROM {sql_name(name)}"
        ).fetchone() or (0, None)
        found[name] = {"rows": rows, "newest": newest and newest.isoformat()}
        if table.known:
            found[name]["late"] = _late(connection, table, staged[name], whole, as_of)
    return {**found, "until": _newest(dataset, found, as_of)}


def _late(
    connection: "duckdb.DuckDBPyConnection", table: EventTable, staged: staging.Staged, whole: bool, as_of: datetime
) -> int:
    """The rows that had happened at ``as_of`` and became known later."""
    limit = f"TIMESTAMP '{as_of.isoformat(sep=' ')}'"
    late = f"{sql_name(table.moment)} <= {limit} AND {sql_name(table.known)} > {limit}"
    found = connection.execute(
        f"SELECT COUNT(*) FROM ({staging.rows(table, staged, whole)}) AS rows WHERE {late}"
    ).fetchone()
    return int(found[0]) if found else 0


def snapshots(dataset: Dataset, until: datetime) -> list[datetime]:
    """The description's moments that are not after ``until``, ascending.

    Raises:
        ChurnError: there is none.
    """
    from pandas import Timestamp

    rule = dataset.snapshots
    assert rule is not None
    if rule.dates:
        found = [datetime.fromisoformat(text) for text in rule.dates]
    else:
        number, unit = rule.every.split()
        last = min(datetime.fromisoformat(rule.last), until) if rule.last else until
        first, found, steps = Timestamp(rule.first), [], 0
        while (moment := first + steps * int(number) * _period(unit.rstrip("s"))) <= last:
            found.append(moment.to_pydatetime())
            steps += 1
    if not (kept := [moment for moment in found if moment <= until]):
        raise ChurnError(
            f"data set '{dataset.name}': no snapshot lies before the newest event ({until:%Y-%m-%d}); change first or dates in "
            f"{commands.description(dataset.name)} [snapshots]"
        )
    return kept


def _period(unit: str) -> "pd.DateOffset":
    """One day, week, month or year; so many months after the 31st is the last day of a shorter month."""
    import pandas as pd

    offsets = {"day": pd.DateOffset(days=1), "week": pd.DateOffset(weeks=1), "month": pd.DateOffset(months=1)}
    return offsets.get(unit, pd.DateOffset(years=1))


def run(
    connection: "duckdb.DuckDBPyConnection", dataset: Dataset, moments: Sequence[datetime], folder: Path
) -> list[str]:
    """Run the statement for each of the ``moments`` and write its customers to ``folder``, a Parquet file a moment.

    Returns:
        The paths of the files.
    """
    folder.mkdir(parents=True)
    paths = []
    for moment in moments:
        path = str(folder / f"{moment:%Y%m%dT%H%M%S%f}.parquet")
        text = statement.compiled(dataset, [moment])
        ids = f"* REPLACE (CAST({sql_name(dataset.id or '')} AS VARCHAR) AS {sql_name(dataset.id or '')})"
        connection.execute(
            f"COPY (SELECT {ids} FROM ({text}) AS customers) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        )
        paths.append(path)
    return paths


def _calendar(connection: "duckdb.DuckDBPyConnection", parts: list[str]) -> list[dict[str, Any]]:
    """Each moment with its customers, and how many of them have churned and have no outcome yet."""
    counts = f"COUNT(*), COUNT(*) FILTER (WHERE {CHURNED} = 'Yes'), COUNT(*) FILTER (WHERE {CHURNED} IS NULL)"
    query = f"SELECT {SNAPSHOT}, {counts} FROM read_parquet(?) GROUP BY ALL ORDER BY ALL"
    names = ("moment", "customers", "churned", "unlabelled")
    rows = connection.execute(query, [parts]).fetchall()
    return [dict(zip(names, (moment.isoformat(), *found), strict=True)) for moment, *found in rows]


@contextmanager
def connected(folder: Path) -> Iterator["duckdb.DuckDBPyConnection"]:
    """DuckDB in memory, spilling to ``folder``.

    Its refusals for want of memory or disk, and what it cannot read, as ChurnError.
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
