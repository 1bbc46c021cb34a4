"""Checking the typed table against the data set's description. All failures at once, each with its remedy."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from typing import TYPE_CHECKING

import numpy as np
from churn.data.casting import cast
from churn.errors import ChurnError
from churn.settings import commands
from churn.settings.data import Quality
from churn.settings.dataset import Dataset
from churn.validation import leakage, remedies
from churn.validation.checks import EXAMPLES, Check, Found, Report, Severity, shown
from churn.validation.exclusions import Kept, exclude
from churn.validation.sorted_columns import Columns

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Validated:
    """The typed rows that may be used and what their columns hold, the rows set aside (with a column ``reasons``), and the
    report of all checks.
    """

    table: "pd.DataFrame"
    quarantine: "pd.DataFrame"
    columns: Columns
    report: Report


def validate(frame: "pd.DataFrame", dataset: Dataset, limits: Quality, source: str) -> Validated:
    """Type and check a table (see ``Report.require``). Rows with errors go to quarantine if ``limits`` allow as many.

    Raises ChurnError at once if a column is missing, because nothing after that would make sense.
    """
    _require_columns(frame, dataset, source)
    given = exclude(frame, dataset, limits)
    typed = cast(given.frame, dataset)
    with ThreadPoolExecutor(1) as ahead:  # beside the rows' own checks, which most tables pass whole
        whole = ahead.submit(_whole, typed[0], dataset, limits)
        kept, aside, checks = _rows(given, *typed, dataset, limits.quarantine)
        columns, others = whole.result() if kept is typed[0] else _whole(kept, dataset, limits)
    checks += [*_described(frame, dataset), *others]
    return Validated(kept, aside, columns, _report(given, aside, checks))


def screen(frame: "pd.DataFrame", dataset: Dataset, quarantine: float, source: str) -> Validated:
    """``validate`` for customers whose outcome is not known: what a row can fail by itself, and no target is needed.

    ``quarantine`` is the largest share of rows that may be set aside. Raises ChurnError at once if a column is missing.
    """
    _require_columns(frame, dataset, source, champion=True)
    given = exclude(frame.drop(columns=dataset.target, errors="ignore"), dataset)
    kept, aside, checks = _rows(given, *cast(given.frame, dataset), dataset, quarantine)
    columns = Columns(kept, np.zeros(len(kept), dtype=bool))  # of all customers alike
    return Validated(kept, aside, columns, _report(given, aside, [_for_champion(check, dataset) for check in checks]))


def _for_champion(check: Check, dataset: Dataset) -> Check:
    """A remedy in the description helps the next model: the champion keeps the one that it was trained with."""
    if check.passed or commands.description(dataset.name) not in check.remedy:
        return check
    return replace(check, remedy=f"{check.remedy} A changed description counts from the next training on.")


def _report(given: Kept, aside: "pd.DataFrame", checks: list[Check]) -> Report:
    return Report((*given.checks, *checks), len(given.frame), len(aside), given.left_out)


def _rows(
    given: Kept,
    typed: "pd.DataFrame",
    unreadable: dict[str, np.ndarray],
    dataset: Dataset,
    quarantine: float,
) -> "tuple[pd.DataFrame, pd.DataFrame, list[Check]]":
    """The typed rows to go on with, those set aside, and the checks that a row fails by itself."""
    frame = given.frame
    found = _cell_checks(given, typed, unreadable, dataset)
    bad = _union([rows for check, rows in found if check.severity == "error"], len(typed))
    checks = [check for check, _ in found]
    if not bad.any() or bad.mean() > quarantine:
        return typed, typed.iloc[:0].assign(reasons=""), checks
    kept = cast(frame[~bad].reset_index(drop=True), dataset)[0]  # anew: integers are integers again
    return kept, _set_aside(given, bad, found), [_pardoned(check) for check in checks]


def _described(frame: "pd.DataFrame", dataset: Dataset) -> Iterable[Check]:
    if extra := sorted(set(frame.columns) - set(dataset.columns)):
        remedy = f"They are left out; describe them in {commands.description(dataset.name)} to use them."
        yield Check(", ".join(extra), "is described", len(extra), len(frame.columns), (), remedy, "warning")


def _require_columns(frame: "pd.DataFrame", dataset: Dataset, source: str, champion: bool = False) -> None:
    """Raises ChurnError for columns that are not in the file; a ``champion`` needs no outcome, and no other description."""
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


def _cell_checks(given: Kept, typed: "pd.DataFrame", unreadable: dict[str, np.ndarray], dataset: Dataset) -> Found:
    """Checks that a row fails by itself, with the failing rows: types, then what pandera finds in the typed table."""
    from churn.validation import schema

    found: Found = []
    for name, bad in unreadable.items():
        column = dataset.columns[name]
        if column.role == "ignore":
            continue
        rows = np.flatnonzero(bad)
        examples = shown(given.frame[name].iloc[rows[:EXAMPLES]], given.numbers[rows])
        rule = f"is {_ARTICLE[column.type]}"
        remedy = remedies.unreadable(name, given.frame[name].iloc[rows], dataset)
        found.append((Check(name, rule, len(rows), len(given.frame), examples, remedy), rows))
    return found + schema.checks(typed, dataset, unreadable, given.numbers)


_ARTICLE = {
    "integer": "an integer",
    "number": "a number",
    "timestamp": "a moment like 2026-11-23 or 2026-11-23T10:00:00",
}


def _union(parts: Iterable[np.ndarray], rows: int) -> np.ndarray:
    bad = np.zeros(rows, dtype=bool)
    for part in parts:
        bad[part] = True
    return bad


def _pardoned(check: Check) -> Check:
    """An error whose rows are in quarantine is reported, and stops nothing."""
    if check.passed or check.severity == "warning":
        return check
    return replace(check, severity="warning", remedy=f"These rows are in quarantine. {check.remedy}")


def _set_aside(given: Kept, bad: np.ndarray, found: Found) -> "pd.DataFrame":
    """The rows as they came, with every reason."""
    import pandas as pd

    reasons = pd.Series("", index=np.flatnonzero(bad), dtype="object")
    for check, rows in found:
        if check.severity == "error" and len(rows):
            reasons.loc[rows] += f"{check.column} {check.rule}; "
    aside = given.frame.iloc[np.flatnonzero(bad)].astype("str")
    return aside.assign(reasons=reasons.str.removesuffix("; ").to_numpy(), row=given.numbers[bad])


def _whole(frame: "pd.DataFrame", dataset: Dataset, limits: Quality) -> tuple[Columns, list[Check]]:
    columns = Columns(frame, (frame[dataset.target] == dataset.positive).to_numpy())
    return columns, list(_table_checks(frame, columns, dataset, limits))


def _table_checks(frame: "pd.DataFrame", columns: Columns, dataset: Dataset, limits: Quality) -> Iterable[Check]:
    """Enough rows, enough of both classes, not too much missing, fresh, no column that gives the outcome away."""
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
            remedy = f"Find out why, or raise max_missing in {remedies.place(dataset, name)}."
            rule = f"is missing in at most {column.max_missing:.1%} of the rows"
            yield _flag(name, rule, gone <= column.max_missing, f"{gone:.1%}", remedy, "error")
    yield from _duplicates(frame, dataset)
    yield from _freshness(frame, dataset, limits)
    yield from _suspects(frame, columns, dataset, limits)


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


def _suspects(frame: "pd.DataFrame", columns: Columns, dataset: Dataset, limits: Quality) -> Iterable[Check]:
    churned = (frame[dataset.target] == dataset.positive).to_numpy()
    if churned.all() or not churned.any():
        return

    def separation(name: str) -> float:
        return leakage.separation(frame[name], churned, columns[name] if dataset.raw[name].numeric else None)

    with ThreadPoolExecutor(cpu_count()) as side_by_side:  # numpy sorts in one thread and lets others run
        separations = dict(zip(dataset.raw, side_by_side.map(separation, dataset.raw), strict=True))
    for name, found in separations.items():
        rule = f"does not alone tell who churned (ROC-AUC at most {leakage.SUSPECT})"
        remedy = f'Filled in afterwards? Then role = "ignore" in {remedies.place(dataset, name)}.'
        yield _flag(name, rule, found <= leakage.SUSPECT, f"{found:.4f}", remedy, limits.leakage)
