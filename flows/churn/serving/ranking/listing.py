"""Writes the sorted customers as a list, in the memory of a batch of rows: what ``formulas.csv`` writes for the whole table."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import IO, TYPE_CHECKING

import numpy as np
from churn.errors import ChurnError
from churn.files import formulas
from churn.registry.model_registry import Registered
from churn.serving import batch_scoring, prediction_log
from churn.serving.batch_scoring import SAMPLE, Ranked
from churn.serving.ranking import merge
from churn.serving.ranking.merge import Learnt
from churn.settings.score import Score
from churn.training.onnx_scorer import Scorer

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def rank(
    scorer: Scorer,
    shards: "merge.Shards",
    by_value: bool,
    rule: Score,
    name: str,
    uplift: Registered | None = None,
) -> Ranked:
    """Sort the customers, add reasons to the first ones, and write the list to ``name``.csv below ``batch_scoring.root()``.

    With an ``uplift`` model, they get reasons for the uplift too. ``shards`` hold the results of ``batch_scoring.score`` and the
    customers, in any order. Raises ChurnError if the list cannot be written.
    """
    learnt, place = Learnt(), f"{batch_scoring.root()}/{name}.csv"
    with merge.in_order(shards, by_value, learnt) as tables:
        first = _first(tables, max(rule.explained, SAMPLE))
        explained = first.slice(0, rule.explained).select(_of_customers(first, learnt)).to_pandas()
        reasons = batch_scoring.reason_columns(scorer, explained, rule.reasons, uplift)
        columns = _Columns(scorer.dataset.id, by_value, reasons, learnt)
        content = partial(columns.write, chain([first], tables))
        try:
            prediction_log.store(batch_scoring.root(), f"{name}.csv", content)
        except OSError as error:
            raise ChurnError(f"the list {place} cannot be written: {error}; correct CHURNFLOW_SCORES") from None
    return Ranked(place, columns.head(first), learnt.customers, learnt.churning, by_value, learnt.spread)


def _first(tables: "Iterator[pa.Table]", rows: int) -> "pa.Table":
    """The first tables together, until there are ``rows`` or no more."""
    import pyarrow as pa

    found = [next(tables)]
    while sum(map(len, found)) < rows and (more := next(tables, None)) is not None:
        found.append(more)
    return pa.concat_tables(found)


@dataclass(frozen=True)
class _Columns:
    """The columns of the list, in its order, from tables as ``merge.in_order`` gives them.

    ``key`` is the id column, if there is one; ``reasons`` holds the reasons of the first customers.
    """

    key: str | None
    by_value: bool
    reasons: "dict[str, pd.Series]"
    learnt: Learnt

    def _names(self) -> tuple[list[str], list[str]]:
        """The names before the reasons, without the rank, and those after them."""
        own = [name for name in self.learnt.scored if name != "expected_value" or self.by_value]
        keys = [self.key] if self.key is not None else []
        return [*keys, *own], [name for name in self.learnt.names if name not in (*self.learnt.scored, *keys)]

    def head(self, first: "pa.Table") -> "pd.DataFrame":
        """The first SAMPLE rows of the list, without the customers' other columns."""
        sample = first.slice(0, SAMPLE).select(self._names()[0]).to_pandas()
        sample.insert(0, "rank", np.arange(1, len(sample) + 1))
        return sample.assign(**self.reasons)

    def write(self, tables: "Iterable[pa.Table]", out: IO[bytes]) -> None:
        """Write all rows as CSV without formulas."""
        from pyarrow import csv

        writer, start = None, 0
        for table in tables:
            listed = self._listed(table, start)
            writer = writer or csv.CSVWriter(
                out, listed.schema, write_options=csv.WriteOptions(batch_size=formulas.ROWS)
            )
            writer.write_table(listed)
            start += len(table)
        if writer is not None:
            writer.close()

    def _listed(self, table: "pa.Table", start: int) -> "pa.Table":
        """The rows of the list from ``start`` on, as they are written."""
        import pyarrow as pa

        before, after = self._names()
        columns = {"rank": pa.array(np.arange(start + 1, start + len(table) + 1))}
        columns |= {name: self._written(name, table.column(name)) for name in before}
        for name, texts in self.reasons.items():
            cells = formulas.quote_column(texts).iloc[start : start + len(table)]
            missing = pa.nulls(len(table) - len(cells), pa.string())
            columns[name] = pa.concat_arrays([pa.array(cells.astype(object), pa.string(), from_pandas=True), missing])
        columns |= {name: self._written(name, table.column(name)) for name in after}
        return pa.table(list(columns.values()), names=[formulas.quote_name(name) for name in columns])

    def _written(self, name: str, column: "pa.ChunkedArray") -> "pa.ChunkedArray":
        import pandas as pd
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_dictionary(column.type):
            levels = formulas.quote_column(pd.Series(list(self.learnt.levels[name]), dtype="str"))
            chunks = [
                pa.DictionaryArray.from_arrays(one.indices, pa.array(levels, pa.string())) for one in column.chunks
            ]
            return pa.chunked_array(chunks)
        if pa.types.is_boolean(column.type):
            return pc.if_else(column, "True", "False")
        if pa.types.is_timestamp(column.type):  # with the digits that the whole column needs
            times = pd.concat([column.to_pandas(), pd.Series(self.learnt.finest.get(name, []), dtype="datetime64[us]")])
            return pa.array(times.astype("str").iloc[: len(column)], pa.string(), from_pandas=True)
        if name in self.learnt.risky & self.learnt.textual:
            return pa.array(formulas.quote_cells(column.to_pandas()).astype(object), pa.string(), from_pandas=True)
        return column


def _of_customers(table: "pa.Table", learnt: Learnt) -> list[str]:
    return [name for name in table.column_names if name not in learnt.scored]
