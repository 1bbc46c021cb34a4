"""Writes lists for spreadsheets: text that would be read as a formula is quoted, as OWASP recommends (CSV injection)."""

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = r"[=+\-@\t\r\n]"  # the first character of a cell that a spreadsheet would compute
_NUMBER = r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?|[+-]?[.,]\d+"
ROWS = 65_536  # per batch that Arrow writes
QUOTE = "'"  # makes a spreadsheet show the cell as text, without the quote


def csv(table: "pd.DataFrame") -> bytes:
    """The table as CSV without formulas, in UTF-8, written by Arrow, which takes a sixth of pandas' time.

    All text is quoted: some programs would start a new row, and so a new cell, at a CR within a cell.
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
    """A column in a form that Arrow writes as users expect: True and False, and dates without hours."""
    import pandas as pd

    plain = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    return column if plain or isinstance(column.dtype, pd.CategoricalDtype) else column.astype("str")


def quote_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with formulas quoted in its header and in its text columns.

    A column whose cells are all numeric or empty is not a text column: a negative number stays one.
    """
    quoted = table.copy(deep=False)
    for place, (_, column) in enumerate(table.items()):
        cells = quote_column(column)
        if cells is not column:
            quoted.isetitem(place, cells.array)
    quoted.columns = [quote_name(name) if isinstance(name, str) else name for name in table]
    return quoted


def quote_column(column: "pd.Series") -> "pd.Series":
    """A column with formulas quoted, unless it is no text column."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):  # quote the levels once, not every cell
        levels = pd.Series(column.cat.categories, dtype=column.cat.categories.dtype)
        safe = quote_column(levels)
        return column if safe is levels else column.cat.rename_categories(safe.tolist())
    if not (pd.api.types.is_object_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype)):
        return column
    return quote_cells(column) if risky(column) and textual(column) else column


def _risky(column: "pd.Series") -> "pd.Series":
    return column.astype("str").str.match(_FORMULA).fillna(False).astype(bool)


def textual(column: "pd.Series") -> bool:
    """Whether a cell of a text column is neither empty nor a number."""
    texts = column.astype("str")
    return not texts[texts.notna() & (texts != "")].str.fullmatch(_NUMBER).all()


def risky(column: "pd.Series") -> bool:
    """Whether a cell of a text column begins like a formula."""
    return bool(_risky(column).any())


def quote_cells(column: "pd.Series") -> "pd.Series":
    """A text column with formulas quoted, as a part of one that is ``textual``."""
    return column.mask(_risky(column), QUOTE + column.astype("str"))


def quote_name(name: str) -> str:
    """A column's name, quoted if a spreadsheet would compute it."""
    return QUOTE + name if re.match(_FORMULA, name) else name


def unquoted(cell: str) -> str:
    """The original cell, before ``quote_formulas``."""
    return cell[1:] if re.match(QUOTE + _FORMULA, cell) else cell
