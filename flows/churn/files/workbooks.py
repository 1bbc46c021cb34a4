"""The first sheet of Excel workbooks (.xlsx, .xlsb, .xls) and OpenDocument spreadsheets (.ods), read by calamine.

A workbook of a few kilobytes can expand to any size (shared strings, repeated rows, one cell in the last corner), and calamine
has no limit: it runs in a separate process, whose memory the kernel limits.
"""

import datetime
import io
import marshal
import subprocess
import sys
from pathlib import Path
from typing import Any

from churn.errors import ChurnError
from churn.files import file_kinds

Cells = list[list[Any]]
READER = 256 << 20  # bytes of address space that the process itself takes
ENTRY = "import sys; sys.path.insert(0, sys.argv[1]); from churn.files import workbooks; workbooks.main()"


def first_sheet(data: bytes, name: str, most_bytes: int = file_kinds.MOST_BYTES) -> tuple[list[str], Cells, list[str]]:
    """The result of ``cells``, read by a separate process with at most ``most_bytes`` of memory.

    Raises:
        ChurnError: As for ``cells``, or the workbook takes more memory.
    """
    folder = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", ENTRY, folder, name, str(most_bytes + READER)]
    done = subprocess.run(command, input=data, capture_output=True)
    if done.returncode == 0:
        refused, content = marshal.loads(done.stdout)  # nosec B302 - from our own process
        if refused:
            raise ChurnError(content)
        return content
    reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if done.returncode < 0 or "MemoryError" in reason:
        raise file_kinds.Expanded(name, most_bytes)
    raise file_kinds.damaged(name, "workbook", RuntimeError(reason))


def main() -> None:
    """The process: reads a workbook from standard input, writes its cells, or why it is refused, to standard output."""
    import resource

    name, most = sys.argv[2], int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        answer: tuple[bool, Any] = (False, cells(sys.stdin.buffer.read(), name))
    except ChurnError as error:
        answer = (True, str(error))
    sys.stdout.buffer.write(marshal.dumps(answer))


def cells(data: bytes, name: str) -> tuple[list[str], Cells, list[str]]:
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
