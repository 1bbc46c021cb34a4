"""Leaves out, and counts, rows before any check: repeated header lines, and rows without an outcome."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.data.casting import as_text
from churn.errors import ChurnError
from churn.files.header_lines import header_lines
from churn.settings import commands
from churn.settings.data import Quality
from churn.settings.dataset import Dataset
from churn.settings.description.spelling import fold
from churn.validation.checks import EXAMPLES, Check, Severity

if TYPE_CHECKING:
    import pandas as pd

HEADER_LINES = "repeated header lines"


@dataclass(frozen=True)
class Kept:
    """The rows that stay.

    ``numbers`` (shape (n,)) are their row numbers in the source, from 1, without the header; ``checks`` has one check for each
    kind of excluded row; ``left_out`` describes what was left out, with counts.
    """

    frame: "pd.DataFrame"
    numbers: np.ndarray
    checks: tuple[Check, ...]
    left_out: tuple[str, ...]


def exclude(frame: "pd.DataFrame", dataset: Dataset, limits: Quality | None = None, before: int = 0) -> Kept:
    """Leave out repeated header lines and, if there is a target column, rows whose outcome is missing or in ``leave_out``.

    A part of a table may be excluded entirely; the caller then calls ``require_rows`` for the whole. ``before`` is the number of
    rows in the parts before it.
    """
    headers = header_lines(frame)
    check = _check("(table)", "repeats no header line", headers, "They are left out.", before=before)
    kinds = [(check, HEADER_LINES, headers)]
    if dataset.target in frame:
        kinds += _without_outcome(frame[dataset.target], headers, dataset, limits)
    gone = np.any([rows for _, _, rows in kinds], axis=0)
    words = tuple(counted(what, check.failed) for check, what, _ in kinds if not check.passed)
    numbers = np.flatnonzero(~gone) + 1 + before
    rows = frame[~gone].reset_index(drop=True) if gone.any() else frame
    return Kept(rows, numbers, tuple(check for check, _, _ in kinds), words)


def counted(what: str, count: int) -> str:
    """What was left out, with its count."""
    return f"{what} ({count:,})"


def require_rows(kept: int, rows: int, dataset: Dataset) -> None:
    """Raise ChurnError if none of the ``rows`` of a table was kept."""
    if rows and not kept:
        raise ChurnError(
            f"column '{dataset.target}': none of the {rows} rows says whether the customer left; "
            "give customers whose outcome is known, or another column the role 'target'"
        )


def _without_outcome(
    target: "pd.Series", headers: np.ndarray, dataset: Dataset, limits: Quality | None
) -> list[tuple[Check, str, np.ndarray]]:
    name, out = dataset.target, dataset.columns[dataset.target].leave_out
    outcomes = as_text(target, dataset.missing_words(name))
    unlabelled = outcomes.isna().to_numpy() & ~headers
    severity: Severity = "error" if limits is not None and limits.unlabelled == "error" else "warning"
    check = _check(name, "says whether the customer left", unlabelled, _decide(severity), severity)
    kinds = [(check, "rows without an outcome", unlabelled)]
    if out:
        rows, listed = left_out(outcomes, dataset).to_numpy(), " or ".join(map(repr, out))
        remedy = f"They are left out, as leave_out in {commands.description(dataset.name)} says."
        kinds.append((_check(name, f"is not {listed}", rows, remedy), f"rows of {listed}", rows))
    return kinds


def left_out(outcomes: "pd.Series", dataset: Dataset) -> "pd.Series":
    """Which ``outcomes`` (text) are in ``leave_out``, in any spelling."""
    words = set(map(fold, dataset.columns[dataset.target].leave_out))
    return outcomes.isin([text for text in outcomes.dropna().unique() if fold(text) in words])


def _decide(severity: Severity) -> str:
    place = f"{commands.settings('data.toml')} [quality]"
    if severity == "warning":
        return f'They are left out; to stop the run instead set unlabelled = "error" in {place}.'
    return (
        f'Fill the outcomes in, take these rows out of the file, or have them left out: unlabelled = "drop" in {place}.'
    )


def _check(
    column: str, rule: str, rows: np.ndarray, remedy: str, severity: Severity = "warning", before: int = 0
) -> Check:
    examples = tuple(f"row {number}" for number in (np.flatnonzero(rows)[:EXAMPLES] + 1 + before).tolist())
    return Check(column, rule, int(rows.sum()), len(rows), examples, remedy, severity)
