"""Cells as they were found, in the data set's types. Nothing is guessed: what does not fit is reported as it was written."""

from typing import TYPE_CHECKING

import numpy as np
from churn.dataset import Column, Dataset

if TYPE_CHECKING:
    import pandas as pd


def as_text(values: "pd.Series", missing: tuple[str, ...] = ()) -> "pd.Series":
    """Cells as stripped text of dtype str, or of dtype category if they were so; blank cells and ``missing`` become missing.

    Whole numbers are written without a point (1.0 is '1'), because a column of integers with a gap arrives as floats.
    """
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        labels = as_text(pd.Series(values.cat.categories), missing)
        codes, distinct = pd.factorize(labels, sort=True)  # labels may have become equal, or missing (-1)
        found = values.cat.codes.to_numpy()
        mapped = codes[found] if len(codes) else found
        mapped = pd.Series(mapped).where(pd.Series(found) >= 0, -1).to_numpy()
        return pd.Series(pd.Categorical.from_codes(mapped, distinct), index=values.index)
    if values.dtype.kind == "f":
        whole = values.dropna() % 1 == 0
        values = values.astype("Int64") if whole.all() else values
    text = values.astype("str").str.strip()
    present = values.notna() & (text != "")
    return text.where(present & ~text.isin(missing) if missing else present)


def conform(frame: "pd.DataFrame", dataset: Dataset) -> tuple["pd.DataFrame", dict[str, np.ndarray]]:
    """The described columns of ``frame`` in their types, and for each column with unreadable cells where they are, (n,).

    Numbers become float64, or int64 where whole and complete; categories category; timestamps datetime64 in UTC without a
    zone; anything else str. Unreadable cells are missing in the result.
    """
    import pandas as pd

    typed: dict[str, pd.Series] = {}
    unreadable: dict[str, np.ndarray] = {}
    for name, column in dataset.columns.items():
        if name in frame.columns:
            typed[name], bad = _conform(frame[name], column, dataset)
            if bad is not None and bad.any():
                unreadable[name] = bad
    return pd.DataFrame(typed), unreadable


def _conform(values: "pd.Series", column: Column, dataset: Dataset) -> "tuple[pd.Series, np.ndarray | None]":
    import pandas as pd

    missing = dataset.missing_values
    if column.numeric:
        return _number(values, column.type == "integer", missing, dataset.decimal)
    if column.type == "timestamp":
        if values.dtype.kind != "M":
            values = as_text(values, missing)
        found = pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True)
        return found.dt.tz_localize(None).astype("datetime64[us]"), (found.isna() & values.notna()).to_numpy()
    text = as_text(values, missing)
    if column.type != "category":
        return text.astype("str"), None
    return _levels(text), None


def _levels(text: "pd.Series") -> "pd.Series":
    """Sorted and only those that occur: equal columns are then equal bytes, wherever they come from."""
    found = text.astype("category")
    codes = found.cat.codes.to_numpy().astype(np.int64)
    occurs = np.bincount(codes + 1, minlength=len(found.cat.categories) + 1)[1:] > 0  # the code -1 is a missing cell
    return found if occurs.all() else found.cat.remove_unused_categories()


def _number(
    values: "pd.Series", integer: bool, missing: tuple[str, ...], decimal: str
) -> "tuple[pd.Series, np.ndarray | None]":
    import pandas as pd

    if integer and values.dtype.kind == "i":
        return values.astype("int64"), None
    if not pd.api.types.is_numeric_dtype(values):
        values = as_text(values, missing).astype("str")
        values = values.str.replace(decimal, ".") if decimal != "." else values
    number = pd.to_numeric(values, errors="coerce").astype("float64")
    number = number.where(number.abs() != float("inf"))
    bad = number.isna() & values.notna()
    if integer:
        bad |= number.notna() & (number % 1 != 0)
    whole = integer and not number.isna().any() and not bad.any()
    return (number.astype("int64") if whole else number.where(~bad)), bad.to_numpy()
