"""Arrow's columns out of Python's lists, without pandas."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow


def column(values: Sequence[Any], kind: "pyarrow.DataType") -> "pyarrow.Array":
    """``pa.array`` for the types of the log. That one imports pandas where it is installed (40 MB in a worker, and half a
    second), only to ask whether the list is one of its own.
    """
    import numpy as np
    import pyarrow as pa

    gaps = None in values
    there = pa.py_buffer(np.packbits([value is not None for value in values], bitorder="little")) if gaps else None
    if pa.types.is_string(kind):
        texts = ["" if value is None else value for value in values] if gaps else values
        content = "".join(texts).encode()
        # A byte a character means that the lengths are known already.
        parts = texts if content.isascii() else [text.encode() for text in texts]
        offsets = np.cumsum([0, *map(len, parts)], dtype=np.int32)
        return pa.Array.from_buffers(kind, len(values), [there, pa.py_buffer(offsets), pa.py_buffer(content)])
    filled = [0 if value is None else value for value in values] if gaps else values
    if pa.types.is_boolean(kind):
        bits = np.packbits(np.array(filled, dtype=bool), bitorder="little")
    else:
        bits = np.array(filled, dtype=np.float64 if pa.types.is_floating(kind) else np.int64)
    return pa.Array.from_buffers(kind, len(values), [there, pa.py_buffer(bits)])
