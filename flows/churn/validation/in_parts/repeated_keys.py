"""Finds keys that occur more than once among the parts of a table, in DuckDB, which spills to disk."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from churn.data.events import on_duckdb
from churn.files.spool import Spooled
from churn.settings.dataset import Dataset

if TYPE_CHECKING:
    import pyarrow as pa


def rows(parts: Sequence[Spooled], columns: Sequence[str], dataset: Dataset) -> list[np.ndarray]:
    """For each part, the positions of rows whose key (the ``columns``) occurs in an earlier row of any part.

    As for pandera and pandas, a missing id repeats nothing, unless it is a part of the key only.
    """
    names = [f"key{place}" for place in range(len(columns))]
    keys, alone = ", ".join(names), "key0 IS NOT NULL" if len(columns) == 1 else "true"
    same = " AND ".join(f"keys.{name} IS NOT DISTINCT FROM twice.{name}" for name in names)
    with tempfile.TemporaryDirectory() as folder, on_duckdb.connected(Path(folder)) as connection:
        connection.register("keys", _reader(parts, columns, dataset))
        chosen = f"SELECT {keys} FROM keys WHERE {alone} GROUP BY {keys} HAVING count(*) > 1"
        connection.execute(f"CREATE TEMPORARY TABLE twice AS {chosen}")
        if not connection.execute("SELECT count(*) FROM twice").fetchall()[0][0]:
            return [np.array([], dtype=np.int64) for _ in parts]
        connection.register("keys", _reader(parts, columns, dataset))
        connection.execute(
            f"SELECT part, place FROM (SELECT keys.* FROM keys JOIN twice ON {same}) AS found "
            f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY part, place) > 1 ORDER BY part, place"
        )
        found = {name: np.asarray(values) for name, values in connection.fetchnumpy().items()}
    return [found["place"][found["part"] == number] for number in range(len(parts))]


def _reader(parts: Sequence[Spooled], columns: Sequence[str], dataset: Dataset) -> "pa.RecordBatchReader":
    """The keys of all parts, one part at a time in memory, with part and place."""
    import pyarrow as pa

    kinds = {"integer": pa.int64(), "number": pa.float64(), "timestamp": pa.timestamp("us")}
    types = [kinds.get(dataset.columns[name].type, pa.string()) for name in columns]
    fields = [(f"key{place}", kind) for place, kind in enumerate(types)]
    schema = pa.schema([*fields, ("part", pa.int64()), ("place", pa.int64())])

    def batches() -> "Iterator[pa.RecordBatch]":
        for number, part in enumerate(parts):
            table = pa.Table.from_pandas(part.table(list(columns)), preserve_index=False)
            keys = [table[name].cast(kind) for name, kind in zip(columns, types, strict=True)]
            place = [np.full(len(table), number), np.arange(len(table))]
            yield from pa.table([*keys, *map(pa.array, place)], schema=schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())
