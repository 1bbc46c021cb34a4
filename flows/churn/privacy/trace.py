"""The traces found of a customer, and what is left to do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trace:
    """The customer's data, or former data, in one place.

    ``values`` are given only if they are informative. ``todo`` is what a person must do about it.
    """

    store: str
    place: str
    what: str
    todo: str = ""
    values: tuple[str, ...] = ()


def damaged_file(store: str, place: str) -> Trace:
    """The trace of a damaged file: whose rows it holds is unknown, and readers refuse it."""
    return Trace(store, place, "a file that is damaged", "restore it from a backup and erase again, or remove it")


def rows_as_text(table: "pd.DataFrame") -> tuple[str, ...]:
    """The rows of a small table as text, one line each, without missing cells."""
    return tuple(
        ", ".join(f"{name}={cell}" for name, cell in row.items() if cell is not None and cell == cell)
        for row in table.astype("object").to_dict("records")
    )
