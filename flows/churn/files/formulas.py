"""Lists for spreadsheets: text that would be read as a formula is quoted, as OWASP recommends (CSV injection)."""

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = r"[=+\-@\t\r\n]"  # how a cell begins that a spreadsheet computes
_NUMBER = r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?|[+-]?[.,]\d+"
ROWS = 65_536  # that Arrow writes at once
QUOTE = "'"  # a spreadsheet shows the cell as text, without it


def csv(table: "pd.DataFrame") -> bytes:
    """The table as CSV without formulas, in UTF-8, written by Arrow, which takes a sixth of pandas' time.

    All text is in quotes: a CR within a cell would begin a row elsewhere, and with it a cell.
    """
    import pyarrow
    from pyarrow import csv as arrow

    safe, target = quote_formulas(table), io.BytesIO()
    columns = [pyarrow.array(_written(column), from_pandas=True) for _, column in safe.items()]
    arrow.write_csv(
        pyarrow.Table.from_arrays(columns, [str(name) for name in safe]), target, arrow.WriteOptions(batch_size=ROWS)
    )
    return target.getvalue()


def _written(column: "pd.Series") -> "pd.Series":
    """A column as Arrow writes it the way people know: True and False, and days without hours."""
    import pandas as pd

    plain = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    return column if plain or isinstance(column.dtype, pd.CategoricalDtype) else column.astype("str")


def quote_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with formulas quoted in its header and in its text columns.

    A column whose cells are all numbers, or empty, is no text column: a negative number stays one.
    """
    quoted = table.copy(deep=False)
    for place, (_, column) in enumerate(table.items()):
        cells = _column(column)
        if cells is not column:
            quoted.isetitem(place, cells.array)
    quoted.columns = [QUOTE + str(name) if re.match(_FORMULA, str(name)) else name for name in table]
    return quoted


def _column(column: "pd.Series") -> "pd.Series":
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):  # as many texts as levels, not as cells
        levels = pd.Series(column.cat.categories, dtype=column.cat.categories.dtype)
        safe = _column(levels)
        return column if safe is levels else column.cat.rename_categories(safe.tolist())
    if not (pd.api.types.is_object_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype)):
        return column
    texts = column.astype("str")
    risky = texts.str.match(_FORMULA).fillna(False).astype(bool)
    if not risky.any():
        return column
    filled = texts[texts.notna() & (texts != "")]
    return column if filled.str.fullmatch(_NUMBER).all() else column.mask(risky, QUOTE + texts)


def unquoted(cell: str) -> str:
    """The cell as it was before ``quote_formulas``."""
    return cell[1:] if re.match(QUOTE + _FORMULA, cell) else cell
