"""Stages the tables of a description for the engine.

Parquet files with the right types are used in place; everything else is read and typed like any other file first. A table is
identified by its hash, its number of rows and its newest event.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.data import casting, sources, tables
from churn.data.events import synthetic
from churn.data.events.predicates import sql_name
from churn.errors import ChurnError
from churn.files import parts as file_parts
from churn.files import reader
from churn.settings import commands
from churn.settings.data import File, Source, Sql, Synthetic
from churn.settings.dataset import Dataset
from churn.settings.description.column import Column
from churn.settings.events.table import EventTable

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

MOMENTS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
NUMBERS = (*WHOLE, "FLOAT", "DOUBLE")
BLOCK = 1 << 24
EXAMPLES = 3


@dataclass(frozen=True)
class Staged:
    """One table: its Parquet ``files`` with the types of their columns, and a hash of what was read.

    ``notes`` say how it was read; ``view`` is the name of the files' view where DuckDB does not read them.
    """

    files: tuple[str, ...]
    types: dict[str, str]
    hash: str
    notes: tuple[str, ...] = ()
    view: str = ""


def given(dataset: Dataset, path: str) -> dict[str, Source]:
    """The sources at ``path`` that replace the description's.

    A file for its only table, or a folder of files named after the tables.

    Raises:
        ChurnError: There is nothing at the path, or no file for a table.
    """
    if not path:
        return {}
    place = Path(path).expanduser()
    files = reader.data_files(place)
    if place.is_file() and len(dataset.tables) == 1:
        return {next(iter(dataset.tables)): File(kind="file", path=str(place.resolve()))}
    by_name = {file.name.split(".")[0]: file for file in files}
    if place.is_dir() and (place / next(iter(dataset.tables))).is_dir():
        by_name = {name: place / name for name in dataset.tables}
    if missing := [name for name in dataset.tables if name not in by_name]:
        raise ChurnError(
            f"{path}: holds no file for table '{missing[0]}' of data set '{dataset.name}'; give a folder with a file for "
            f"each of: {', '.join(dataset.tables)}"
        )
    return {name: File(kind="file", path=str(by_name[name].resolve())) for name in dataset.tables}


def stage(
    dataset: Dataset, name: str, instead: Source | None, folder: Path, connection: "duckdb.DuckDBPyConnection"
) -> Staged:
    """Table ``name`` as Parquet, from its sources, or from ``instead``.

    Files that cannot be used in place are written to ``folder``.

    Raises:
        ChurnError: A source cannot be read or grows meanwhile, or cells are not of their column's type.
    """
    table, parts = dataset.tables[name], []
    for number, source in enumerate((instead,) if instead is not None else table.source):
        parts.append(_part(dataset, name, table, source, folder / f"{name}-{number}.parquet", connection))
    if len({tuple(part.types.items()) for part in parts}) > 1:  # text in one, numbers in another, say: type all alike
        parts = [
            _typed(dataset, name, table, source, folder / f"{name}-{number}.parquet", connection)
            for number, source in enumerate(table.source)
        ]
    digest = hashlib.sha256("".join(part.hash for part in parts).encode()).hexdigest()
    return Staged(sum((p.files for p in parts), ()), parts[0].types, digest, sum((p.notes for p in parts), ()))


def _part(dataset: Dataset, name: str, table: EventTable, source: Source, target: Path, connection: Any) -> Staged:
    if not isinstance(source, File):
        return _typed(dataset, name, table, source, target, connection)
    files = reader.data_files(Path(source.path).expanduser())
    before = _states(files)
    if all(file.name.endswith(".parquet") for file in files):
        types = _types(connection, list(map(str, files)))
        staged = Staged(tuple(map(str, files)), types, _hash(files)) if _as_it_is(table, types) else None
    else:
        staged = None
    staged = staged or _typed(dataset, name, table, source, target, connection)
    if _states(files) != before:
        raise ChurnError(f"{source.path}: changed while it was read; run this again when whatever writes it is done")
    return staged


def _states(files: Sequence[Path]) -> list[tuple[int, int]]:
    return [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def fingerprints(staged: Sequence[Staged]) -> dict[str, tuple[int, int]]:
    """The size and modification time of each file that is read in place.

    If they change while a file is read, the result is void.
    """
    return {file: _states([Path(file)])[0] for one in staged for file in one.files}


def _hash(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while block := content.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _types(connection: Any, files: list[str]) -> dict[str, str]:
    import duckdb

    try:
        described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [files]).fetchall()
    except duckdb.Error as error:
        raise ChurnError(
            f"{files[0]}: not a readable Parquet file, perhaps damaged ({_first(error)}); copy it again"
        ) from None
    return {name: kind for name, kind, *_ in described}


def _first(error: Exception) -> str:
    return str(error).splitlines()[0]


def _as_it_is(table: EventTable, types: dict[str, str]) -> bool:
    """Whether Parquet columns of these types can be used in place.

    Every column is there, has the right type, and needs no respelling.
    """
    if types.get(table.id) not in (*WHOLE, "VARCHAR") or any(types.get(name) not in MOMENTS for name in table.moments):
        return False
    return all(_plain(column, types.get(name, ""), table) for name, column in table.columns.items())


def _plain(column: Column, kind: str, table: EventTable) -> bool:
    if column.numeric:
        return kind in NUMBERS and (column.type == "number" or kind in WHOLE)
    respelled = column.aliases or column.values or table.fold_case or table.missing_values or column.missing_values
    return kind == "VARCHAR" and not respelled


def _typed(dataset: Dataset, name: str, table: EventTable, source: Source, target: Path, connection: Any) -> Staged:
    """Read the source like any file, type its described columns, and write them to ``target``, a chunk of rows at a time."""

    def write() -> tuple[str, ...]:
        notes: list[str] = []
        typed = _typed_parts(name, source, table, commands.description(dataset.name), notes)
        tables.write_parts(typed, table.cells, target)
        return file_parts.merged(notes)

    notes = sources.persist(source, write) if isinstance(source, Sql) else write()
    return Staged((str(target),), _types(connection, [str(target)]), _hash([target]), notes)


def _typed_parts(name: str, source: Source, table: EventTable, file: str, notes: list[str]) -> "Iterator[pd.DataFrame]":
    """The described columns of the source's rows, typed, in chunks; appends to ``notes`` how they were read.

    Raises:
        ChurnError: The source cannot be read, lacks a column, or has cells that are not of their column's type.
    """
    place, before = f"{file} [tables.{name}]", 0
    for frame, frame_notes in _rows(name, source):
        if missing := [column for column in table.cells.columns if column not in frame]:
            raise ChurnError(
                f"{source.name}: column {missing[0]!r} is missing; the file has: {', '.join(map(str, frame.columns))}. "
                f"Name another in {place}"
            )
        typed, unreadable = casting.cast(frame, table.cells)
        for column, bad in unreadable.items():
            kind = table.cells.columns[column].type
            shown = ", ".join(repr(str(cell)) for cell in frame[column][bad].head(EXAMPLES))
            below = f" below row {before:,}" if before else ""
            way = (
                f'give format, such as "%d.%m.%Y", in {place}'
                if kind == "timestamp"
                else f"say how it is written in {place}.columns"
            )
            raise ChurnError(
                f"{source.name}: column {column!r}: {bad.sum():,} of {len(frame):,} cells{below} are not of type {kind} "
                f"({shown}); correct them, or {way}"
            )
        before += len(frame)
        notes += frame_notes
        yield typed


def _rows(name: str, source: Source) -> Iterator[sources.Part]:
    if isinstance(source, Synthetic):
        yield synthetic.synthetic_table(name, source.rows, source.seed), ()
    else:
        yield from sources.in_parts(source)


def select(table: EventTable, staged: Staged, whole_ids: bool, as_of: datetime) -> str:
    """The query for a table's rows that had happened and were known at ``as_of``."""
    limit = f"TIMESTAMP '{as_of.isoformat(sep=' ')}'"
    visible = [f"{sql_name(moment)} <= {limit}" for moment in (table.moment, table.known) if moment]
    return f"SELECT * FROM ({rows(table, staged, whole_ids)}) AS rows WHERE {' AND '.join(visible)}"


def rows(table: EventTable, staged: Staged, whole_ids: bool) -> str:
    """The query for all of a table's rows, in the types the statement expects."""
    text = f"NULLIF(TRIM(CAST({sql_name(table.id)} AS VARCHAR)), '')"
    columns = [sql_name(table.id) if whole_ids else f"{text} AS {sql_name(table.id)}"]
    columns += [f"{_moment(staged.types[name], name)} AS {sql_name(name)}" for name in table.moments]
    for name, column in table.columns.items():
        cell = f"CAST({sql_name(name)} AS DOUBLE)" if column.numeric else f"NULLIF(TRIM({sql_name(name)}), '')"
        columns.append(f"{cell} AS {sql_name(name)}")
    files = ", ".join("'" + file.replace("'", "''") + "'" for file in staged.files)
    place = staged.view or f"read_parquet([{files}])"
    named = f" WHERE {text} IS NOT NULL" if table.without_id == "leave out" else ""
    return f"SELECT {'DISTINCT ' * table.deduplicate}{', '.join(columns)} FROM {place}{named}"


def _moment(kind: str, name: str) -> str:
    return (
        f"TIMEZONE('UTC', {sql_name(name)})"
        if kind == "TIMESTAMP WITH TIME ZONE"
        else f"CAST({sql_name(name)} AS TIMESTAMP)"
    )


def whole_ids(dataset: Dataset, staged: dict[str, Staged]) -> bool:
    """Whether the ids of all tables are whole numbers, which group faster than text."""
    return all(staged[name].types[table.id] in WHOLE for name, table in dataset.tables.items())
