"""Rows that are no examples and are left out before anything is checked, each kind counted: header lines, no outcome."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from churn.checks import EXAMPLES, Check, Severity
from churn.config import Quality
from churn.conform import as_text
from churn.dataset import Dataset
from churn.errors import ChurnError
from churn.spelling import fold

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Kept:
    """The rows that stay, their ``numbers`` (n,) in the source (from 1, without the header), and what left_out was found."""

    frame: "pd.DataFrame"
    numbers: np.ndarray
    checks: tuple[Check, ...]


def header_lines(frame: "pd.DataFrame") -> np.ndarray:
    """Which rows repeat the header, bool of shape (n,): every cell is its column's name, but for case and blanks."""
    import pandas as pd

    if any(kind.kind in "biufcmM" for kind in frame.dtypes):  # a column of numbers or moments holds no name
        return np.zeros(len(frame), dtype=bool)
    found = np.ones(len(frame), dtype=bool)
    # Columns of few values first: where there is no header line, as nearly always, one of them tells so at once.
    for name in sorted(frame.columns, key=lambda name: not isinstance(frame[name].dtype, pd.CategoricalDtype)):
        if found.any():
            found[found] = _is_name(frame[name][found], str(name))
    return found


def _is_name(cells: "pd.Series", name: str) -> np.ndarray:
    import pandas as pd

    if not isinstance(cells.dtype, pd.CategoricalDtype):  # quickly, what a column of many values does not even resemble
        bare, wanted = cells.astype("str").str.strip().str.lower(), name.strip().lower()
        cells = cells.where(bare.str.startswith(wanted[:1]) & bare.str.endswith(wanted[-1:]))
    return cells.isin([text for text in cells.dropna().unique() if fold(str(text)) == fold(name)]).to_numpy()


def exclude(frame: "pd.DataFrame", dataset: Dataset, limits: Quality | None = None) -> Kept:
    """``frame`` without repeated header lines and, where it has the target's column, without rows whose outcome is missing or
    one of ``leave_out``. Raises ChurnError if no row has an outcome."""
    headers = header_lines(frame)
    gone, checks = headers, []
    if headers.any():
        checks.append(_check("(table)", "repeats no header line", headers, "They are left out."))
    if dataset.target in frame:
        column = dataset.columns[dataset.target]
        outcomes = as_text(frame[dataset.target], dataset.missing_words(dataset.target))
        unlabelled = outcomes.isna().to_numpy() & ~headers
        severity: Severity = "error" if limits is not None and limits.unlabelled == "error" else "warning"
        remedy = _FILL_IN if severity == "error" else _LEFT_OUT
        checks.append(_check(dataset.target, "says whether the customer left", unlabelled, remedy, severity))
        known = [text for text in outcomes.dropna().unique() if fold(text) in map(fold, column.leave_out)]
        others = outcomes.isin(known).to_numpy()
        if column.leave_out:
            rule = f"is an outcome to learn from, not {' or '.join(map(repr, column.leave_out))}"
            remedy = f"They are left out, as leave_out in config/datasets/{dataset.name}.toml says."
            checks.append(_check(dataset.target, rule, others, remedy))
        gone = headers | unlabelled | others
        if len(frame) and gone.all():
            raise ChurnError(
                f"column '{dataset.target}': none of the {len(frame)} rows says whether the customer left; "
                "give customers whose outcome is known, or another column the role 'target'"
            )
    numbers = np.flatnonzero(~gone) + 1
    return Kept(frame[~gone].reset_index(drop=True) if gone.any() else frame, numbers, tuple(checks))


_LEFT_OUT = "They are left out; to stop the run instead set unlabelled = \"error\" in config/data.toml [quality]."
_FILL_IN = (
    "Fill the outcomes in, take these rows out of the file, or have them left out: unlabelled = \"drop\" in "
    "config/data.toml [quality]."
)


def _check(column: str, rule: str, rows: np.ndarray, remedy: str, severity: Severity = "warning") -> Check:
    examples = tuple(f"row {number}" for number in (np.flatnonzero(rows)[:EXAMPLES] + 1).tolist())
    return Check(column, rule, int(rows.sum()), len(rows), examples, remedy, severity)
