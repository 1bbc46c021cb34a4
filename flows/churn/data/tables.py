"""Tables between steps, as Parquet bytes; text with few distinct values is dictionary-encoded."""

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.errors import ChurnError
from churn.files import reader
from churn.settings.dataset import Dataset
from churn.settings.description.column import Cells

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa


def to_parquet(path: Path, most_bytes: int = reader.file_kinds.MOST_BYTES) -> tuple[bytes, tuple[str, ...]]:
    """The table in a file as Parquet bytes, and notes on how it was read; a Parquet file is kept unchanged if possible.

    Raises:
        ChurnError: The file cannot be read (see ``reader.read``).
    """
    reading = reader.read(path, most_bytes)
    return reading.parquet or written(reading.table), reading.notes


def to_bytes(frame: "pd.DataFrame") -> bytes:
    """The table as Parquet bytes (zstd); the same table gives the same bytes with the same library versions."""
    import pyarrow as pa

    return written(pa.Table.from_pandas(frame, preserve_index=False))


def written(table: "pa.Table") -> bytes:
    """``to_bytes`` for a pyarrow table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    # Without the metadata of pandas and Arrow, the bytes depend on the values alone, and categories are read back as text.
    table = table.replace_schema_metadata(None)
    # Single rows are never read, and column statistics would double the time; so would trying dictionaries on columns whose
    # values hardly repeat.
    few = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    pq.write_table(
        table, buffer, compression="zstd", store_schema=False, write_statistics=False, use_dictionary=few or True
    )
    return buffer.getvalue()


def write_parts(parts: "Iterable[pd.DataFrame]", cells: Cells, target: Path) -> None:
    """Write the described columns of successive tables to one Parquet file: numbers as doubles, the rest as text.

    Raises:
        ChurnError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"timestamp": pa.timestamp("us"), "number": pa.float64(), "integer": pa.float64()}
    schema = pa.schema([(name, kinds.get(column.type, pa.string())) for name, column in cells.columns.items()])
    try:
        with pq.ParquetWriter(target, schema, compression="zstd") as file:
            for frame in parts:
                rows = pa.Table.from_pandas(frame[schema.names], preserve_index=False)
                file.write_table(rows.replace_schema_metadata(None).cast(schema, safe=False))
    except OSError as error:
        why = error.strerror or error
        raise ChurnError(
            f"{target.parent}: cannot be written: {why}; free space there, or name another disk by TMPDIR"
        ) from None


def from_bytes(data: bytes, columns: Iterable[str] | None = None) -> "pd.DataFrame":
    """The table that ``to_bytes`` wrote, or the given ``columns`` of it, with text as str."""
    import pandas as pd

    return pd.read_parquet(io.BytesIO(data), columns=list(columns) if columns is not None else None)


def typed(data: bytes, dataset: Dataset, columns: Iterable[str] | None = None) -> "pd.DataFrame":
    """The table, or the given ``columns`` of it, with categorical columns as pandas categories.

    These take a tenth of the time and memory of text.
    """
    return _dictionaries(data, dataset, "a step's table", columns).to_pandas(ignore_metadata=True)


def side_by_side(parts: Sequence[bytes], chosen: Iterable["np.ndarray"], dataset: Dataset) -> list[bytes]:
    """Join tables of n rows side by side; returns the Parquet bytes of each selection in ``chosen`` (bool, shape (n,))."""
    import pyarrow as pa

    first, *others = (_dictionaries(data, dataset, "a step's table") for data in parts)
    for other in others:
        for name in other.column_names:
            first = first.append_column(name, other.column(name))
    with ThreadPoolExecutor() as side:
        return list(side.map(lambda rows: written(first.filter(pa.array(rows))), chosen))


def concatenate(tables: Iterable[bytes], origins: Iterable[str], dataset: Cells) -> "pd.DataFrame":
    """Concatenate the rows of several tables; ``origins`` name them in errors.

    Raises:
        ChurnError: Their columns differ, or one is not readable.
    """
    import pyarrow as pa

    parts = [(_dictionaries(data, dataset, origin), origin) for data, origin in zip(tables, origins, strict=True)]
    first, origin = parts[0]
    for table, other in parts[1:]:
        if differing := set(table.column_names) ^ set(first.column_names):
            raise ChurnError(
                f"{other}: its columns differ from those of {origin}: {', '.join(map(repr, sorted(differing)))} is in only one; "
                "give both the same columns, or join them on the id (join = true)"
            )
    combined = pa.concat_tables(_same_types([table.select(first.column_names) for table, _ in parts]))
    return combined.unify_dictionaries().to_pandas(ignore_metadata=True)


def _dictionaries(data: bytes, dataset: Cells, origin: str, columns: Iterable[str] | None = None) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    categories = [name for name, column in dataset.columns.items() if column.type == "category"]
    if isinstance(dataset, Dataset):
        categories += [name for name, feature in dataset.features.items() if feature.type == "category"]
    try:
        table = pq.read_table(io.BytesIO(data), columns=columns and list(columns), read_dictionary=categories)
    except (pa.ArrowInvalid, OSError) as error:
        raise ChurnError(f"{origin}: not a readable Parquet file, perhaps damaged ({error}); copy it again") from None
    if len(set(table.column_names)) < len(table.column_names):
        raise ChurnError(f"{origin}: two columns have the same name: {', '.join(table.column_names)}")
    return table


def _same_types(tables: "list[pa.Table]") -> "list[pa.Table]":
    """The tables with columns as text where their types differ (text from CSV, numbers from Parquet)."""
    import pyarrow as pa

    for name in tables[0].column_names:
        kinds = {table.schema.field(name).type for table in tables}
        if len(kinds) > 1:
            for i, table in enumerate(tables):
                place = table.schema.get_field_index(name)
                tables[i] = table.set_column(place, name, table.column(place).cast(pa.large_string()))
    return tables


def object_to_text(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The table with columns of Python objects (decimals, UUIDs, mixed database values) as text, which Parquet can store."""
    changed: dict[str, Any] = {
        name: frame[name].astype("str").where(frame[name].notna())
        for name in frame.columns
        if frame[name].dtype == object
    }
    return frame.assign(**changed)
