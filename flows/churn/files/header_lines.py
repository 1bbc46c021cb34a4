"""Finds rows that repeat the header, as in concatenated files; they are never customers."""

from typing import TYPE_CHECKING

import numpy as np
from churn.settings.description.spelling import fold

if TYPE_CHECKING:
    import pandas as pd


def header_lines(frame: "pd.DataFrame") -> np.ndarray:
    """Which rows repeat the header, bool of shape (n,): every value is the column's name, regardless of case and blanks."""
    import pandas as pd

    if any(kind.kind in "biufcmM" for kind in frame.dtypes):  # a column of numbers or timestamps cannot hold a name
        return np.zeros(len(frame), dtype=bool)
    repeated = np.ones(len(frame), dtype=bool)
    # Columns with few values first: if there is no header line, as in nearly every file, one of them proves it at once.
    for name in sorted(frame.columns, key=lambda name: not isinstance(frame[name].dtype, pd.CategoricalDtype)):
        if repeated.any():
            repeated[repeated] = _is_name(frame[name][repeated], str(name))
    return repeated


def _is_name(cells: "pd.Series", name: str) -> np.ndarray:
    import pandas as pd

    if not isinstance(cells.dtype, pd.CategoricalDtype):  # a fast filter for columns with many values
        bare, wanted = cells.astype("str").str.strip().str.lower(), name.strip().lower()
        cells = cells.where(bare.str.startswith(wanted[:1]) & bare.str.endswith(wanted[-1:]))
    return cells.isin([text for text in cells.dropna().unique() if fold(str(text)) == fold(name)]).to_numpy()


def drop_repeated(frame: "pd.DataFrame", name: str) -> "tuple[pd.DataFrame, np.ndarray, tuple[str, ...]]":
    """Remove repeated header lines.

    Returns:
        The other rows, their numbers in the file ``name`` (from 1, without the header; shape (n,)), and a note if any were
        removed.
    """
    repeated = header_lines(frame)
    note = f"{name}: left out: repeated header lines ({repeated.sum():,})"
    return frame[~repeated].reset_index(drop=True), np.flatnonzero(~repeated) + 1, (note,) * bool(repeated.any())
