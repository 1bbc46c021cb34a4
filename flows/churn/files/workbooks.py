"""The first sheet of Excel workbooks (.xlsx, .xlsb, .xls) and OpenDocument spreadsheets (.ods), read by calamine."""

import datetime
import io
from typing import Any

from churn.errors import ChurnError

Cells = list[list[Any]]


def first_sheet(data: bytes, name: str) -> tuple[list[str], Cells, list[str]]:
    """The header, the columns of the rows below it, and notes on how they were read.

    The header is the first row that is not blank. A column of numbers stays numeric (float, None where empty); any other
    becomes text ("" where empty), with dates in ISO 8601 and whole numbers without a decimal point.

    Raises:
        ChurnError: The file is damaged, has a password, or is empty.
    """
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = workbook.sheet_names
        rows = workbook.get_sheet_by_index(0).to_python(skip_empty_area=True)
    except PasswordError:
        raise ChurnError(f"{name}: a workbook with a password; save it without") from None
    except (CalamineError, OSError, IndexError) as error:
        raise ChurnError(
            f"{name}: not a readable workbook ({error}); save it as .xlsx without a password, or as CSV (UTF-8)"
        ) from None
    if not rows:
        raise ChurnError(f"{name}: the first sheet, {sheets[0]!r}, is empty; put the table there")
    notes = [f"{name}: the first of {len(sheets)} sheets was read, {sheets[0]!r}"] if len(sheets) > 1 else []
    header, *body = rows
    columns = [_column([row[place] for row in body]) for place in range(len(header))]
    return [_text(cell) for cell in header], columns, notes


def _column(cells: list[Any]) -> list[Any]:
    filled = [cell for cell in cells if cell != ""]
    if filled and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in filled):
        return [None if cell == "" else float(cell) for cell in cells]
    return [_text(cell) for cell in cells]


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.date | datetime.time):  # a datetime is a date too
        return cell.isoformat()
    return str(cell)
