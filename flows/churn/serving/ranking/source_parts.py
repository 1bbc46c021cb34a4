"""The rows of several sources as parts of one table, in the memory of one part where the sources allow it."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, get_args

from churn.data import sources
from churn.files import parts
from churn.settings.data import Files, Origin
from churn.settings.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd


class Uneven(Exception):
    """A part of a table differs in its columns or their types from another; only the whole table shows what they are."""


def streamable(origins: Sequence[Origin]) -> bool:
    """Whether the sources are files without joined columns; databases, events and synthetic customers arrive whole."""
    return not any(getattr(source, "join", False) for source in origins) and all(
        isinstance(source, get_args(Files)) for source in origins
    )


def streamed(origins: Sequence[Origin], dataset: Dataset, notes: list[str]) -> "Iterator[pd.DataFrame]":
    """The rows of files, part by part, with the columns of the first; appends to ``notes`` how they were read.

    Raises:
        Uneven: The parts are not alike, or numbers are to be read as text, whose form depends on all of them.
        ChurnError: A source cannot be read.
    """
    first: dict[str, str] = {}
    for source in origins:
        assert isinstance(source, get_args(Files))
        said: list[str] = []
        for frame, some in sources.in_parts(source):
            said += some
            kinds = {str(name): str(kind) for name, kind in frame.dtypes.items()}
            first = first or kinds
            if kinds != first or not _divisible(frame, dataset):
                raise Uneven
            yield frame[list(first)]
        notes += parts.merged(said)


def together(origins: Sequence[Origin], dataset: Dataset, notes: list[str]) -> "Iterator[pd.DataFrame]":
    """As ``streamed``, for sources of any kind, which are in memory whole while their rows are given part by part."""
    tables, said = zip(*(sources.read(source, dataset) for source in origins), strict=True)
    notes += chain(*said)
    frame = sources.combine(origins, tables, dataset)
    del tables
    size = parts.ROWS if _divisible(frame, dataset) else len(frame)
    for start in range(0, max(len(frame), 1), max(size, 1)):
        yield frame.iloc[start : start + size].reset_index(drop=True)


def _divisible(frame: "pd.DataFrame", dataset: Dataset) -> bool:
    """Whether no column holds floats or timestamps to be read as text, which is written alike in a whole column only."""
    read_as_text = {
        name: column.type for name, column in dataset.columns.items() if not column.numeric and name in frame
    }
    kinds = {name: frame[name].dtype.kind for name in read_as_text}
    return not any(
        kinds[name] == "f" or (kinds[name] == "M" and kind != "timestamp") for name, kind in read_as_text.items()
    )
