"""Typing and checking the table against the data set's description. All failures at once, each with its remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn.config import Quality
from churn.dataset import Column, Dataset
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: ``failed`` of ``total`` values did not keep the rule."""

    column: str
    rule: str
    failed: int
    total: int
    examples: tuple[str, ...] = ()
    remedy: str = ""
    severity: str = "error"

    @property
    def passed(self) -> bool:
        return self.failed == 0

    def __str__(self) -> str:
        shown = f": {', '.join(self.examples)}" if self.examples else ""
        return (
            f"column '{self.column}': {self.rule}; {self.failed} of {self.total} failed{shown}. {self.remedy}".rstrip()
        )


@dataclass(frozen=True)
class Report:
    """Every check of one table. ``score`` is the data quality score."""

    checks: tuple[Check, ...]
    rows: int

    @property
    def score(self) -> float:
        """Data quality score in 0..1: the mean over all checks of the share of values that kept the rule."""
        return sum(1 - c.failed / max(c.total, 1) for c in self.checks) / max(len(self.checks), 1)

    @property
    def errors(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if not c.passed and c.severity == "error")

    @property
    def warnings(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if not c.passed and c.severity == "warning")

    def require(self, source: str) -> "Report":
        """Itself, if no check of severity error failed; else ChurnError with a line per failed check."""
        if self.errors:
            lines = "\n".join(f"  {check}" for check in self.errors)
            raise ChurnError(f"{source}: {len(self.errors)} of {len(self.checks)} checks failed\n{lines}")
        return self


def validate(frame: "pd.DataFrame", dataset: Dataset, limits: Quality, source: str) -> tuple["pd.DataFrame", Report]:
    """The table with the data set's columns and types, and the report of every check (see ``Report.require``).

    Raises ChurnError at once if a column is missing, because nothing after that would make sense.
    """
    _require_columns(frame, dataset, source)
    typed, unreadable = conform(frame, dataset)
    checks = [
        *unreadable,
        *_schema_checks(typed, dataset, {c.column for c in unreadable}),
        *_table_checks(typed, dataset, limits),
    ]
    if extra := sorted(set(frame.columns) - set(dataset.columns)):
        remedy = f"They are left out; describe them in config/datasets/{dataset.name}.toml to use them."
        checks.append(Check(", ".join(extra), "is described", len(extra), len(frame.columns), (), remedy, "warning"))
    return typed, Report(tuple(checks), len(frame))


def _require_columns(frame: "pd.DataFrame", dataset: Dataset, source: str) -> None:
    wanted = [name for name, column in dataset.columns.items() if column.role != "ignore"]
    if missing := [name for name in wanted if name not in frame.columns]:
        raise ChurnError(
            f"{source}: column {', '.join(map(repr, missing))} is missing; the file has: {', '.join(map(str, frame.columns))}. "
            f"Add it to the file, or describe the file's columns in config/datasets/{dataset.name}.toml"
        )


def conform(frame: "pd.DataFrame", dataset: Dataset) -> tuple["pd.DataFrame", list[Check]]:
    """The table in the data set's types (blank text becomes missing), and a check for each column with unreadable values."""
    import pandas as pd

    typed: dict[str, pd.Series] = {}
    unreadable: list[Check] = []
    for name, column in dataset.columns.items():
        if name not in frame.columns:
            continue
        values = frame[name]
        if column.numeric:
            if not pd.api.types.is_numeric_dtype(values):
                values = _blank_to_missing(values)
            number = pd.to_numeric(values, errors="coerce").astype("float64")
            bad = number.isna() & values.notna()
            if column.type == "integer":
                bad |= number.notna() & (number % 1 != 0)
            if bad.any():
                unreadable.append(_failed(name, f"is {_article(column)}", values, bad, "Correct these cells."))
            whole = column.type == "integer" and not number.isna().any() and not bad.any()
            typed[name] = number.astype("int64") if whole else number
        else:
            typed[name] = _blank_to_missing(values.astype("str"))
    return pd.DataFrame(typed), unreadable


def _article(column: Column) -> str:
    return "an integer" if column.type == "integer" else "a number"


def _blank_to_missing(values: "pd.Series") -> "pd.Series":
    text = values.astype("str").str.strip()
    return text.where(values.notna() & (text != ""))


def _failed(name: str, rule: str, values: "pd.Series", bad: "pd.Series", remedy: str) -> Check:
    """``bad`` marks the failing rows; rows are counted from 1, without the header."""
    rows = [position for position, failed in enumerate(bad.to_numpy()) if failed] if bad.any() else []
    examples = tuple(f"{values.iloc[row]!r} in row {row + 1}" for row in rows[:EXAMPLES])
    return Check(name, rule, len(rows), len(values), examples, remedy)


def _schema_checks(frame: "pd.DataFrame", dataset: Dataset, unreadable: set[str]) -> Iterable[Check]:
    """Range, allowed values, missing and uniqueness, by pandera, lazily."""
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    config = f"config/datasets/{dataset.name}.toml [columns.{{}}]"
    rules: dict[tuple[str, str], tuple[str, str]] = {}
    columns: dict[str, Any] = {}
    for name, column in dataset.columns.items():
        if name not in frame.columns:
            continue
        where, checks = config.format(name), []
        if column.numeric and (column.min is not None or column.max is not None):
            low, high = column.min, column.max
            checks.append(
                pa.Check.in_range(
                    -float("inf") if low is None else low,
                    float("inf") if high is None else high,
                    error="range",
                )
            )
            rules[name, "range"] = (
                _range_rule(column),
                f"Correct these cells, or change min and max in {where}.",
            )
        if column.values:
            checks.append(pa.Check.isin(column.values, error="values"))
            rules[name, "values"] = (
                f"is one of {', '.join(map(repr, column.values))}",
                f"Correct these cells, or add the value to 'values' in {where}.",
            )
        if not column.missing and name not in unreadable and column.role != "ignore":
            rules[name, "not_nullable"] = (
                "is never missing",
                f"Fill these cells in, or set missing = true in {where}.",
            )
        if column.role == "id":
            rules[name, "field_uniqueness"] = ("is unique", "Keep one row per customer.")
        nullable = (name, "not_nullable") not in rules
        columns[name] = pa.Column(
            checks=checks, nullable=nullable, unique=column.role == "id", report_duplicates="exclude_first"
        )
    cases: dict[tuple[str, str], list[tuple[int, Any]]] = {}
    try:
        pa.DataFrameSchema(columns).validate(frame, lazy=True)
    except SchemaErrors as errors:
        for case in errors.failure_cases.itertuples():
            cases.setdefault((case.column, case.check), []).append((case.index, case.failure_case))
    for key, (rule, remedy) in rules.items():
        found = cases.pop(key, [])
        examples = tuple(f"{value!r} in row {int(index) + 1}" for index, value in found[:EXAMPLES])
        yield Check(key[0], rule, len(found), len(frame), examples, remedy)
    if cases:
        raise ChurnError(f"pandera reported a check that has no rule: {sorted(cases)}")


def _range_rule(column: Column) -> str:
    if column.min is None:
        return f"is at most {column.max:g}"
    return f"is at least {column.min:g}" if column.max is None else f"is between {column.min:g} and {column.max:g}"


def _table_checks(frame: "pd.DataFrame", dataset: Dataset, limits: Quality) -> Iterable[Check]:
    """Enough rows, and enough of both classes."""
    remedy = "Give more rows, or lower min_rows in config/data.toml [quality]."
    yield _at_least("(table)", "rows", len(frame), limits.min_rows, remedy)
    remedy = "A model can only be trained when both outcomes occur: check the export."
    for value in (dataset.negative, dataset.positive):
        found = int((frame[dataset.target] == value).sum())
        yield _at_least(dataset.target, f"rows of {value!r}", found, limits.min_class_rows, remedy)


def _at_least(column: str, what: str, found: int, least: int, remedy: str) -> Check:
    examples = () if found >= least else (f"found {found}",)
    return Check(column, f"has at least {least} {what}", max(least - found, 0), least, examples, remedy)
