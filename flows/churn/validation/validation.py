"""Checks a table against the description of its data set: reports all failures at once, each with its remedy."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from churn.data.casting import cast
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.cpus import cpus
from churn.settings.data import Quality
from churn.settings.dataset import Dataset
from churn.validation import leakage, remedies
from churn.validation.checks import EXAMPLES, Check, Failures, Report, Severity, example_values
from churn.validation.exclusions import Kept, exclude, require_rows
from churn.validation.sorted_columns import SortedColumns

if TYPE_CHECKING:
    import pandas as pd

OWN = ("reasons", "row")  # columns of rows set aside besides those of the source


@dataclass(frozen=True)
class Validated:
    """The usable rows, typed, the rows in ``quarantine`` (with a column ``reasons``), and the report of all checks."""

    table: "pd.DataFrame"
    quarantine: "pd.DataFrame"
    columns: SortedColumns
    report: Report


def validate(frame: "pd.DataFrame", dataset: Dataset, limits: Quality, source: str) -> Validated:
    """Type and check a table; ``Report.require`` raises its errors. Rows with errors go to quarantine if ``limits`` allow it.

    Raises:
        ChurnError: A column is missing, which makes other checks pointless. ``source`` names the table in the message.
    """
    require_columns(frame, dataset, source)
    remaining = exclude(frame, dataset, limits)
    require_rows(len(remaining.frame), len(frame), dataset)
    typed = cast(remaining.frame, dataset)
    with ThreadPoolExecutor(1) as ahead:  # in parallel with the row checks, which usually exclude no row
        table_checks = ahead.submit(_whole, typed[0], dataset, limits)
        kept, aside, checks = _rows(remaining, *typed, dataset, limits.quarantine)
        columns, others = table_checks.result() if kept is typed[0] else _whole(kept, dataset, limits)
    checks += [*_described(frame, dataset), *others]
    return Validated(kept, aside, columns, _report(remaining, aside, checks))


def screen(frame: "pd.DataFrame", dataset: Dataset, quarantine: float, source: str) -> Validated:
    """``validate`` customers whose outcome is unknown: only the row checks, without a target.

    ``quarantine`` is the largest share of rows that may be set aside.

    Raises:
        ChurnError: A column is missing.
    """
    require_columns(frame, dataset, source, champion=True)
    remaining = exclude(frame.drop(columns=dataset.target, errors="ignore"), dataset)
    require_rows(len(remaining.frame), len(frame), dataset)
    kept, aside, checks = _rows(remaining, *cast(remaining.frame, dataset), dataset, quarantine)
    columns = SortedColumns(kept, np.zeros(len(kept), dtype=bool))  # outcomes unknown: one group
    return Validated(
        kept, aside, columns, _report(remaining, aside, [for_champion(check, dataset) for check in checks])
    )


def for_champion(check: Check, dataset: Dataset) -> Check:
    """Add to a remedy in the description that it takes effect with the next training: the champion keeps its own."""
    if check.passed or commands.description(dataset.name) not in check.remedy:
        return check
    return replace(check, remedy=f"{check.remedy} A changed description counts from the next training on.")


def _report(remaining: Kept, aside: "pd.DataFrame", checks: list[Check]) -> Report:
    return Report((*remaining.checks, *checks), len(remaining.frame), len(aside), remaining.left_out)


def _rows(
    remaining: Kept,
    typed: "pd.DataFrame",
    unreadable: dict[str, np.ndarray],
    dataset: Dataset,
    quarantine: float,
) -> "tuple[pd.DataFrame, pd.DataFrame, list[Check]]":
    """The typed rows to continue with, those set aside, and the row checks."""
    failures = cell_checks(remaining, typed, unreadable, dataset)
    bad = failing(failures, len(typed))
    checks = [check for check, _ in failures]
    if not bad.any() or bad.mean() > quarantine:
        return typed, nothing_aside(typed), checks
    kept, aside = separate(remaining, bad, failures, dataset)
    return kept, aside_as_text(aside), [as_warning(check) for check in checks]


def failing(failures: Failures, rows: int) -> np.ndarray:
    """Which of the ``rows`` fail a check of severity error, bool of shape (rows,)."""
    return _union([found for check, found in failures if check.severity == "error"], rows)


def nothing_aside(typed: "pd.DataFrame") -> "pd.DataFrame":
    """The rows set aside if there are none."""
    return typed.iloc[:0].assign(reasons="")


def separate(
    remaining: Kept, bad: np.ndarray, failures: Failures, dataset: Dataset
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The typed rows that are not ``bad`` (bool, shape (n,)), and the others as read, with their errors as ``reasons``."""
    # Cast again, so that integers which are complete by now become int64.
    kept = cast(remaining.frame[~bad].reset_index(drop=True), dataset)[0]
    return kept, _set_aside(remaining, bad, failures)


def aside_as_text(aside: "pd.DataFrame") -> "pd.DataFrame":
    """Rows set aside, with the columns of the source as text."""
    return aside.astype({name: "str" for name in aside if name not in OWN})


def _described(frame: "pd.DataFrame", dataset: Dataset) -> Iterable[Check]:
    if extra := sorted(set(frame.columns) - set(dataset.columns)):
        remedy = f"They are left out; describe them in {commands.description(dataset.name)} to use them."
        yield Check(", ".join(extra), "is described", len(extra), len(frame.columns), (), remedy, "warning")


def require_columns(frame: "pd.DataFrame", dataset: Dataset, source: str, champion: bool = False) -> None:
    """Raise ChurnError if the file lacks columns; a ``champion`` needs no outcome and cannot use another description."""
    ignored = ("ignore", "target") if champion else ("ignore",)
    wanted = [name for name, column in dataset.columns.items() if column.role not in ignored]
    if missing := [name for name in wanted if name not in frame.columns]:
        what, it = (
            (f"column {missing[0]!r} is", "it") if len(missing) == 1 else (f"columns {_listed(missing)} are", "them")
        )
        way = f", or describe the file's columns in {commands.description(dataset.name)}"
        other = ": the champion was trained with " + it if champion else way
        held = ", ".join(map(str, frame.columns))
        raise ChurnError(f"{source}: {what} missing; the file has: {held}. Add {it} to the file{other}")


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def cell_checks(
    remaining: Kept, typed: "pd.DataFrame", unreadable: dict[str, np.ndarray], dataset: Dataset
) -> Failures:
    """The row checks, with the rows that fail: types first, then those by pandera."""
    from churn.validation import schema

    failures: Failures = []
    for name, bad in unreadable.items():
        column = dataset.columns[name]
        if column.role == "ignore":
            continue
        rows = np.flatnonzero(bad)
        examples = example_values(remaining.frame[name].iloc[rows[:EXAMPLES]], remaining.numbers[rows])
        rule = READS[column.type]
        remedy = remedies.unreadable(name, remaining.frame[name].iloc[rows], dataset)
        failures.append((Check(name, rule, len(rows), len(remaining.frame), examples, remedy), rows))
    return failures + schema.checks(typed, dataset, unreadable, remaining.numbers)


READS = {  # the rules of types
    "integer": "is an integer",
    "number": "is a number",
    "timestamp": "is a timestamp like 2026-11-23 or 2026-11-23T10:00:00",
}


def _union(parts: Iterable[np.ndarray], rows: int) -> np.ndarray:
    bad = np.zeros(rows, dtype=bool)
    for part in parts:
        bad[part] = True
    return bad


def as_warning(check: Check) -> Check:
    """The check as a warning: an error whose rows are in quarantine does not stop the run."""
    if check.passed or check.severity == "warning":
        return check
    return replace(check, severity="warning", remedy=f"These rows are in quarantine. {check.remedy}")


def _set_aside(remaining: Kept, bad: np.ndarray, failures: Failures) -> "pd.DataFrame":
    """The rows as read, with all their errors as ``reasons``."""
    import pandas as pd

    reasons = pd.Series("", index=np.flatnonzero(bad), dtype="object")
    for check, rows in failures:
        if check.severity == "error" and len(rows):
            reasons.loc[rows] += f"{check.column} {check.rule}; "
    aside = remaining.frame.iloc[np.flatnonzero(bad)]
    return aside.assign(reasons=reasons.str.removesuffix("; ").to_numpy(), row=remaining.numbers[bad])


def _whole(frame: "pd.DataFrame", dataset: Dataset, limits: Quality) -> tuple[SortedColumns, list[Check]]:
    columns = SortedColumns(frame, (frame[dataset.target] == dataset.positive).to_numpy())
    return columns, list(_table_checks(frame, columns, dataset, limits))


def _table_checks(frame: "pd.DataFrame", columns: SortedColumns, dataset: Dataset, limits: Quality) -> Iterable[Check]:
    """The checks of the whole table: enough rows of both classes, few enough missing values, recency, no leakage."""
    place = f"{commands.settings('data.toml')} [quality]"
    remedy = f"Give more rows, or lower min_rows in {place}."
    yield _at_least("(table)", "rows", len(frame), limits.min_rows, remedy)
    remedy = "A model can only be trained when both outcomes occur: check the export."
    counts = columns.counts(dataset.target)
    for value in (dataset.negative, dataset.positive):
        yield _at_least(dataset.target, f"rows of {value!r}", int(counts.get(value, 0)), limits.min_class_rows, remedy)
    share = counts.get(dataset.positive, 0) / max(len(frame), 1)
    low, high = limits.churn_share
    remedy = f"Check how churn was decided in this export, or change churn_share in {place}."
    yield _flag(dataset.target, f"churn share is {low:.1%} to {high:.1%}", low <= share <= high, f"{share:.2%}", remedy)
    for name, column in dataset.columns.items():
        if column.missing and name in frame and column.role == "feature":
            gone = float(frame[name].isna().mean())
            remedy = f"Find out why, or raise max_missing in {remedies.file_of(dataset, name)}."
            rule = f"is missing in at most {column.max_missing:.1%} of the rows"
            yield _flag(name, rule, gone <= column.max_missing, f"{gone:.1%}", remedy, "error")
    yield from _duplicates(frame, dataset)
    yield from _freshness(frame, dataset, limits)
    yield from _suspects(frame, columns, dataset, limits)


def _at_least(column: str, what: str, actual: int, least: int, remedy: str) -> Check:
    examples = () if actual >= least else (f"found {actual}",)
    return Check(column, f"has at least {least} {what}", max(least - actual, 0), least, examples, remedy)


def _flag(column: str, rule: str, kept: bool, actual: str, remedy: str, severity: Severity = "warning") -> Check:
    return Check(column, rule, int(not kept), 1, () if kept else (f"found {actual}",), remedy, severity)


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


def _suspects(frame: "pd.DataFrame", columns: SortedColumns, dataset: Dataset, limits: Quality) -> Iterable[Check]:
    churned = (frame[dataset.target] == dataset.positive).to_numpy()
    if churned.all() or not churned.any():
        return

    def separation(name: str) -> float:
        return leakage.separation(frame[name], churned, columns[name] if dataset.raw[name].numeric else None)

    with ThreadPoolExecutor(cpus()) as side_by_side:  # numpy releases the GIL while it sorts
        separations = dict(zip(dataset.raw, side_by_side.map(separation, dataset.raw), strict=True))
    for name, value in separations.items():
        rule = f"does not alone tell who churned (ROC-AUC at most {leakage.SUSPECT})"
        remedy = f'Filled in afterwards? Then role = "ignore" in {remedies.file_of(dataset, name)}.'
        yield _flag(name, rule, value <= leakage.SUSPECT, f"{value:.4f}", remedy, limits.leakage)
