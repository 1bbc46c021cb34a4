"""Sorts the scored customers of all shards on disk, with DuckDB, in the memory of a shard and DuckDB's limit.

Categories are sorted as the numbers of their levels, so that a row is short. Everything that a list needs to know of all its
customers - counts, levels, whether a column is text - is learnt while the shards are read, before the first row comes out.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from churn.data.events import on_duckdb
from churn.files import formulas
from churn.serving.batch_scoring import BINS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Shards = Iterable[tuple[pd.DataFrame, pd.DataFrame]]  # each as scored, and its customers, by row of the whole list

ROWS = 65_536  # per batch of the sorted customers


@dataclass
class Learnt:
    """What the shards together say, in the memory of the levels of their categories.

    ``names`` are those of the columns: first those ``scored``, then those of the customers. ``spread`` is that of ``Ranked``.
    ``levels`` maps the levels of each category to numbers in the order of their first appearance. ``risky`` and ``textual`` are
    the text columns of which ``formulas.risky`` and ``formulas.textual`` are true; ``finest`` has, for each column of timestamps,
    those that need the most digits.
    """

    names: list[str] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    customers: int = 0
    churning: int = 0
    spread: np.ndarray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    levels: dict[str, dict[str, int]] = field(default_factory=dict)
    risky: set[str] = field(default_factory=set)
    textual: set[str] = field(default_factory=set)
    finest: "dict[str, list[pd.Timestamp]]" = field(default_factory=dict)

    def of_scored(self, scored: "pd.DataFrame") -> None:
        """Count one more shard."""
        self.customers += len(scored)
        self.churning += int(scored["decision"].sum())
        self.spread += np.histogram(scored["probability"].to_numpy(), bins=BINS, range=(0, 1))[0]

    def codes(self, name: str, column: "pd.Series") -> np.ndarray:
        """The numbers of a category's cells, int32 of shape (n,); -1 where a cell is missing."""
        known = self.levels.setdefault(name, {})
        numbers = [known.setdefault(level, len(known)) for level in column.cat.categories.tolist()]
        return np.array([*numbers, -1], dtype=np.int32)[column.cat.codes.to_numpy()]

    def of_text(self, name: str, column: "pd.Series") -> None:
        """Whether a text column begins formulas, and whether it is more than numbers."""
        if name not in self.risky and formulas.risky(column):
            self.risky.add(name)
        if name not in self.textual and formulas.textual(column):
            self.textual.add(name)

    def of_times(self, name: str, column: "pd.Series") -> None:
        """The first timestamps with hours, with milliseconds, and with microseconds: their digits are written in all rows."""
        for unit in ("D", "s", "ms"):
            finer = column[(column != column.dt.floor(unit)) & column.notna()]
            if len(finer) and not any(one != one.floor(unit) for one in self.finest.setdefault(name, [])):
                self.finest[name].append(finer.iloc[0])

    def named(self, table: "pa.Table") -> "pa.Table":
        """Sorted customers with the names of their columns and the levels of their categories."""
        import pyarrow as pa

        columns = []
        for name, column in zip(self.names, table.columns, strict=True):
            if name in self.levels:
                levels = pa.array(self.levels[name], pa.string())
                column = pa.DictionaryArray.from_arrays(column.combine_chunks().cast(pa.int32()), levels)
            columns.append(column)
        return pa.table(columns, names=self.names)


def _key(scored: "pd.DataFrame", by_value: bool) -> np.ndarray:
    """What the list is sorted by, descending; float64 of shape (n,). Adding 0 makes -0.0 equal to 0.0, as numpy has it."""
    return scored["expected_value" if by_value else "probability"].fillna(-np.inf).to_numpy(dtype=np.float64) + 0.0


def _batch(scored: "pd.DataFrame", customers: "pd.DataFrame", by_value: bool, learnt: Learnt) -> "pa.Table":
    """A shard as the columns key, row, and c0, c1 ... for those of the list; DuckDB would confuse names like 'Id' and 'id'."""
    import pandas as pd
    import pyarrow as pa

    learnt.of_scored(scored)
    columns = [pa.array(_key(scored, by_value)), pa.array(scored.index.to_numpy(dtype=np.int64))]
    for name, column in chain(scored.items(), customers.items()):
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes = learnt.codes(str(name), column)
            columns.append(pa.array(codes, mask=codes < 0))
            continue
        if column.dtype.kind == "M":
            learnt.of_times(str(name), column)
        elif column.dtype.kind not in "biuf" and name not in scored:  # our own columns hold no text of others
            learnt.of_text(str(name), column)
        columns.append(pa.array(column, pa.string() if column.dtype.kind not in "biufM" else None, from_pandas=True))
    learnt.scored = [str(name) for name in scored]
    learnt.names = [str(name) for name in chain(scored, customers)]
    return pa.table(columns, names=["key", "row", *(f"c{place}" for place in range(len(learnt.names)))])


@contextmanager
def in_order(shards: "Shards", by_value: bool, learnt: Learnt) -> "Iterator[Iterator[pa.Table]]":
    """The scored customers, best first and in the order of rows where equal, in tables of at most ROWS.

    ``learnt`` is complete with the first table. Raises ChurnError if DuckDB runs out of memory or disk.
    """
    import pyarrow as pa

    tables = (_batch(scored, customers, by_value, learnt) for scored, customers in shards)
    first = next(tables)
    batches = (batch for table in chain([first], tables) for batch in table.cast(first.schema).to_batches())
    with tempfile.TemporaryDirectory() as folder, on_duckdb.connected(Path(folder)) as connection:
        connection.register("shards", pa.RecordBatchReader.from_batches(first.schema, batches))
        relation = connection.sql("SELECT * EXCLUDE (key, row) FROM shards ORDER BY key DESC, row")
        yield map(learnt.named, _tables(relation.to_arrow_reader(ROWS)))


def _tables(reader: "pa.RecordBatchReader") -> "Iterator[pa.Table]":
    import pyarrow as pa

    try:
        for batch in reader:
            yield pa.Table.from_batches([batch])
    except OSError as error:
        raise on_duckdb.stopped(error) from error
