"""What is found of a customer, and what is left to do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trace:
    """What there is, or was, of the customer in one place.

    ``values`` are given as far as they say something of their own. ``todo``: what a person has to do about it.
    """

    store: str
    place: str
    what: str
    todo: str = ""
    values: tuple[str, ...] = ()


def damaged_file(store: str, place: str) -> Trace:
    """A damaged file, of which nobody can tell whose rows it has; what reads it refuses it."""
    return Trace(store, place, "a file that is damaged", "bring it back from a backup and erase again, or remove it")


def rows_as_text(table: "pd.DataFrame") -> tuple[str, ...]:
    """The rows of a small table as text, a line each, without missing cells."""
    return tuple(
        ", ".join(f"{name}={cell}" for name, cell in row.items() if cell is not None and cell == cell)
        for row in table.astype("object").to_dict("records")
    )
