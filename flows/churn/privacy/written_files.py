"""One customer in plain files.

These are ranked lists, quarantined rows, restored data versions, and everything else below the state folder.
"""

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from churn.files import formulas
from churn.privacy.subject import PARQUET, Subject, Unreadable, without
from churn.privacy.trace import Trace, damaged_file
from churn.serving import batch_scoring
from churn.settings.environment import ROOT, STATE
from churn.storage.places import Place

SQLITE = b"SQLite format 3\0"
PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")
ELSEWHERE = (
    "metaflow",
    "dvc-remote",
    "mlartifacts",
    "log",
    "scores",
    "quarantine",
)  # in the state folder: they are stores with their own modules


def lists(subject: Subject, remove: bool) -> Iterator[Trace]:
    """The customer's rows in ScoreFlow's lists."""
    yield from _tables("list of scores", Place.of(batch_scoring.root()), subject, remove)


def quarantine(subject: Subject, remove: bool) -> Iterator[Trace]:
    """The customer's rows in quarantine."""
    yield from _tables("rows set aside", Place.of(str(STATE / "quarantine")), subject, remove)


def restored(subject: Subject, remove: bool) -> Iterator[Trace]:
    """Data versions that ``make data-pull`` restored beside the code."""
    yield from _tables("restored data version", Place.of(str(ROOT / "data")), subject, remove)


def temporary(subject: Subject, remove: bool) -> Iterator[Trace]:
    """Leftovers of killed runs in the state's temporary folder."""
    place = Place.of(str(STATE / "tmp"))
    for entry in place.entries():
        content = place.read(entry.name) or b""
        if subject.named_in(content) or (_parquet(content) and in_table(content, subject)):
            if remove:
                place.remove(entry.name)
            yield Trace("temporary file", place.at(entry.name), "left behind by a run that was killed")


def others(subject: Subject, remove: bool) -> Iterator[Trace]:
    """Everything else below the state folder: text and databases lose the id, tables the rows."""
    place = Place.of(str(STATE))
    for entry in place.entries():
        if entry.name.split("/")[0] in ELSEWHERE or entry.name.endswith((".lock", "-wal", "-shm")):
            continue
        content = place.read(entry.name)
        if content is not None:
            yield from clean("state folder", place, entry.name, content, subject, remove)


def _tables(store: str, place: Place, subject: Subject, remove: bool) -> Iterator[Trace]:
    for entry in place.entries():
        content = place.read(entry.name)
        if content is not None:
            yield from clean(store, place, entry.name, content, subject, remove)


def clean(store: str, place: Place, name: str, content: bytes, subject: Subject, remove: bool) -> Iterator[Trace]:
    """Find the customer in one file's ``content``, and erase it if ``remove``."""
    where = place.at(name)
    if _parquet(content):
        try:
            rows = subject.parquet_rows(content)
            kept = without(content, rows) if rows.any() else content
        except Unreadable:
            yield damaged_file(store, where)
            return
        if rows.any():
            if remove:
                place.write(name, kept)
            yield Trace(store, where, f"{int(rows.sum())} rows")
    elif content.startswith(SQLITE):
        yield from _database(store, Path(where), content, subject, remove)
    elif name.endswith(".csv"):
        text, count = lines(content.decode(errors="surrogateescape"), subject)
        if count:
            if remove:
                place.write(name, text.encode(errors="surrogateescape"))
            yield Trace(store, where, f"{count} rows")
    elif subject.named_in(content):
        if content.startswith(PACKED):
            yield Trace(
                store, where, "the id in a packed file", f"look into {where}, and remove it if it is not needed"
            )
            return
        if remove:
            place.write(name, subject.redacted(content))
        yield Trace(store, where, "the id in text")


def _parquet(content: bytes) -> bool:
    """Whether it is an intact Parquet file."""
    return content[:4] == PARQUET and content[-4:] == PARQUET


def in_table(content: bytes, subject: Subject) -> bool:
    """Whether a run's table has the customer's rows, or cannot be read."""
    try:
        return bool(subject.parquet_rows(content).any())
    except Unreadable:
        return True


def lines(text: str, subject: Subject) -> tuple[str, int]:
    """A CSV file without the customer's rows, and the number removed."""
    import pandas as pd

    rows = list(csv.reader(io.StringIO(text, newline="")))
    body = [row for row in rows[1:] if len(row) == len(rows[0])]
    if not body:
        return text, 0
    cells = [[formulas.unquoted(cell) for cell in row] for row in (rows[0], *body)]
    matched = subject.rows(pd.DataFrame(cells[1:], columns=cells[0], dtype="str"))
    if "prediction_id" in rows[0]:
        at = rows[0].index("prediction_id")
        subject.predictions.update(row[at] for row, own in zip(body, matched, strict=True) if own)
    ours = iter(matched)
    kept = [rows[0], *(row for row in rows[1:] if len(row) != len(rows[0]) or not next(ours))]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(kept)
    return out.getvalue(), int(matched.sum())


def _database(store: str, file: Path, content: bytes, subject: Subject, remove: bool) -> Iterator[Trace]:
    """The id in any text of a SQLite database, which is then rebuilt, because free pages still hold deleted content."""
    if not subject.within(content):
        return
    with closing(sqlite3.connect(file, timeout=30)) as database:
        database.execute("PRAGMA secure_delete(ON)")
        cells = [
            (table, column, row, text)
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for column in [one[1] for one in database.execute(f'PRAGMA table_info("{table}")')]
            for row, text in database.execute(
                f'SELECT rowid, "{column}" FROM "{table}" WHERE instr("{column}", ?)', (subject.id,)
            )
            if isinstance(text, str) and subject.named_in(text)
        ]
        if remove:
            for table, column, row, text in cells:
                clean = subject.redacted(text.encode()).decode()
                database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid IN (?)', (clean, row))
            database.commit()
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if cells:
        yield Trace(store, str(file), f"the id in {len(cells)} cells")
