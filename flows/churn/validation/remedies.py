"""Remedies for cells that do not fit their column, by its role and type; each lets the run continue."""

from typing import TYPE_CHECKING

from churn.data import formats
from churn.data.casting import as_text
from churn.data.formats import NumberFormat, has_digit
from churn.settings import commands
from churn.settings.dataset import Dataset
from churn.validation.toml_text import line, table_header

if TYPE_CHECKING:
    import pandas as pd

WORDS = 10  # distinct texts, at most, that are suggested as words for 'missing'


def file_of(dataset: Dataset, name: str) -> str:
    """The file and table that describe a column."""
    return f"{commands.description(dataset.name)} {table_header(name)}"


def unreadable(name: str, cells: "pd.Series", dataset: Dataset) -> str:
    """For ``cells`` of the wrong type: correct them, declare them missing, or describe their format."""
    column, words = dataset.columns[name], sorted(as_text(cells).unique().tolist())
    if column.role == "feature" and len(words) <= WORDS and not any(has_digit(word) for word in words):
        keys = line("missing_values", [*column.missing_values, *words]) + (
            "" if column.missing else " and missing = true"
        )
        mean = "it means" if len(words) == 1 else "they mean"
        return f"Correct these cells; or, if {mean} that nothing is known, write {keys} in {file_of(dataset, name)}."
    if (
        column.type == "integer"
        and formats.parse_numbers(as_text(cells), NumberFormat.of(dataset, column)).notna().all()
    ):
        return f'Correct these cells, or set type = "number" in {file_of(dataset, name)}.'
    keys = 'format, such as "%d.%m.%Y",' if column.type == "timestamp" else "decimal, thousands, unit or negative"
    return f"Correct these cells, or say how they are written: {keys} in {file_of(dataset, name)}."


def telling(name: str, cells: "pd.Series", dataset: Dataset) -> "pd.Series":
    """A few of the ``cells`` (text) for which ``unreadable`` says the same as for all."""
    import pandas as pd

    distinct = as_text(cells).drop_duplicates()
    no_number = formats.parse_numbers(distinct, NumberFormat.of(dataset, dataset.columns[name])).isna()
    return pd.concat([distinct.head(WORDS + 1), distinct[no_number].head(1)])


def missing(name: str, dataset: Dataset) -> str:
    """For missing cells in a column that does not allow them."""
    role = dataset.columns[name].role
    if role == "target":
        return "Fill these cells in."  # not reached where rows without an outcome are left out first
    if role == "id":
        return f'Fill these cells in, or set role = "ignore" in {file_of(dataset, name)} if customers have no id.'
    if role == "time":
        return f'Fill these cells in, or set role = "ignore" in {file_of(dataset, name)}: the split is then by chance.'
    return f"Fill these cells in, or set missing = true in {file_of(dataset, name)}."


def values(name: str, dataset: Dataset) -> str:
    """For a value that the column does not allow."""
    if dataset.columns[name].role == "target":
        return (
            f"Correct these cells, or add the value in {file_of(dataset, name)}: to 'values' (and to 'positive', if it means "
            "that the customer left), or to 'leave_out', which leaves such rows out."
        )
    return f"Correct these cells, or add the value to 'values' in {file_of(dataset, name)}."
