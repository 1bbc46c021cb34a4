"""Random logs of events, and what a naive loop over their rows makes of a description: the oracle of ``churn.data.events``."""

import math
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pandas as pd
import sqlglot
from churn.data import tables
from churn.data.events import engine, staging
from churn.errors import ChurnError  # noqa: F401
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.description import expressions
from churn.settings.events import history
from churn.settings.events.aggregate import Aggregate
from hypothesis import strategies as st

# Half the time of a small log is the translation of its statement, which other logs have had translated before.
sqlglot.transpile = cache(sqlglot.transpile)  # type: ignore[assignment]

START = datetime(2023, 12, 1)  # the logs see a 29th of February
DAY = timedelta(days=1)
Row = dict[str, Any]

TABLES = """
name = "shop"
[tables.purchases]
source = [{ kind = "file", path = "purchases.parquet" }]
id = "customer"
time = "at"
known = "seen"
[tables.purchases.columns]
amount = { type = "number", missing = true }
kind = { missing = true }
[tables.contracts]
source = [{ kind = "file", path = "contracts.parquet" }]
id = "client"
time = "begins"
end = "ends"
[tables.contracts.columns]
plan = {}
[snapshots]
dates = [2024-01-31, 2024-02-29, 2024-03-31T12:00:00]
until = 2024-05-15
"""

AGGREGATES = """
[aggregates.n]
table = "purchases"
what = "count"
days = [7, 30]
[aggregates.cheap]
table = "purchases"
what = "count"
where = "amount < 10 or kind != 'a'"
[aggregates.by_kind]
table = "purchases"
what = "sum"
column = "amount"
by = "kind"
levels = ["a", "b"]
days = [30]
[aggregates.mean]
table = "purchases"
what = "mean"
column = "amount"
days = [30]
[aggregates.most]
table = "purchases"
what = "max"
column = "amount"
[aggregates.least]
table = "purchases"
what = "min"
column = "amount"
[aggregates.kinds]
table = "purchases"
what = "distinct"
column = "kind"
days = [60]
[aggregates.dear]
table = "purchases"
what = "share"
of = "amount >= 10 and not missing(kind)"
days = [30]
[aggregates.kind_share]
table = "purchases"
what = "share"
by = "kind"
levels = ["a"]
[aggregates.last_a]
table = "purchases"
what = "days since last"
where = "isin(kind, 'a', 'c')"
[aggregates.first]
table = "purchases"
what = "days since first"
days = [60]
[aggregates.gap]
table = "purchases"
what = "mean gap"
[aggregates.spread]
table = "purchases"
what = "gap spread"
days = [60]
where = "kind == 'a'"
[aggregates.trend]
table = "purchases"
what = "trend"
days = [14]
[aggregates.trend_of]
table = "purchases"
what = "trend"
column = "amount"
days = [14]
[aggregates.plan]
table = "contracts"
what = "last"
column = "plan"
[aggregates.contracts]
table = "contracts"
what = "count"
"""

LABELS = {
    "inactive": '[label]\nkind = "inactive"\ntable = "purchases"',
    "event": '[label]\nkind = "event"\ntable = "purchases"\nwhere = "kind == \'b\'"',
    "end": '[label]\nkind = "end"\ntable = "contracts"\ngrace = 5',
}
POPULATIONS = {
    "ever": '{ table = "purchases" }',
    "active": '{ table = "purchases", days = 45 }',
    "open": '{ table = "contracts", open = true }',
}


def described(label: str, population: str, gap: int, aggregates: str = AGGREGATES) -> Dataset:
    """The shop with one of the labels and populations, and a horizon of 30 days."""
    place = f"population = {POPULATIONS[population]}\nhorizon = 30\ngap = {gap}\n"
    return core.parse(Dataset, f"{TABLES}{place}{LABELS[label]}\n{aggregates}", "shop.toml")


def moments() -> st.SearchStrategy[datetime]:
    """Moments of half a year: midnights, ties, snapshots' own moments, and microseconds beside them."""
    days = st.integers(0, 170).map(lambda day: START + day * DAY)
    near = st.sampled_from([timedelta(0), timedelta(microseconds=1), -timedelta(microseconds=1), timedelta(hours=12)])
    return st.builds(lambda day, by: day + by, days, near)


def purchases() -> st.SearchStrategy[list[Row]]:
    amounts = st.none() | st.sampled_from([0.5, 9.75, 10.0, 25.25])
    late = st.sampled_from([timedelta(0), timedelta(0), 3 * DAY, 40 * DAY])
    row = st.builds(
        lambda who, at, by, amount, kind: {"customer": who, "at": at, "seen": at + by, "amount": amount, "kind": kind},
        st.sampled_from(["00042", "b", "ç"]), moments(), late, amounts, st.sampled_from(["a", "b", "c", None]),
    )  # fmt: skip
    return st.lists(row, max_size=25).flatmap(_doubled)


def _doubled(rows: list[Row]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.sampled_from(rows), max_size=4).map(lambda again: [*rows, *again]) if rows else st.just(rows)


def contracts() -> st.SearchStrategy[list[Row]]:
    lengths = st.none() | st.integers(0, 90).map(lambda days: days * DAY)
    who, plan = st.sampled_from(["00042", "b", "d"]), st.sampled_from(["x", "y"])
    row = st.builds(
        lambda *cells: dict(zip(("client", "begins", "ends", "plan"), cells, strict=True)),
        who,
        moments(),
        lengths,
        plan,
    )
    row = row.map(lambda one: {**one, "ends": one["begins"] + one["ends"] if one["ends"] is not None else None})
    return st.lists(row, max_size=8)


KINDS = {"customer": "str", "client": "str", "amount": "float64", "kind": "str", "plan": "str"}


def write(folder: Path, **logs: list[Row]) -> None:
    """The logs as Parquet files, also where they are empty."""
    names = {
        "purchases": ["customer", "at", "seen", "amount", "kind"],
        "contracts": ["client", "begins", "ends", "plan"],
    }
    for name, rows in logs.items():
        frame = pd.DataFrame(rows, columns=names[name])
        types = {column: KINDS.get(column, "datetime64[us]") for column in frame}
        (folder / f"{name}.parquet").write_bytes(tables.to_bytes(frame.astype(types)))


def made(dataset: Dataset, **logs: list[Row]) -> pd.DataFrame:
    """The customers that the engine makes of the logs."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), **logs)
        return tables.from_bytes(engine.customers(dataset, staging.given(dataset, folder), datetime(2024, 6, 1)).table)


def naive(dataset: Dataset, **logs: list[Row]) -> pd.DataFrame:
    """The same by a loop over moments, customers and rows."""
    rows = list(_customers(dataset, logs))
    return pd.DataFrame(rows, columns=list(dataset.columns))


def _customers(dataset: Dataset, logs: dict[str, list[Row]]) -> Iterator[Row]:
    rule, label = dataset.snapshots, dataset.label
    assert rule is not None
    assert label is not None
    assert dataset.id is not None
    limit = datetime(2024, 6, 1)
    known = {
        name: [
            row
            for row in rows
            if row[dataset.tables[name].moment] <= limit and row.get(dataset.tables[name].known, limit) <= limit
        ]
        for name, rows in logs.items()
    }
    newest = max(
        (row[dataset.tables[name].moment] for name, rows in known.items() for row in rows), default=datetime.min
    )
    for text in rule.dates:
        moment = datetime.fromisoformat(text)
        if moment > newest:
            continue
        theirs = {name: _by_customer(dataset, name, rows) for name, rows in known.items()}
        seen = {name: _by_customer(dataset, name, _seen(dataset, name, rows, moment)) for name, rows in known.items()}
        for who in sorted({who for rows in seen.values() for who in rows}):
            own = {name: rows.get(who, []) for name, rows in seen.items()}
            if not _belongs(dataset, own, moment):
                continue
            found: Row = {dataset.id: who, "snapshot": moment}
            for name, aggregate in dataset.aggregates.items():
                for cell in aggregate.cells(name):
                    found[cell.name] = _aggregate(dataset, aggregate, cell, own[aggregate.table])
            active = history.activity(dataset.tables, label, dataset.aggregates)
            ages = [row["age"] for row in own[active]]
            found["since_last_event"], found["since_first_event"] = min(ages, default=None), max(ages, default=None)
            days = {row[dataset.tables[active].moment].date() for row in own[active]}
            found["active_days"] = len(days) if days else None
            found["churned"] = outcome(dataset, moment, theirs[label.table].get(who, []))
            yield found


def _by_customer(dataset: Dataset, name: str, rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[dataset.tables[name].id], []).append(row)
    return found


def _seen(dataset: Dataset, name: str, rows: list[Row], moment: datetime) -> list[Row]:
    table = dataset.tables[name]
    seen = [row for row in rows if row[table.moment] <= moment and row.get(table.known, moment) <= moment]
    return [{**row, "age": (moment - row[table.moment]) / DAY} for row in seen]


def _belongs(dataset: Dataset, own: dict[str, list[Row]], moment: datetime) -> bool:
    assert dataset.snapshots is not None
    rule = dataset.snapshots.population
    rows = own[rule.table]
    if rule.open:
        return any(row["ends"] is None or row["ends"] > moment for row in rows)
    return any(rule.days is None or row["age"] < rule.days for row in rows)


def _holds(text: str, row: Row, names: list[str]) -> bool:
    cells = {
        n: np.array(
            [row[n] if row[n] is not None else "" if n in ("kind", "plan") else np.nan],
            dtype=object if n in ("kind", "plan") else float,
        )
        for n in names
    }
    return bool(expressions.evaluate(text, cells)[0])


def _aggregate(dataset: Dataset, one: Aggregate, cell: Any, rows: list[Row]) -> Any:
    names = list(dataset.tables[one.table].columns)
    keep: Callable[[Row], bool] = lambda row: not one.where or _holds(one.where, row, names)  # noqa: E731
    rows = [row for row in rows if keep(row)]
    level = lambda row: cell.level is None or row[one.by] == cell.level  # noqa: E731
    window = [row for row in rows if cell.days is None or row["age"] < cell.days]
    if one.what == "share":
        part = [row for row in window if (_holds(one.of, row, names) if one.of else level(row))]
        return len(part) / len(window) if window else None
    window, before = (
        [row for row in window if level(row)],
        [row for row in rows if level(row) and cell.days and cell.days <= row["age"] < 2 * cell.days],
    )
    ages = sorted((row["age"] for row in window), reverse=True)
    values = [row[one.column] for row in window if row[one.column] is not None] if one.column else []
    gaps = [a - b for a, b in pairwise(ages)]
    match one.what:
        case "count":
            return len(window)
        case "sum":
            return math.fsum(values)
        case "mean":
            return math.fsum(values) / len(values) if values else None
        case "max":
            return max(values, default=None)
        case "min":
            return min(values, default=None)
        case "distinct":
            return len(set(values))
        case "days since last":
            return min(ages, default=None)
        case "days since first":
            return max(ages, default=None)
        case "mean gap":
            return sum(gaps) / len(gaps) if gaps else None
        case "gap spread":
            return stdev(gaps) if len(gaps) > 1 else None
        case "trend":
            then = [row[one.column] for row in before if row[one.column] is not None] if one.column else before
            a, b = (math.fsum(values), math.fsum(then)) if one.column else (len(window), len(before))
            return (a - b) / (abs(a) + abs(b)) if a or b else None
        case "last":
            return (
                max((row for row in rows if row["age"] == min(ages)), key=lambda row: row[one.column])[one.column]
                if rows
                else None
            )
    raise AssertionError(one.what)


def outcome(dataset: Dataset, moment: datetime, own: list[Row]) -> str | None:
    rule, label = dataset.snapshots, dataset.label
    assert rule is not None
    assert label is not None
    start, end = moment + rule.gap * DAY, moment + (rule.gap + rule.horizon) * DAY
    if end + label.grace * DAY > datetime.fromisoformat(rule.until):
        return None
    table = dataset.tables[label.table]
    if label.kind == "end":
        own = [row for row in own if row["ends"] is not None and not _renewed(row, own, label.grace)]
    at = "ends" if label.kind == "end" else table.moment
    if label.where:
        own = [row for row in own if _holds(label.where, row, list(table.columns))]
    if label.kind != "inactive" and any(moment < row[at] <= start for row in own):
        return None
    happened = any(start < row[at] <= end for row in own)
    return "Yes" if happened != (label.kind == "inactive") else "No"


def _renewed(ended: Row, own: list[Row], grace: int) -> bool:
    begun = [row for row in own if row["begins"] <= ended["ends"] + grace * DAY]
    return any(row["ends"] is None or row["ends"] > ended["ends"] for row in begun)
