"""Runs a description's statement over its tables, one moment at a time, into one table of customers."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.data import customer_keys, tables
from churn.data.events import in_database, on_duckdb, on_spark, statement
from churn.data.events.running import Running
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.data import Source
from churn.settings.dataset import Dataset
from churn.settings.events.history import CHURNED

if TYPE_CHECKING:
    import pandas as pd

Engine = Callable[[Dataset, dict[str, Source], datetime, Path], AbstractContextManager[Running]]
ENGINES: dict[str, Engine] = {
    "duckdb": on_duckdb.running,
    "postgresql": in_database.running,
    "spark": on_spark.running,
}
SAMPLE = 1 << 32  # outside the seeds of [split], so that the sample is independent of the holdout


@dataclass(frozen=True)
class Made:
    """Customers at moments as Parquet bytes, and their lineage (JSON types).

    ``notes`` say how the tables were read.
    """

    table: bytes
    lineage: dict[str, Any]
    notes: tuple[str, ...]


def customers(dataset: Dataset, instead: dict[str, Source], as_of: datetime | None = None, now: bool = False) -> Made:
    """The customers of all snapshots, or, with ``now``, of the newest event's moment.

    As they were known at ``as_of`` (default: now). If the snapshots together exceed the description's ``most_rows``, a sample of
    the customers, drawn by id, is kept.

    Raises:
        ChurnError: A table cannot be read, no moment lies within it, or memory or disk is insufficient.
    """
    limit = as_of or datetime.now(UTC).replace(tzinfo=None)
    engine = on_duckdb.running if instead else ENGINES[dataset.engine]
    with tempfile.TemporaryDirectory() as folder, engine(dataset, instead, limit, Path(folder)) as running:
        until = _newest(dataset, running.tables, limit)
        notes = [*(_outdated(dataset, until, limit) if now else []), *running.notes, *_late(running, limit)]
        moments = [until] if now else snapshots(dataset, until)
        parts = [Path(folder, f"customers-{moment:%Y%m%dT%H%M%S%f}.parquet") for moment in moments]
        for moment, part in zip(moments, parts, strict=True):
            running.write(moment, part)
        if not running.unchanged():
            raise ChurnError(
                f"data set '{dataset.name}': a table's file changed while it was read; run this again when it is complete"
            )
        calendar = _calendar(moments, parts)
        table, sampled = _sampled(dataset, parts, sum(one["customers"] for one in calendar), now)
    lineage = {"snapshots": calendar, "tables": running.tables, "sql": statement.compiled(dataset, moments)}
    return Made(table, lineage, (*notes, *sampled))


def _late(running: Running, limit: datetime) -> list[str]:
    text = f"rows had happened by {limit:%Y-%m-%d %H:%M} and became known later; they are not used"
    return [f"{name}: {one['late']:,} {text}" for name, one in running.tables.items() if one.get("late")]


def _calendar(moments: Sequence[datetime], parts: Sequence[Path]) -> list[dict[str, Any]]:
    """Each moment that has customers, with the number of churned customers and of those without an outcome yet."""
    import pyarrow.dataset as ds

    calendar = []
    for moment, part in zip(moments, parts, strict=True):
        outcomes = ds.dataset(part, format="parquet").to_table([CHURNED]).column(CHURNED)
        churned = sum(one["counts"].as_py() for one in outcomes.value_counts() if one["values"].as_py() == "Yes")
        counts = {"customers": len(outcomes), "churned": churned, "unlabelled": outcomes.null_count}
        calendar += [{"moment": moment.isoformat(), **counts}] if len(outcomes) else []
    return calendar


def _sampled(dataset: Dataset, parts: Sequence[Path], rows: int, now: bool) -> tuple[bytes, list[str]]:
    """One table of all parts, with at most one part in memory beside it, and a note if it is a sample."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    assert dataset.snapshots is not None
    assert dataset.id is not None
    share = 1.0 if now else dataset.snapshots.most_rows / max(rows, 1)
    samples = []
    for part in parts:
        table = ds.dataset(part, format="parquet").to_table()
        if share < 1:
            who = customer_keys.keys(table.select([dataset.id]).to_pandas(), dataset.id, ())
            table = table.filter(pa.array(customer_keys.fractions(who, SAMPLE) < share))
        samples.append(table)
    kept = tables.written(pa.concat_tables(samples))
    if share >= 1:
        return kept, []
    setting = f"most_rows = {dataset.snapshots.most_rows:,} in {commands.description(dataset.name)} [snapshots]"
    return kept, [f"{rows:,} customers at snapshots; {share:.1%} of the customers, drawn by id, are kept: {setting}"]


def _outdated(dataset: Dataset, until: datetime, now: datetime) -> list[str]:
    """A note if the newest event, at ``until``, is older than the description allows.

    Raises:
        ChurnError: It is, and the description refuses outdated tables.
    """
    rule = dataset.snapshots
    assert rule is not None
    if rule.max_age_days is None or (now - until).days <= rule.max_age_days:
        return []
    note = (
        f"the newest event, of {until:%Y-%m-%d}, is {(now - until).days} days old: max_age_days = {rule.max_age_days}"
    )
    if rule.outdated == "refuse":
        way = f"export the tables again, or raise max_age_days in {commands.description(dataset.name)} [snapshots]"
        raise ChurnError(f"data set '{dataset.name}': {note}; {way}")
    return [note]


def _newest(dataset: Dataset, lineage: dict[str, Any], as_of: datetime) -> datetime:
    """The moment of the newest event in all tables.

    Raises:
        ChurnError: There are no rows.
    """
    moments = [datetime.fromisoformat(one["newest"]) for one in lineage.values() if one["newest"]]
    if not moments:
        raise ChurnError(
            f"data set '{dataset.name}': its tables hold no rows up to {as_of:%Y-%m-%d}; give others, or a later date"
        )
    return max(moments)


def snapshots(dataset: Dataset, until: datetime) -> list[datetime]:
    """The description's moments up to and including ``until``, ascending.

    Raises:
        ChurnError: There are none.
    """
    from pandas import Timestamp

    rule = dataset.snapshots
    assert rule is not None
    if rule.dates:
        moments = [datetime.fromisoformat(text) for text in rule.dates]
    else:
        number, unit = rule.every.split()
        last = min(datetime.fromisoformat(rule.last), until) if rule.last else until
        first, moments, steps = Timestamp(rule.first), [], 0
        while (moment := first + steps * int(number) * _period(unit.rstrip("s"))) <= last:
            moments.append(moment.to_pydatetime())
            steps += 1
    if not (kept := [moment for moment in moments if moment <= until]):
        raise ChurnError(
            f"data set '{dataset.name}': no snapshot lies before the newest event ({until:%Y-%m-%d}); change first or dates in "
            f"{commands.description(dataset.name)} [snapshots]"
        )
    return kept


def _period(unit: str) -> "pd.DateOffset":
    """One day, week, month or year; months after the 31st end on the last day of a shorter month."""
    import pandas as pd

    offsets = {"day": pd.DateOffset(days=1), "week": pd.DateOffset(weeks=1), "month": pd.DateOffset(months=1)}
    return offsets.get(unit, pd.DateOffset(years=1))
