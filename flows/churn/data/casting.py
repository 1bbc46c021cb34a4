"""Casts raw values to the types of the data set. Nothing is guessed: values that do not fit are reported as written."""

from typing import TYPE_CHECKING

import numpy as np
from churn.data.formats import NumberFormat, parse_numbers, parse_timestamps
from churn.settings.description.column import Cells
from churn.settings.description.spelling import BLANKS, Spellings

if TYPE_CHECKING:
    import pandas as pd


def as_text(values: "pd.Series", missing: tuple[str, ...] = ()) -> "pd.Series":
    """Values as stripped text, of dtype str (or category, if they were); blanks and ``missing`` become missing.

    Whole numbers are written without a decimal point (1.0 is '1'), because integers with gaps arrive as floats.
    """
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        labels = as_text(pd.Series(values.cat.categories), missing)
        codes, distinct = pd.factorize(labels, sort=True)  # stripping may make labels equal, or missing (-1)
        places = values.cat.codes.to_numpy()
        mapped = codes[places] if len(codes) else places
        mapped = pd.Series(mapped).where(pd.Series(places) >= 0, -1).to_numpy()
        return pd.Series(pd.Categorical.from_codes(mapped, distinct), index=values.index)
    if values.dtype.kind == "f":
        integral = values.dropna() % 1 == 0
        values = values.astype("Int64") if integral.all() else values
    text = values.astype("str").str.strip(BLANKS)
    present = values.notna() & (text != "")
    return text.where(present & ~text.isin(missing) if missing else present)


def cast(frame: "pd.DataFrame", dataset: Cells) -> tuple["pd.DataFrame", dict[str, np.ndarray]]:
    """Cast the described columns of ``frame`` (n rows) to their types.

    Returns:
        The typed columns: numbers as float64, or int64 if they are integers and complete; categories as category; timestamps as
        datetime64 in UTC without a time zone; anything else as str. Unreadable values become missing. And, for each column with
        unreadable values, a bool mask of shape (n,).
    """
    import pandas as pd

    typed: dict[str, pd.Series] = {}
    unreadable: dict[str, np.ndarray] = {}
    for name in dataset.columns:
        if name in frame.columns:
            typed[name], bad = _cast(frame[name], name, dataset)
            if bad is not None and bad.any():
                unreadable[name] = bad
    return pd.DataFrame(typed), unreadable


def _cast(values: "pd.Series", name: str, dataset: Cells) -> "tuple[pd.Series, np.ndarray | None]":
    column, missing = dataset.columns[name], dataset.missing_words(name)
    if column.numeric:
        return _number(values, column.type == "integer", missing, NumberFormat.of(dataset, column))
    if column.type == "timestamp":
        if values.dtype.kind != "M":
            values = as_text(values, missing)
        timestamps = parse_timestamps(values, column.format)
        return timestamps, (timestamps.isna() & values.notna()).to_numpy()
    text = as_text(values, missing)
    if column.type != "category":
        return text.astype("str"), None
    return _levels(text, dataset.spellings(name) if column.role in ("feature", "target") else None), None


def _levels(text: "pd.Series", spellings: Spellings | None) -> "pd.Series":
    """Levels as a category, sorted, and only those that occur, so that equal columns are equal bytes."""
    import pandas as pd

    categories = text.astype("category")
    codes = categories.cat.codes.to_numpy().astype(np.int64)
    occurs = (
        np.bincount(codes + 1, minlength=len(categories.cat.categories) + 1)[1:] > 0
    )  # the code -1 is a missing cell
    categories = categories if occurs.all() else categories.cat.remove_unused_categories()
    written = categories.cat.categories.tolist()
    levels = [spellings.level(text) for text in written] if spellings else written
    if levels == written:
        return categories
    places, distinct = pd.factorize(pd.Series(levels, dtype="str"), sort=True)  # spellings may make levels equal
    codes = np.append(places, -1)[categories.cat.codes.to_numpy()]
    return pd.Series(pd.Categorical.from_codes(codes, distinct), index=text.index)


def _number(
    values: "pd.Series", integer: bool, missing: tuple[str, ...], form: NumberFormat
) -> "tuple[pd.Series, np.ndarray | None]":
    import pandas as pd

    if integer and values.dtype.kind == "i":
        return values.astype("int64"), None
    if pd.api.types.is_numeric_dtype(values):
        number = values.astype("float64")
    else:
        values = as_text(values, missing).astype("str")
        number = parse_numbers(values, form)
    number = number.where(number.abs() != float("inf"))
    bad = number.isna() & values.notna()
    if integer:
        bad |= number.notna() & (number % 1 != 0)
    integral = integer and not number.isna().any() and not bad.any()
    return (number.astype("int64") if integral else number.where(~bad)), bad.to_numpy()
