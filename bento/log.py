"""The writer of the prediction log: a bounded queue and a thread, so that no store can delay or fail a request."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from churn.serving import prediction_log
from churn.settings.core import Strict
from pydantic import Field

if TYPE_CHECKING:
    import pyarrow

_DAY = 86_400_000_000  # microseconds
MOST_BACKOFF = 60.0  # maximum seconds between retries on an unresponsive store

Row = tuple[Any, ...]  # in the order of the log's schema; the second value is the time in microseconds since 1970
Columns = Sequence[Sequence[Any]]  # rows of one moment, in the same order

logger = logging.getLogger("bentoml.churn")


class LogSettings(Strict):
    """[log] of config/serve.toml."""

    enabled: bool = True
    part_rows: int = Field(default=10_000, ge=1)
    part_seconds: float = Field(default=10.0, gt=0)
    queue_rows: int = Field(default=200_000, ge=1)
    close_seconds: float = Field(default=15.0, gt=0)
    customer_id: bool | Literal["plain"] = False


class Log:
    """Rows of one kind on their way to ROOT.

    ``add`` neither blocks nor raises; ``dropped`` is called with the number of lost rows, ``waits`` with the number waiting.

    A part is written after ``part_rows`` rows or ``part_seconds``, whichever comes first. Parts that cannot be written wait
    in memory, encoded, and are retried.
    """

    def __init__(
        self,
        kind: str,
        schema: "pyarrow.Schema",
        settings: LogSettings,
        at: str,
        dropped: Callable[[int], None],
        waits: Callable[[int], None],
        lives: Callable[[bool], None] = lambda alive: None,
    ) -> None:
        """``at`` is ROOT; ``kind`` and ``schema`` describe the rows."""
        self._kind, self._schema, self._settings, self._at = kind, schema, settings, at
        prediction_log.encode(schema, [(None,) * len(schema)])  # loads Parquet's code now, not during a request
        self._dropped, self._waits, self._lives = dropped, waits, lives
        self._rows: list[Row] = []
        self._batches: list[pyarrow.Table] = []
        self._parts: list[tuple[str, bytes, int]] = []  # name, content, rows
        self._waiting = 0  # rows in all three
        self._unencoded = 0  # rows in the first two
        self._lock = threading.Lock()
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._live, name=f"{kind}-log", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the writer thread is alive."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """The number of rows not yet in the store."""
        return self._waiting

    def add(self, rows: Sequence[Row]) -> None:
        """Queue rows."""
        self._queue(len(rows), lambda: self._rows.extend(rows))

    def add_batch(self, columns: Columns) -> None:
        """Queue rows of one moment, given as columns.

        Arrow makes them here its own: in the log's thread that would keep taking Python's lock from the requests.
        """
        rows = len(columns[0])
        try:
            table = _table(self._schema, columns)
        except Exception:  # noqa: BLE001 - logged there; the answer has been sent
            self._lose(rows)
        else:
            self._queue(rows, lambda: self._batches.append(table))

    def _queue(self, rows: int, put: Callable[[], None]) -> None:
        with self._lock:
            room = not self._closed and self._waiting + rows <= self._settings.queue_rows
            if room:
                put()
                self._waiting += rows
                self._unencoded += rows
        self._waits(self._waiting)
        if not room:
            self._dropped(rows)
        elif self._unencoded >= self._settings.part_rows:
            self._wake.set()

    def close(self) -> None:
        """Write the waiting rows, for at most ``close_seconds``; drop and count the rest."""
        with self._lock:
            self._closed = True
        self._wake.set()
        self._thread.join(self._settings.close_seconds)
        if self._waiting:
            logger.error("%s log: %d rows could not be written to %s", self._kind, self._waiting, self._at)
            self._dropped(self._waiting)

    def _live(self) -> None:
        self._lives(True)
        try:
            self._work()
        finally:
            if not self._closed:
                logger.critical("%s log: its writer has died; restart the service", self._kind)
                self._lives(False)

    def _work(self) -> None:
        failures = 0
        while True:
            self._wake.wait(self._settings.part_seconds)
            self._wake.clear()
            self._encode()
            failures = 0 if self._write() else failures + 1
            if self._closed and not self._unencoded and (not self._parts or failures):
                return
            if failures and not self._closed:
                self._wait(min(MOST_BACKOFF, 0.5 * 2**failures))

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closed and time.monotonic() < until:
            self._wake.wait(until - time.monotonic())
            self._wake.clear()
            self._encode()  # encoded rows take a tenth of the memory

    def _encode(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, []
            tables, self._batches = self._batches, []
            self._unencoded = 0
        for _, group in groupby(rows, lambda row: row[1] // _DAY):
            of_day = list(group)
            with self._losing(len(of_day)):
                tables.append(_table(self._schema, list(zip(*of_day, strict=True))))
        days: dict[int, list[pyarrow.Table]] = defaultdict(list)
        for table in tables:
            days[table["time"][0].value // _DAY].append(table)
        for of_one in days.values():
            self._encode_day(of_one)

    def _encode_day(self, tables: "list[pyarrow.Table]") -> None:
        import pyarrow as pa

        table = pa.concat_tables(tables)
        for i in range(0, len(table), self._settings.part_rows):
            part = table.slice(i, self._settings.part_rows)
            with self._losing(len(part)):
                name = prediction_log.part_name(self._kind, part["time"][0].value)
                self._parts.append((name, prediction_log.content(part), len(part)))

    @contextmanager
    def _losing(self, rows: int) -> Iterator[None]:
        """Lose queued rows that cannot be encoded: the thread must survive, or all later rows would be lost."""
        try:
            yield
        except Exception:  # noqa: BLE001 - logged there
            self._leave(rows)
            self._lose(rows)

    def _lose(self, rows: int) -> None:
        logger.exception("%s log: %d rows cannot be encoded", self._kind, rows)
        self._dropped(rows)

    def _leave(self, rows: int) -> None:
        """Subtract ``rows`` from the waiting rows."""
        with self._lock:
            self._waiting -= rows
        self._waits(self._waiting)

    def _write(self) -> bool:
        """Write the waiting parts in order, up to the first failure; return whether none is left."""
        while self._parts:
            name, content, rows = self._parts[0]
            try:
                prediction_log.store(self._at, name, content)
            except Exception as error:  # the thread must survive, and the part is retried
                unknown = None if isinstance(error, OSError) else error
                logger.warning("%s log: %s cannot be written: %s", self._kind, self._at, error, exc_info=unknown)
                return False
            self._parts.pop(0)
            self._leave(rows)
        return True


def _table(schema: "pyarrow.Schema", columns: Columns) -> "pyarrow.Table":
    import pyarrow as pa

    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
