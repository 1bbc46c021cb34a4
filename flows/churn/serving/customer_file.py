"""Convert a file of customers to rows for the service; used by ``make predict`` and the service's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn.data.casting import as_text, cast
from churn.errors import ChurnError
from churn.files import header_lines, reader
from churn.settings.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CustomerFile:
    """The customers of a file, as text and as ``rows`` for predict_batch.

    The text has a ``header`` (``""``: an empty cell); ``numbers`` are the row numbers in the file (from 1, without the header);
    notes say how the file was read.
    """

    header: list[str]
    cells: list[list[str]]
    rows: list[dict[str, Any]]
    numbers: list[int]
    notes: tuple[str, ...]


def parse(
    data: bytes, name: str, dataset: Dataset, fields: Sequence[str], most_bytes: int = reader.file_kinds.MOST_BYTES
) -> CustomerFile:
    """Parse the file's bytes as the flows do (``reader.parse``), and its cells as in training (``cast``).

    ``fields`` are the columns that a row may have. A missing cell becomes None; a cell that does not match its column's type
    stays text, so that the service reports it. Raises ChurnError as ``reader.parse`` does, and for a missing column.
    """
    reading = reader.parse(data, name, most_bytes)
    frame, numbers, notes = header_lines.drop_repeated(reading.table.to_pandas(ignore_metadata=True), name)
    header = [str(column) for column in frame]
    needed = [column for column, about in dataset.raw.items() if not about.missing]
    if absent := [column for column in needed if column not in frame]:
        raise ChurnError(
            f"{name}: no column {', '.join(absent)}; the service needs it for every customer. The file has: {', '.join(header)}"
        )
    present = [field for field in fields if field in frame]
    typed, unreadable = cast(frame[present], dataset)
    columns = [_values(frame[field], typed[field], unreadable.get(field)) for field in present]
    rows = [dict(zip(present, values, strict=True)) for values in zip(*columns, strict=True)]
    text = frame.apply(as_text).astype("object").where(frame.notna(), "").fillna("")
    return CustomerFile(header, text.to_numpy().tolist(), rows, numbers.tolist(), (*reading.notes, *notes))


def _values(original: "pd.Series", typed: "pd.Series", unreadable: Any) -> list[Any]:
    cells = typed.astype("object").where(typed.notna(), None)
    if unreadable is not None:
        cells = cells.where(~unreadable, as_text(original).astype("object"))
    return cells.tolist()
