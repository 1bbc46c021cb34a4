"""The customers of a list in shards, each of which one branch scores."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn.data import tables
from churn.files.spool import Spool, Spooled
from churn.serving import batch_scoring
from churn.serving.ranking import source_parts
from churn.settings.data import Origin
from churn.settings.dataset import Dataset
from churn.settings.score import Score
from churn.training.onnx_scorer import Scorer
from churn.validation.in_parts.screening import Screening

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ARTIFACT = "customers_{}"  # the name of a shard's artifact, with the row it begins at
BRANCHES = 100  # at most, as Metaflow has it; of more customers, each branch scores more


@dataclass(frozen=True)
class Screened:
    """The valid customers as artifacts by name (Parquet), the shards' rows (from, to), the rows set aside, and notes."""

    artifacts: dict[str, Spooled]
    ranges: list[tuple[int, int]]
    quarantined: "pd.DataFrame"
    notes: tuple[str, ...]


def screen(origins: Sequence[Origin], dataset: Dataset, rule: Score) -> Screened:
    """``batch_scoring.screen``, in the memory of a part of the sources, into shards of ``rule.shard_rows`` customers.

    Above BRANCHES shards, they are larger.
    """
    batch_scoring.require_names(dataset, rule)
    if source_parts.streamable(origins):
        try:
            return _screened(source_parts.streamed, origins, dataset, rule)
        except source_parts.Uneven:
            pass
    return _screened(source_parts.together, origins, dataset, rule)


def _screened(read: Any, origins: Sequence[Origin], dataset: Dataset, rule: Score) -> Screened:
    notes: list[str] = []
    origin = ", ".join(source.name for source in origins)
    screening, left = Screening(dataset, rule.quarantine, origin), 0
    for part in read(origins, dataset, notes):
        left += batch_scoring.churned(part, dataset)
        screening.add(part)
    report, aside = screening.finish()
    report.require(origin)
    spool, artifacts, ranges = Spool(), dict[str, Spooled](), list[tuple[int, int]]()
    size = max(rule.shard_rows, -(-(report.rows - report.set_aside) // BRANCHES))
    for content, rows in _shards(screening.tables(), size):
        first = ranges[-1][1] if ranges else 0
        ranges.append((first, first + rows))
        artifacts[ARTIFACT.format(first)] = spool.add(content)
    more = batch_scoring.reading_notes(report, left, screening.rows, dataset, origin)
    return Screened(artifacts, ranges, aside, (*notes, *more))


def _shards(parts: "Iterable[pd.DataFrame]", size: int) -> Iterator[tuple[bytes, int]]:
    """The rows of all parts as Parquet bytes of ``size`` rows each, the last one perhaps fewer, and the number of rows."""
    import pyarrow as pa

    held: list[pa.Table] = []
    for table in map(_arrow, parts):
        held.append(table)
        while (rows := sum(map(len, held))) >= size:
            joined = pa.concat_tables(held)
            yield _content(joined.slice(0, size)), size
            held = [joined.slice(size)] if rows > size else []
    if held and (rows := sum(map(len, held))):
        yield _content(pa.concat_tables(held)), rows


def _arrow(frame: "pd.DataFrame") -> "pa.Table":
    """The table with the same types whatever its rows hold: categories as text in a dictionary."""
    import pandas as pd
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for place, name in enumerate(table.column_names):
        dtype = frame[name].dtype
        if isinstance(dtype, pd.CategoricalDtype):
            table = table.set_column(place, name, table.column(place).cast(pa.string()).dictionary_encode())
        elif dtype.kind not in "iufM":
            table = table.set_column(place, name, table.column(place).cast(pa.string()))
    return table


def _content(table: "pa.Table") -> bytes:
    return tables.written(table.unify_dictionaries().combine_chunks())


def customers(content: bytes, first: int, dataset: Dataset) -> "pd.DataFrame":
    """The customers of the shard that begins at row ``first``, with their rows in the whole list as index."""
    table = tables.typed(content, dataset)
    return table.set_axis(range(first, first + len(table)))


def taken(branches: Iterable[Any], dataset: Dataset) -> "Iterator[tuple[pd.DataFrame, pd.DataFrame]]":
    """The ``scored`` shard of each branch of a join, and its customers; a branch forgets them once they are used."""
    for branch in branches:
        scored = branch.scored
        name = ARTIFACT.format(scored.index[0])
        yield scored, customers(getattr(branch, name), scored.index[0], dataset)
        for one in ("scored", name):
            delattr(branch, one)


def keep_features(scorer: Scorer, branches: Iterable[Any]) -> tuple[str, ...]:
    """``batch_scoring.keep_features`` for the customers of all branches, who are in memory together if made from events."""
    import pandas as pd

    dataset = scorer.dataset
    if not dataset.tables:
        return ()
    tables = [table for _, table in taken(branches, dataset)]
    return batch_scoring.keep_features(scorer, pd.concat(tables).sort_index())
