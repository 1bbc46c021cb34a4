"""Lists for spreadsheets: text that would be read as a formula is quoted, as OWASP recommends (CSV injection)."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = r"[=+\-@\t\r\n]"  # how a cell begins that a spreadsheet computes
_NUMBER = r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?|[+-]?[.,]\d+"
QUOTE = "'"  # a spreadsheet shows the cell as text, without it


def csv(table: "pd.DataFrame") -> str:
    """The table as CSV without formulas.

    Lines end with CR and LF: only then a CR within a cell is quoted too, which else would begin a row, and with it a cell.
    """
    return quote_formulas(table).to_csv(index=False, lineterminator="\r\n")


def quote_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with formulas quoted in its header and in its text columns.

    A column whose cells are all numbers, or empty, is no text column: a negative number stays one.
    """
    made = table.copy(deep=False)
    for place, (_, column) in enumerate(table.items()):
        cells = _column(column)
        if cells is not column:
            made.isetitem(place, cells.array)
    made.columns = [QUOTE + str(name) if re.match(_FORMULA, str(name)) else name for name in table]
    return made


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
