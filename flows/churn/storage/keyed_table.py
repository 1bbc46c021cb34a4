"""The newest features of customers, looked up by id in microseconds: a memory-mapped Arrow file, sorted by keyed id.

It holds ids only as ``keyed_ids``, in two halves of 64 bits, and is always written whole.
"""

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.storage import keyed_ids

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

FOLDER, ENDING = "features", ".arrow"  # below the root of the prediction log
_HALVES = ("id_high", "id_low")
_ABOUT = b"churnflow"


def table_file(ids: Sequence[str], columns: "pa.Table", about: Mapping[str, str], secret: bytes) -> bytes:
    """The file with ``columns`` (n rows) for the n ``ids``, keyed with ``secret``; ``about`` is metadata for readers."""
    import numpy as np
    import pyarrow as pa

    keyed = [_halves(keyed_ids.keyed(one, secret)) for one in ids]
    high, low = np.array(keyed, dtype=np.uint64).reshape(-1, 2).T
    order = np.argsort(high, kind="stable")
    table = columns.take(pa.array(order))
    for place, half in enumerate((high[order], low[order])):
        table = table.add_column(place, _HALVES[place], pa.array(half))
    return _written(table.replace_schema_metadata({_ABOUT: json.dumps(dict(about)).encode()}))


def _written(table: "pa.Table") -> bytes:
    import pyarrow as pa

    out, table = io.BytesIO(), table.combine_chunks()  # one batch, so that a column is contiguous in memory
    with pa.ipc.new_file(out, table.schema) as file:
        file.write_table(table, max_chunksize=max(len(table), 1))
    return out.getvalue()


def _halves(keyed: str) -> tuple[int, int]:
    return int(keyed[:16], 16), int(keyed[16:], 16)


def without_customer(content: bytes, keyed: str) -> bytes | None:
    """The file without the customer with this keyed id; None if it does not hold the customer.

    Raises OSError, KeyError or pyarrow's ArrowException if the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
    high, low = (pa.scalar(half, pa.uint64()) for half in _halves(keyed))
    matching = pc.and_(pc.equal(table[_HALVES[0]], high), pc.equal(table[_HALVES[1]], low))
    return _written(table.filter(pc.invert(matching))) if pc.any(matching).as_py() else None


class KeyedTable:
    """A table file, from a path or bytes, open for lookups."""

    def __init__(self, source: Path | bytes) -> None:
        """``source`` is memory-mapped, or kept in memory; raises OSError or pyarrow's ArrowException if it is damaged."""
        import pyarrow as pa

        buffer = pa.memory_map(str(source)) if isinstance(source, Path) else pa.BufferReader(source)
        file = pa.ipc.open_file(buffer)
        self.about: dict[str, str] = json.loads((file.schema.metadata or {}).get(_ABOUT, b"{}"))
        batch = file.get_batch(0) if file.num_record_batches else pa.RecordBatch.from_pylist([], file.schema)
        self._high, self._low = (batch.column(name).to_numpy() for name in _HALVES)
        self._columns = {name: batch.column(name) for name in batch.schema.names if name not in _HALVES}
        self.names = set(self._columns)
        self._numbers: dict[str, np.ndarray] = {}
        for name, column in self._columns.items():
            with suppress(pa.ArrowInvalid):  # text, which has no numpy view
                self._numbers[name] = column.to_numpy(zero_copy_only=True)

    def row(self, keyed: str) -> dict[str, Any] | None:
        """The row of the customer with this keyed id (None for a missing cell), or None if there is none."""
        high, low = map(self._high.dtype.type, _halves(keyed))  # a Python int would convert them to doubles
        place = int(self._high.searchsorted(high))
        while place < len(self._high) and self._high[place] == high:
            if self._low[place] == low:
                return {name: self._cell(name, place) for name in self._columns}
            place += 1
        return None

    def _cell(self, name: str, place: int) -> Any:
        if (numbers := self._numbers.get(name)) is None:
            return self._columns[name][place].as_py()
        value = numbers[place].item()
        return None if value != value else value
