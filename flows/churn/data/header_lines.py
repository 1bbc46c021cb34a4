"""Rows of a file that repeat its header, as files have them that were put together: no customers, in whatever is read."""

from typing import TYPE_CHECKING

import numpy as np
from churn.settings.spelling import fold

if TYPE_CHECKING:
    import pandas as pd


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


def without(frame: "pd.DataFrame", name: str) -> "tuple[pd.DataFrame, np.ndarray, tuple[str, ...]]":
    """The other rows, their numbers (n,) in the file ``name`` (from 1, without the header), and a note if there were any."""
    found = header_lines(frame)
    note = f"{name}: left out: repeated header lines ({found.sum():,})"
    return frame[~found].reset_index(drop=True), np.flatnonzero(~found) + 1, (note,) * bool(found.any())
