"""Checking the typed table against the data set's description. All failures at once, each with its remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from churn import leakage
from churn.config import Quality
from churn.conform import conform
from churn.dataset import Column, Dataset
from churn.errors import ChurnError
from churn.ordered import Numbers

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
UNIQUE = "is unique"  # the rule of an id
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: ``failed`` of ``total`` values did not keep the rule. Errors stop the run."""

    column: str
    rule: str
    failed: int
    total: int
    examples: tuple[str, ...] = ()
    remedy: str = ""
    severity: Severity = "error"

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
    """Every check of one table of ``rows`` rows, of which ``set_aside`` went to quarantine."""

    checks: tuple[Check, ...]
    rows: int
    set_aside: int = 0

    @property
    def score(self) -> float:
        """Data quality score in 0..1: the mean over all checks of the share of values that kept the rule.

        score = (1/k) * sum over the k checks of (1 - failed / total); 1 means that every value kept every rule.
        """
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


@dataclass(frozen=True)
class Validated:
    """The typed rows that may be used and their numbers in order, the rows set aside (with a column ``reasons``), and the
    report of all checks."""

    table: "pd.DataFrame"
    quarantine: "pd.DataFrame"
    numbers: Numbers
    report: Report


def validate(frame: "pd.DataFrame", dataset: Dataset, limits: Quality, source: str) -> Validated:
    """Type and check a table (see ``Report.require``). Rows with errors go to quarantine if ``limits`` allow as many.

    Raises ChurnError at once if a column is missing, because nothing after that would make sense.
    """
    _require_columns(frame, dataset, source)
    kept, aside, checks = _rows(frame, dataset, limits.quarantine)
    numbers = Numbers(kept, (kept[dataset.target] == dataset.positive).to_numpy())
    checks += [*_described(frame, dataset), *_table_checks(kept, numbers, dataset, limits)]
    return Validated(kept, aside, numbers, Report(tuple(checks), len(frame), len(aside)))


def screen(frame: "pd.DataFrame", dataset: Dataset, quarantine: float, source: str) -> Validated:
    """``validate`` for customers whose outcome is not known: what a row can fail by itself, and no target is needed.

    ``quarantine`` is the largest share of rows that may be set aside. Raises ChurnError at once if a column is missing.
    """
    _require_columns(frame, dataset, source, but=dataset.target)
    kept, aside, checks = _rows(frame.drop(columns=dataset.target, errors="ignore"), dataset, quarantine)
    numbers = Numbers(kept, np.zeros(len(kept), dtype=bool))  # of all customers alike
    return Validated(kept, aside, numbers, Report(tuple(checks), len(frame), len(aside)))


def _rows(
    frame: "pd.DataFrame", dataset: Dataset, quarantine: float
) -> "tuple[pd.DataFrame, pd.DataFrame, list[Check]]":
    """The typed rows to go on with, those set aside, and the checks that a row fails by itself."""
    typed, unreadable = conform(frame, dataset)
    found = _cell_checks(frame, typed, unreadable, dataset)
    bad = _union([rows for check, rows in found if check.severity == "error"], len(typed))
    checks = [check for check, _ in found]
    if not bad.any() or bad.mean() > quarantine:
        return typed, typed.iloc[:0].assign(reasons=""), checks
    kept = conform(frame[~bad].reset_index(drop=True), dataset)[0]  # anew: integers are integers again
    return kept, _set_aside(frame, bad, found), [_pardoned(check) for check in checks]


def _described(frame: "pd.DataFrame", dataset: Dataset) -> Iterable[Check]:
    if extra := sorted(set(frame.columns) - set(dataset.columns)):
        remedy = f"They are left out; describe them in config/datasets/{dataset.name}.toml to use them."
        yield Check(", ".join(extra), "is described", len(extra), len(frame.columns), (), remedy, "warning")


def _require_columns(frame: "pd.DataFrame", dataset: Dataset, source: str, but: str = "") -> None:
    wanted = [name for name, column in dataset.columns.items() if column.role != "ignore" and name != but]
    if missing := [name for name in wanted if name not in frame.columns]:
        raise ChurnError(
            f"{source}: column {', '.join(map(repr, missing))} is missing; the file has: {', '.join(map(str, frame.columns))}. "
            f"Add it to the file, or describe the file's columns in config/datasets/{dataset.name}.toml"
        )


Found = list[tuple[Check, np.ndarray]]  # a check and the positions of the rows that failed it


def _cell_checks(
    raw: "pd.DataFrame", typed: "pd.DataFrame", unreadable: dict[str, np.ndarray], dataset: Dataset
) -> Found:
    """Checks that a row fails by itself, with the failing rows: types, then what pandera finds in the typed table."""
    found: Found = []
    for name, bad in unreadable.items():
        rows = np.flatnonzero(bad)
        examples = _examples(raw[name].iloc[rows[:EXAMPLES]], rows)
        rule = f"is {_ARTICLE[dataset.columns[name].type]}"
        found.append((Check(name, rule, len(rows), len(raw), examples, "Correct these cells."), rows))
    return found + _schema_checks(typed, dataset, unreadable)


_ARTICLE = {
    "integer": "an integer",
    "number": "a number",
    "timestamp": "a moment like 2026-11-23 or 2026-11-23T10:00:00",
}


def _examples(values: "pd.Series", rows: np.ndarray) -> tuple[str, ...]:
    """Rows are counted from 1, without the header."""
    return tuple(f"{value!r} in row {row + 1}" for value, row in zip(values.tolist(), rows.tolist(), strict=False))


def _schema_checks(frame: "pd.DataFrame", dataset: Dataset, unreadable: dict[str, np.ndarray]) -> Found:
    """Range, allowed values, missing and uniqueness, by pandera, lazily."""
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    rules: dict[tuple[str, str], tuple[str, str, Severity]] = {}
    columns: dict[str, Any] = {}
    for name, column in dataset.columns.items():
        if name not in frame.columns or column.role == "ignore":
            continue
        where, checks = f"config/datasets/{dataset.name}.toml [columns.{name}]", []
        if column.min is not None or column.max is not None:
            low = -np.inf if column.min is None else column.min
            checks.append(pa.Check.in_range(low, np.inf if column.max is None else column.max, error="range"))
            remedy = f"Correct these cells, or change min and max in {where}."
            rules[name, "range"] = (_range_rule(column), remedy, column.severity)
        if column.values:
            checks.append(pa.Check.isin(column.values, error="values"))
            remedy = f"Correct these cells, or add the value to 'values' in {where}."
            severity: Severity = "error" if column.role == "target" else column.severity
            rules[name, "values"] = (f"is one of {', '.join(map(repr, column.values))}", remedy, severity)
        if not column.missing and name not in unreadable:
            remedy = f"Fill these cells in, or set missing = true in {where}."
            rules[name, "not_nullable"] = ("is never missing", remedy, "error")
        unique = column.role == "id" and dataset.time is None
        if unique:
            rules[name, "field_uniqueness"] = (UNIQUE, "Keep one row per customer.", "error")
        nullable = (name, "not_nullable") not in rules
        columns[name] = pa.Column(checks=checks, nullable=nullable, unique=unique, report_duplicates="exclude_first")
    together = [dataset.id, dataset.time] if dataset.id and dataset.time else None
    found = _run(pa.DataFrameSchema(columns), frame, rules, SchemaErrors)
    if together:
        rows = np.flatnonzero(frame.duplicated(together))
        examples = _examples(frame[dataset.id].iloc[rows[:EXAMPLES]], rows)
        rule = f"is unique at each {dataset.time}"
        found.append(
            (Check(str(dataset.id), rule, len(rows), len(frame), examples, "Keep one row per customer."), rows)
        )
    return found


def _run(
    schema: Any, frame: "pd.DataFrame", rules: dict[tuple[str, str], tuple[str, str, Severity]], failed: Any
) -> Found:
    groups: dict[tuple[str, str], pd.DataFrame] = {}
    try:
        schema.validate(frame, lazy=True, inplace=True)
    except failed as errors:
        groups = dict(list(errors.failure_cases.groupby(["column", "check"], sort=False)))
    found: Found = []
    for key, (rule, remedy, severity) in rules.items():
        cases = groups.pop(key, None)
        rows = np.sort(cases["index"].to_numpy(dtype=np.int64)) if cases is not None else np.array([], dtype=np.int64)
        examples = _examples(frame[key[0]].iloc[rows[:EXAMPLES]], rows)
        found.append((Check(key[0], rule, len(rows), len(frame), examples, remedy, severity), rows))
    if groups:
        raise ChurnError(f"pandera reported a check that has no rule: {sorted(groups)}")
    return found


def _range_rule(column: Column) -> str:
    if column.min is None:
        return f"is at most {column.max:g}"
    return f"is at least {column.min:g}" if column.max is None else f"is between {column.min:g} and {column.max:g}"


def _union(parts: Iterable[np.ndarray], rows: int) -> np.ndarray:
    bad = np.zeros(rows, dtype=bool)
    for part in parts:
        bad[part] = True
    return bad


def _pardoned(check: Check) -> Check:
    """An error whose rows are in quarantine is reported, and stops nothing."""
    from dataclasses import replace

    if check.passed or check.severity == "warning":
        return check
    return replace(check, severity="warning", remedy=f"These rows are in quarantine. {check.remedy}")


def _set_aside(frame: "pd.DataFrame", bad: np.ndarray, found: Found) -> "pd.DataFrame":
    """The rows as they came, with every reason."""
    import pandas as pd

    reasons = pd.Series("", index=np.flatnonzero(bad), dtype="object")
    for check, rows in found:
        if check.severity == "error" and len(rows):
            reasons.loc[rows] += f"{check.column} {check.rule}; "
    aside = frame.iloc[np.flatnonzero(bad)].astype("str")
    return aside.assign(reasons=reasons.str.removesuffix("; ").to_numpy(), row=np.flatnonzero(bad) + 1)


def _table_checks(frame: "pd.DataFrame", numbers: Numbers, dataset: Dataset, limits: Quality) -> Iterable[Check]:
    """Enough rows, enough of both classes, not too much missing, fresh, no column that gives the outcome away."""
    remedy = "Give more rows, or lower min_rows in config/data.toml [quality]."
    yield _at_least("(table)", "rows", len(frame), limits.min_rows, remedy)
    remedy = "A model can only be trained when both outcomes occur: check the export."
    counts = frame[dataset.target].value_counts()
    for value in (dataset.negative, dataset.positive):
        yield _at_least(dataset.target, f"rows of {value!r}", int(counts.get(value, 0)), limits.min_class_rows, remedy)
    share = counts.get(dataset.positive, 0) / max(len(frame), 1)
    low, high = limits.churn_share
    remedy = "Check how churn was decided in this export, or change churn_share in config/data.toml [quality]."
    yield _flag(dataset.target, f"churn share is {low:.1%} to {high:.1%}", low <= share <= high, f"{share:.2%}", remedy)
    for name, column in dataset.columns.items():
        if column.missing and name in frame and column.role == "feature":
            gone = float(frame[name].isna().mean())
            remedy = f"Find out why, or raise max_missing in config/datasets/{dataset.name}.toml."
            rule = f"is missing in at most {column.max_missing:.1%} of the rows"
            yield _flag(name, rule, gone <= column.max_missing, f"{gone:.1%}", remedy, "error")
    yield from _duplicates(frame, dataset)
    yield from _freshness(frame, dataset, limits)
    yield from _suspects(frame, numbers, dataset, limits)


def _at_least(column: str, what: str, found: int, least: int, remedy: str) -> Check:
    examples = () if found >= least else (f"found {found}",)
    return Check(column, f"has at least {least} {what}", max(least - found, 0), least, examples, remedy)


def _flag(column: str, rule: str, kept: bool, found: str, remedy: str, severity: Severity = "warning") -> Check:
    return Check(column, rule, int(not kept), 1, () if kept else (f"found {found}",), remedy, severity)


def _duplicates(frame: "pd.DataFrame", dataset: Dataset) -> Iterable[Check]:
    if dataset.id is None:
        rows = np.flatnonzero(frame.duplicated())
        remedy = "Without an id these may be one customer twice; both halves of the split never share them."
        yield Check("(table)", "has no row twice", len(rows), len(frame), (), remedy, "warning")


def _freshness(frame: "pd.DataFrame", dataset: Dataset, limits: Quality) -> Iterable[Check]:
    from datetime import UTC, datetime

    if dataset.time is not None and limits.max_age_days is not None and len(frame):
        age = (datetime.now(UTC).replace(tzinfo=None) - frame[dataset.time].max().to_pydatetime()).days
        rule, remedy = f"newest row is at most {limits.max_age_days} days old", "Export again."
        yield _flag(dataset.time, rule, age <= limits.max_age_days, f"{age} days", remedy, limits.stale)


def _suspects(frame: "pd.DataFrame", numbers: Numbers, dataset: Dataset, limits: Quality) -> Iterable[Check]:
    churned = (frame[dataset.target] == dataset.positive).to_numpy()
    if churned.all() or not churned.any():
        return
    for name, column in dataset.raw.items():
        found = leakage.separation(frame[name], churned, numbers[name] if column.numeric else None)
        rule = f"does not alone tell who churned (ROC-AUC at most {leakage.SUSPECT})"
        remedy = f'Filled in afterwards? Then role = "ignore" in config/datasets/{dataset.name}.toml [columns.{name}].'
        yield _flag(name, rule, found <= leakage.SUSPECT, f"{found:.4f}", remedy, limits.leakage)
