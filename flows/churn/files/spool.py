"""Data set aside on disk while a step runs: no file name, so nothing is left behind however the process ends."""

import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd


def as_file(content: bytes | Callable[[IO[bytes]], object]) -> IO[bytes]:
    """The bytes, or what ``content`` writes to an anonymous file, to be read from the beginning. Raises OSError."""
    if isinstance(content, bytes):  # without a disk, which a pod of the service need not have
        return io.BytesIO(content)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    content(file)
    file.seek(0)
    return file


class Spool:
    """An anonymous file in TMPDIR that grows by ``add``; its space is free again once nothing refers to it."""

    def __init__(self) -> None:
        """Begin an empty file."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nothing refers to it, as pieces do

    def add(self, content: bytes) -> "Spooled":
        """Append ``content``. Raises ChurnError if the disk is full."""
        start = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            folder, why = tempfile.gettempdir(), error.strerror or error
            raise ChurnError(
                f"{folder}: cannot be written: {why}; free space there, or name another disk by TMPDIR"
            ) from None
        return Spooled(self, start, len(content))

    def add_table(self, frame: "pd.DataFrame") -> "Spooled":
        """Append a table (n rows, without its index), which ``Spooled.table`` reads with the same types."""
        import pyarrow as pa
        from pyarrow import feather

        out = pa.BufferOutputStream()
        feather.write_feather(
            pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), out, compression="lz4"
        )
        return self.add(out.getvalue())

    def read(self, start: int, size: int) -> bytes:
        """``size`` bytes from ``start``."""
        self._file.seek(start)
        return self._file.read(size)


@dataclass(frozen=True)
class Spooled:
    """A piece of a ``Spool``. It pickles as its plain bytes, so that as an artifact it is in memory only while it is stored."""

    spool: Spool
    start: int
    size: int

    def read(self) -> bytes:
        """The bytes."""
        return self.spool.read(self.start, self.size)

    def table(self, columns: list[str] | None = None) -> "pd.DataFrame":
        """The table of ``Spool.add_table``, or the given ``columns`` of it."""
        import pyarrow as pa
        from pyarrow import feather

        return feather.read_table(pa.BufferReader(self.read()), columns=columns).to_pandas(ignore_metadata=True)

    def __reduce__(self) -> tuple[Any, ...]:
        """The bytes, for pickle."""
        return bytes, (self.read(),)
