"""Moments, population and label of an event-based description, checked against its tables, and the resulting columns."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Literal

from churn.errors import ChurnError
from churn.settings.core import Strict
from churn.settings.description import expressions
from churn.settings.description.column import Column
from churn.settings.events.aggregate import Aggregate
from churn.settings.events.table import NAME, EventTable
from pydantic import Field, field_validator, model_validator

SNAPSHOT, CHURNED = "snapshot", "churned"  # the columns that every table of customers at moments has
ROWS = ("abs", "coalesce", "floor", "isin", "max", "min", "missing")  # functions available to an expression over rows


class Population(Strict):
    """Who is a customer at a moment.

    Anyone with a row in ``table`` within the last ``days`` (without: ever) or, with ``open``, with a contract that has begun and
    not ended.
    """

    table: str
    days: int | None = Field(default=None, ge=1)
    open: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> "Population":
        if self.open and self.days is not None:
            raise ValueError("population: 'days' and 'open' do not go together")
        return self


class Snapshots(Strict):
    """``[snapshots]``: the moments at which customers are observed, in UTC; a date means its midnight.

    They are ``dates``, or one ``every`` period ("1 month", "2 weeks", "28 days") from ``first`` to ``last`` (default: the newest
    event). The label covers the ``horizon`` days that begin ``gap`` days after a moment. The ``holdout`` latest moments with a
    known outcome are held out, for a ``holdout_share`` of the customers (default: ``[split] holdout`` in data.toml) with no rows
    in training. ``until`` is the moment until which the tables are complete, by default their newest event. Above ``most_rows``
    customers at snapshots, a sample drawn by id is kept; a ranked list always has all customers. If the newest event is more than
    ``max_age_days`` old, ScoreFlow writes no list or, with ``outdated = "flag"``, adds a note to it.
    """

    population: Population
    horizon: int = Field(ge=1)
    gap: int = Field(default=0, ge=0)
    every: str = ""
    first: str = ""
    last: str = ""
    dates: tuple[str, ...] = ()
    until: str = ""
    holdout: int = Field(default=1, ge=1)
    holdout_share: float | None = Field(default=None, gt=0, lt=1)
    most_rows: int = Field(default=2_000_000, ge=1000)
    max_age_days: int | None = Field(default=None, ge=1)
    outdated: Literal["refuse", "flag"] = "refuse"

    @field_validator("first", "last", "until")
    @classmethod
    def _moment(cls, text: str) -> str:
        return text and moment(text).isoformat()

    @field_validator("dates")
    @classmethod
    def _moments(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({moment(text).isoformat() for text in texts}))

    @field_validator("every")
    @classmethod
    def _period(cls, text: str) -> str:
        if text and not re.fullmatch(r"[1-9]\d* (day|week|month|year)s?", text):
            raise ValueError('write a number and day, week, month or year, such as "1 month"')
        return text

    @model_validator(mode="after")
    def _one_way(self) -> "Snapshots":
        if bool(self.dates) == bool(self.every):
            raise ValueError("give 'dates', or 'every' and 'first'")
        if bool(self.every) != bool(self.first) or (self.last and not self.every):
            raise ValueError("'every', 'first' and 'last' go together")
        if self.last and self.last < self.first:
            raise ValueError("'last' is before 'first'")
        return self


class Label(Strict):
    """``[label]``: what counts as having left within the horizon.

    ``end``: a contract in ``table`` ends and none of the customer's others continues or begins within ``grace`` days.
    ``inactive``: the horizon holds no row of ``table`` (that satisfies ``where``). ``event``: it holds one. ``column``: a column
    of the customer table says so, as for data without events; then there are no ``[tables]``.
    """

    kind: Literal["end", "inactive", "event", "column"]
    table: str = ""
    where: str = ""
    grace: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _of_its_kind(self) -> "Label":
        if bool(self.table) != (self.kind != "column"):
            raise ValueError("'table' names the events or contracts that decide; kind = \"column\" needs none")
        if self.where and self.kind not in ("inactive", "event"):
            raise ValueError('\'where\' goes with kind = "inactive" or "event"')
        if self.kind == "event" and not self.where:
            raise ValueError("kind = \"event\" needs 'where', the expression that the row satisfies")
        if self.grace and self.kind != "end":
            raise ValueError("'grace' goes with kind = \"end\"")
        return self


def moment(text: str) -> datetime:
    """A date or moment, written in TOML or ISO 8601, in UTC without a zone.

    Raises:
        ValueError: ``text`` is neither.
    """
    from datetime import UTC

    try:
        parsed = (
            datetime.fromisoformat(text)
            if len(text) > 10
            else datetime.combine(date.fromisoformat(text), datetime.min.time())
        )
    except ValueError:
        raise ValueError(f"{text!r} is neither a date like 2026-03-01 nor a moment like 2026-03-01T06:00:00") from None
    return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


def check(
    tables: Mapping[str, EventTable],
    snapshots: Snapshots | None,
    label: Label | None,
    aggregates: Mapping[str, Aggregate],
) -> None:
    """Check that the parts are consistent and that the names they use exist.

    Raises:
        ValueError: They are not; the message names the key.
    """
    for name in (*tables, *aggregates):
        if not re.fullmatch(NAME, name):
            raise ValueError(
                f"{name!r}: names of tables and aggregates have lowercase letters, digits and _, a letter first"
            )
    if snapshots is None or label is None or label.kind == "column" or not aggregates:
        raise ValueError("[tables] need [snapshots], a [label] of kind end, inactive or event, and [aggregates]")
    for place, used in (("snapshots.population", snapshots.population.table), ("label", label.table)):
        _known(place, used, tables)
    for place, one in (
        ("snapshots.population", snapshots.population.open and snapshots.population),
        ("label", label.kind == "end" and label),
    ):
        if one and not tables[one.table].end:
            raise ValueError(f"{place}: table '{one.table}' has no 'end', the column that says when a contract ended")
    _expression("label.where", label.where, tables[label.table])
    for name, aggregate in aggregates.items():
        _known(f"aggregates.{name}", aggregate.table, tables)
        table = tables[aggregate.table]
        for key in ("column", "by"):
            used = getattr(aggregate, key)
            if used and used not in table.columns:
                raise ValueError(f"aggregates.{name}: table '{aggregate.table}' describes no column {used!r} ({key})")
        if (
            aggregate.what in ("sum", "mean", "max", "min", "trend")
            and aggregate.column
            and not table.columns[aggregate.column].numeric
        ):
            raise ValueError(f"aggregates.{name}: column {aggregate.column!r} is not a number")
        if aggregate.by and table.columns[aggregate.by].numeric:
            raise ValueError(f"aggregates.{name}: by = {aggregate.by!r} is not a category")
        _expression(f"aggregates.{name}.where", aggregate.where, table)
        _expression(f"aggregates.{name}.of", aggregate.of, table)


def _known(place: str, name: str, tables: Mapping[str, EventTable]) -> None:
    if name not in tables:
        raise ValueError(f"{place}: there is no [tables.{name}]; there are {', '.join(tables)}")


def _expression(place: str, text: str, table: EventTable) -> None:
    if not text:
        return
    try:
        expressions.kind_of(
            text, {name: "number" if column.numeric else "text" for name, column in table.columns.items()}
        )
    except ChurnError as error:
        raise ValueError(f"{place}: {error}") from None
    if other := sorted(expressions.functions(text) - {*ROWS, "col"}):
        raise ValueError(f"{place}: {other[0]} does not go with rows of a table; there are {', '.join(ROWS)}")


def customer_columns(
    tables: Mapping[str, EventTable], label: Label, aggregates: Mapping[str, Aggregate]
) -> Iterator[tuple[str, Column]]:
    """The columns of a customer at a moment: id, moment, aggregates, the baselines' inputs, outcome."""
    yield next(iter(tables.values())).id, Column(role="id", type="text")
    yield SNAPSHOT, Column(role="time", type="timestamp", description="the moment that the customer was looked at")
    for name, aggregate in aggregates.items():
        source = tables[aggregate.table].columns[aggregate.column] if aggregate.column else None
        described = aggregate.described(source)
        yield from ((cell.name, described) for cell in aggregate.cells(name))
    yield from ((name, Column(role="ignore", type="number", missing=True)) for name in BASELINE)
    yield (
        CHURNED,
        Column(role="target", values=("No", "Yes"), positive="Yes", description=f"label of kind {label.kind}"),
    )


def activity(tables: Mapping[str, EventTable], label: Label, aggregates: Mapping[str, Aggregate]) -> str:
    """The table whose events show that a customer is still active.

    It is the label's if that is inactivity, else the first other table that an aggregate uses.
    """
    others = [name for name in tables if name != label.table and any(one.table == name for one in aggregates.values())]
    return label.table if label.kind == "inactive" or not others else others[0]


# Days since the last and the first event in the ``activity`` table, and the number of days with one, for recency and BG/NBD.
BASELINE = ("since_last_event", "since_first_event", "active_days")
