"""The statement that derives customers at moments from a description's tables.

It is readable SQL, in any engine's dialect.

A moment sees what had happened and was known by then: ``time <= snapshot``; a row of ``age`` days lies in every window of at
least that many days. The label looks at the days after it: ``snapshot + gap < time <= snapshot + gap + horizon``.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from churn.data.events.predicates import literal, sql, sql_name
from churn.settings.dataset import Dataset
from churn.settings.events.aggregate import ZERO, Aggregate, Cell
from churn.settings.events.history import BASELINE, CHURNED, SNAPSHOT, activity
from churn.settings.events.table import EventTable

DIALECTS = {"duckdb": "duckdb", "postgresql": "postgres", "spark": "spark"}
_AGE = {  # days from a row to the moment, bit for bit the same in every engine
    "duckdb": "(EPOCH_US(s.snapshot) - EPOCH_US({0})) / 86400000000.0",
    "postgresql": "CAST(EXTRACT(EPOCH FROM (s.snapshot - {0})) * 1000000 AS BIGINT) / CAST(86400000000 AS DOUBLE PRECISION)",
    "spark": "(UNIX_MICROS(CAST(s.snapshot AS TIMESTAMP_LTZ)) - UNIX_MICROS(CAST({0} AS TIMESTAMP_LTZ)))"
    " / CAST(86400000000 AS DOUBLE)",
}


def compiled(dataset: Dataset, moments: Sequence[datetime]) -> str:
    """The statement for the customers of all ``moments``, in the dialect of the description's engine."""
    import sqlglot

    parts = _Parts(dataset)
    text = f"WITH {', '.join(parts.tables(moments))} {parts.customers()}"
    query = sqlglot.transpile(text, read="duckdb", write=DIALECTS[dataset.engine], pretty=True, max_text_width=120)[0]
    for name, age in parts.ages.items():
        query = query.replace(name, age.replace('"', "`") if dataset.engine == "spark" else age)
    return query


class _Parts:
    """The parts of one description's statement, in DuckDB's dialect."""

    def __init__(self, dataset: Dataset) -> None:
        assert dataset.snapshots is not None
        assert dataset.label is not None
        assert dataset.id is not None
        self._dataset, self._snapshots, self._label = dataset, dataset.snapshots, dataset.label
        self._id = sql_name(dataset.id)
        self._activity = activity(dataset.tables, dataset.label, dataset.aggregates)
        self.ages: dict[str, str] = {}  # placeholders of the tables' ages until the dialect is chosen
        self._cells: dict[str, list[tuple[str, str]]] = {name: [] for name in self._seen()}
        # Common table expressions of aggregates over ordered rows, and their cells.
        self._own: list[tuple[str, str]] = []
        for name, aggregate in dataset.aggregates.items():
            for cell in aggregate.cells(name):
                self._add(aggregate, cell)
        for cell_name, what in zip(BASELINE, ("MIN(age)", "MAX(age)", "COUNT(DISTINCT day)"), strict=True):
            self._cells[self._activity].append((cell_name, what))

    def _seen(self) -> list[str]:
        """The tables that anything is computed from, in the description's order."""
        used = {
            self._snapshots.population.table,
            self._activity,
            *(a.table for a in self._dataset.aggregates.values()),
        }
        return [name for name in self._dataset.tables if name in used]

    # -- aggregates

    def _add(self, aggregate: Aggregate, cell: Cell) -> None:
        table = self._dataset.tables[aggregate.table]
        conditions = [sql(aggregate.where, table.columns)] if aggregate.where else []
        window = [f"age < {cell.days}"] if cell.days else []
        level = [f"{sql_name(aggregate.by)} = {literal(cell.level)}"] if cell.level is not None else []
        if aggregate.what in ("gap spread", "last"):
            self._own.append((cell.name, self._ordered(aggregate, cell, [*conditions, *level])))
            return
        share = level or ([sql(aggregate.of, table.columns)] if aggregate.of else [])
        if aggregate.what == "share":
            filters = [*window, *conditions]
            expression = f"{_filtered('COUNT(*)', [*filters, *share])} / NULLIF({_filtered('COUNT(*)', filters)}, 0)"
        else:
            expression = _aggregate(aggregate, cell, [*conditions, *level], window)
        self._cells[aggregate.table].append((cell.name, expression))

    def _ordered(self, aggregate: Aggregate, cell: Cell, conditions: list[str]) -> str:
        rows = f"FROM {sql_name(aggregate.table + '_seen')}" + _where(conditions)
        key = f"PARTITION BY snapshot, {self._id} ORDER BY age"
        if aggregate.what == "last":
            value = sql_name(aggregate.column)
            columns = f"snapshot, {self._id}, {value} AS {sql_name(cell.name)}"
            numbered = f"SELECT {columns}, ROW_NUMBER() OVER ({key}, {value} DESC NULLS LAST) AS newest {rows}"
            return f"SELECT snapshot, {self._id}, {sql_name(cell.name)} FROM ({numbered}) AS numbered WHERE newest <= 1"
        gaps = f"SELECT snapshot, {self._id}, age, LAG(age) OVER ({key} DESC) AS previous {rows}"
        spread = _filtered("STDDEV_SAMP(previous - age)", [f"previous < {cell.days}"] if cell.days else [])
        key = f"snapshot, {self._id}"
        return f"SELECT {key}, {spread} AS {sql_name(cell.name)} FROM ({gaps}) AS gaps GROUP BY {key}"

    # -- tables

    def tables(self, moments: Sequence[datetime]) -> Iterator[str]:
        """The common table expressions, in dependency order."""
        values = ", ".join(f"({_moment(moment)})" for moment in moments)
        yield f"snapshots(snapshot) AS (VALUES {values})"
        yield f"observed AS ({self._observed()})"
        # Spark has no keyword for this: it is what Spark always does.
        lazily = "" if self._dataset.engine == "spark" else "NOT MATERIALIZED "
        for name, cells in self._cells.items():
            yield f"{sql_name(name + '_seen')} AS {lazily}({self._rows(name, self._dataset.tables[name])})"
            columns = "".join(f", {what} AS {sql_name(cell)}" for cell, what in cells)
            grouped = f"FROM {sql_name(name + '_seen')} GROUP BY snapshot, {self._id}"
            yield f"{sql_name(name + '_aggregates')} AS (SELECT snapshot, {self._id}, MIN(age) AS age{columns} {grouped})"
        for cell, query in self._own:
            yield f"{sql_name(cell + '_ordered')} AS ({query})"
        yield f"population AS ({self._population()})"
        yield from self._outcome()

    def _observed(self) -> str:
        if self._snapshots.until:
            return f"SELECT TIMESTAMP '{self._snapshots.until}' AS until"
        newest = [
            f"SELECT MAX({sql_name(t.moment)}) AS moment FROM {sql_name(name)}"
            for name, t in self._dataset.tables.items()
        ]
        return f"SELECT MAX(moment) AS until FROM ({' UNION ALL '.join(newest)}) AS newest"

    def _rows(self, name: str, table: EventTable) -> str:
        place = f"AGE_OF_{name.upper()}"
        self.ages[place] = _AGE[self._dataset.engine].format(f"e.{sql_name(table.moment)}")
        columns = [f"e.{sql_name(column)}" for column in table.columns]
        columns += [f"e.{sql_name(table.end)} AS ended"] if table.end else []
        if name == self._activity:
            columns.append(f"CAST(e.{sql_name(table.moment)} AS DATE) AS day")
        visible = [f"e.{sql_name(moment)} <= s.snapshot" for moment in (table.moment, table.known) if moment]
        chosen = ", ".join(["s.snapshot", f"e.{sql_name(table.id)} AS {self._id}", *columns, f"{place} AS age"])
        return f"SELECT {chosen} FROM snapshots AS s JOIN {sql_name(name)} AS e ON {' AND '.join(visible)}"

    def _population(self) -> str:
        rule = self._snapshots.population
        if rule.open:
            begun = f"FROM {sql_name(rule.table + '_seen')}"
            return f"SELECT DISTINCT snapshot, {self._id} {begun} WHERE ended IS NULL OR ended > snapshot"
        active = [f"age < {rule.days}"] if rule.days else []
        return f"SELECT snapshot, {self._id} FROM {sql_name(rule.table + '_aggregates')}" + _where(active)

    # -- label

    def _outcome(self) -> Iterator[str]:
        """Customers with the event within the horizon and, where it must not come earlier, within the gap."""
        yield f"happened AS ({self._happened(self._snapshots.gap, self._snapshots.gap + self._snapshots.horizon)})"
        if self._snapshots.gap and self._label.kind != "inactive":
            yield f"too_early AS ({self._happened(0, self._snapshots.gap)})"

    def _happened(self, after: int, until: int) -> str:
        table, name = self._dataset.tables[self._label.table], sql_name(self._label.table)
        moment = table.end if self._label.kind == "end" else table.moment
        window = [
            f"e.{sql_name(moment)} > {_later('s.snapshot', after)}",
            f"e.{sql_name(moment)} <= {_later('s.snapshot', until)}",
        ]
        rows = f"FROM snapshots AS s JOIN {name} AS e ON {' AND '.join(window)}"
        conditions = [sql(self._label.where, table.columns)] if self._label.where else []
        if self._label.kind == "end":
            start, end, key = sql_name(table.moment), sql_name(table.end), sql_name(table.id)
            goes_on = f"r.{start} <= {_later(f'e.{end}', self._label.grace)} AND (r.{end} IS NULL OR r.{end} > e.{end})"
            renewed = f"r.{key} = e.{key} AND {goes_on}"
            conditions.append(f"NOT EXISTS (SELECT 1 FROM {name} AS r WHERE {renewed})")
        return f"SELECT DISTINCT s.snapshot, e.{sql_name(table.id)} AS {self._id} {rows}" + _where(conditions)

    def customers(self) -> str:
        """The query itself: one row for each customer at each moment."""
        joins = ["population AS p", "CROSS JOIN observed AS o"]
        cells: dict[str, str] = {}
        for name, aggregates in self._cells.items():
            joins.append(self._joined(name + "_aggregates"))
            cells |= {cell: f"{sql_name(name + '_aggregates')}.{sql_name(cell)}" for cell, _ in aggregates}
        for cell, _ in self._own:
            joins.append(self._joined(cell + "_ordered"))
            cells[cell] = f"{sql_name(cell + '_ordered')}.{sql_name(cell)}"
        joins.append(self._joined("happened"))
        joins += [self._joined("too_early")] if self._snapshots.gap and self._label.kind != "inactive" else []
        chosen = [
            f"p.{self._id}",
            f"p.snapshot AS {SNAPSHOT}",
            *self._columns(cells),
            f"{self._churned()} AS {CHURNED}",
        ]
        return f"SELECT {', '.join(chosen)} FROM {' '.join(joins)} ORDER BY p.snapshot, p.{self._id}"

    def _joined(self, name: str) -> str:
        one = sql_name(name)
        return f"LEFT JOIN {one} ON {one}.snapshot = p.snapshot AND {one}.{self._id} = p.{self._id}"

    def _columns(self, cells: dict[str, str]) -> Iterator[str]:
        for name, aggregate in self._dataset.aggregates.items():
            for cell in aggregate.cells(name):
                value = f"COALESCE({cells[cell.name]}, 0)" if aggregate.what in ZERO else cells[cell.name]
                numeric = self._dataset.columns[cell.name].numeric
                yield (f"CAST({value} AS DOUBLE)" if numeric else value) + f" AS {sql_name(cell.name)}"
        for cell_name in BASELINE:
            yield f"CAST({cells[cell_name]} AS DOUBLE) AS {sql_name(cell_name)}"

    def _churned(self) -> str:
        days = self._snapshots.gap + self._snapshots.horizon + self._label.grace
        cases = [f"WHEN {_later('p.snapshot', days)} > o.until THEN NULL"]
        if self._snapshots.gap and self._label.kind != "inactive":
            cases.append("WHEN too_early.snapshot IS NOT NULL THEN NULL")
        yes, no = ("No", "Yes") if self._label.kind == "inactive" else ("Yes", "No")
        return f"CASE {' '.join(cases)} WHEN happened.snapshot IS NOT NULL THEN '{yes}' ELSE '{no}' END"


def _aggregate(aggregate: Aggregate, cell: Cell, conditions: list[str], window: list[str]) -> str:
    filters, column = [*window, *conditions], sql_name(aggregate.column)
    count, first, last = (_filtered(what, filters) for what in ("COUNT(*)", "MAX(age)", "MIN(age)"))
    match aggregate.what:
        case "count":
            return count
        case "sum" | "max" | "min":
            return _filtered(f"{aggregate.what.upper()}({column})", filters)
        case "mean":
            return _filtered(f"AVG({column})", filters)
        case "distinct":
            return _filtered(f"COUNT(DISTINCT {column})", filters)
        case "days since last":
            return last
        case "days since first":
            return first
        case "mean gap":
            return f"({first} - {last}) / NULLIF({count} - 1, 0)"
        case "trend":
            assert cell.days is not None
            amount = f"SUM({column})" if aggregate.column else "COUNT(*)"
            before = [f"age >= {cell.days}", f"age < {2 * cell.days}", *conditions]
            now, then = (f"COALESCE({_filtered(amount, rows)}, 0)" for rows in (filters, before))
            return f"({now} - {then}) / NULLIF(ABS({now}) + ABS({then}), 0)"
    raise AssertionError(aggregate.what)


def _filtered(what: str, conditions: Sequence[str]) -> str:
    return f"{what} FILTER (WHERE {' AND '.join(conditions)})" if conditions else what


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _moment(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"


def _later(moment: str, days: int) -> str:
    return f"{moment} + INTERVAL '{days}' DAY" if days else moment
