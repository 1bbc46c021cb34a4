"""Reads customers from files, S3, HTTP or SQL, or generates synthetic ones; every source becomes one table in Parquet bytes."""

import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, unquote

from churn.data import casting, fetch, tables
from churn.errors import ChurnError
from churn.files import parts, reader
from churn.settings import commands
from churn.settings.data import Bucket, Events, File, Files, Http, Origin, Sql, Synthetic, any_synthetic, source_at
from churn.settings.dataset import Dataset
from churn.settings.description.column import Cells

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy

Result = TypeVar("Result")


def choose(configured: Sequence[Origin], path: str, dataset: Dataset, target: str, as_of: str = "") -> list[Origin]:
    """The configured sources, or the one file, folder or address at ``path`` if that is given.

    For an event-based description these are its tables, as they were known at ``as_of``; for a list of customers (``target``
    "score") at the newest event only.

    Raises:
        ChurnError: There is nothing at ``path``; or synthetic customers are configured but the data set has no [synthetic] table:
            the message then asks for a file, with the command ``target`` (see ``commands.say``).
    """
    if as_of and not dataset.tables:
        raise ChurnError(
            f"data set '{dataset.name}': only a description with [tables] of events can be read as of a date"
        )
    if dataset.tables:
        if path:
            reader.data_files(Path(path).expanduser())
        synthetic = not path and any(any_synthetic(table.source) for table in dataset.tables.values())
        folder = str(Path(path).expanduser().resolve()) if path else ""
        return [Events(path=folder, as_of=as_of, now=target == "score", synthetic=synthetic)]
    chosen: list[Origin] = [named(path)] if path else list(configured)
    if any_synthetic(chosen) and not dataset.synthetic:
        raise ChurnError(
            f"data set '{dataset.name}': there are no customers to read, and its description has no [synthetic] table for "
            f"synthetic ones; give a file: {commands.say(target, DATASET=dataset.name, SOURCE=commands.FILE)}"
        )
    return chosen


def named(path: str) -> Files:
    """The source at a path or address. Raises ChurnError if it is a local path with nothing to read."""
    source = source_at(path)
    if isinstance(source, File):
        reader.data_files(Path(path).expanduser())
    return source


@contextmanager
def at_hand(path: str) -> Iterator[list[Path]]:
    """The files at a path, or downloaded from an address while the context lasts. Raises ChurnError if there are none."""
    with _files(source_at(path)) as (files, _):
        yield files


Rows = tuple[bytes, tuple[str, ...]]  # a table as Parquet bytes, and notes on how it was read


def read_with_lineage(source: Origin, dataset: Dataset) -> tuple[bytes, tuple[str, ...], dict[str, Any]]:
    """``read`` for DataFlow, with the lineage of customers derived from events (JSON types); empty for other sources."""
    if not isinstance(source, Events):
        return *read(source, dataset), {}
    from churn.data.events import engine, staging
    from churn.settings.events.history import moment

    instead, as_of = staging.given(dataset, source.path), moment(source.as_of) if source.as_of else None
    customers = engine.customers(dataset, instead, as_of, source.now)
    return customers.table, customers.notes, customers.lineage


def read(source: Origin, dataset: Cells) -> Rows:
    """All rows of one source, untyped; a partial download is never used.

    Raises:
        ChurnError: The source cannot be read, even after its retries.
    """
    if isinstance(source, Events):
        assert isinstance(dataset, Dataset)
        return read_with_lineage(source, dataset)[:2]
    if isinstance(source, Synthetic):
        assert isinstance(dataset, Dataset)
        from churn.data.synthetic import generate

        return tables.to_bytes(generate(dataset, source.rows, source.seed)), ()
    if isinstance(source, Sql):
        return persist(source, lambda: tables.to_bytes(tables.object_to_text(query(source)))), ()
    with _files(source) as (files, note):
        data, notes = _whole(files, dataset, source.most_bytes)
        return data, tuple(map(note, notes))


@contextmanager
def _files(source: Files) -> Iterator[tuple[list[Path], Callable[[str], str]]]:
    """The source's files while the context lasts, and a function that makes messages about them name the source.

    A ChurnError raised within the context is made to name the source, too.
    """
    if isinstance(source, File):
        yield reader.data_files(Path(source.path).expanduser()), str
        return
    with tempfile.TemporaryDirectory() as folder:

        def said(text: str) -> str:
            return f"{source.name}: {text.replace(f'{folder}/', '')}"

        files = persist(source, lambda: _fetch(source, Path(folder)))
        try:
            yield files, said
        except ChurnError as error:
            raise ChurnError(said(str(error))) from None


Part = tuple["pd.DataFrame", tuple[str, ...]]


def in_parts(source: Files | Sql) -> Iterator[Part]:
    """``read`` for tables of any size: one chunk of rows at a time in memory, with notes on how it was read.

    Raises:
        Unreachable: A database did not answer completely; the rows it sent must not be used.
        ChurnError: The source cannot be read.
    """
    if isinstance(source, Sql):
        yield from ((tables.object_to_text(rows), ()) for rows in batches(source, parts.ROWS))
        return
    with _files(source) as (files, note):
        for part in chain.from_iterable(parts.read(file, source.most_bytes) for file in files):
            yield part.table.to_pandas(ignore_metadata=True), tuple(map(note, part.notes))


def _fetch(source: Bucket | Http, folder: Path) -> list[Path]:
    return fetch.from_bucket(source, folder) if isinstance(source, Bucket) else fetch.from_http(source, folder)


def _whole(files: Sequence[Path], dataset: Cells, most_bytes: int) -> Rows:
    if len(files) == 1:
        return tables.to_parquet(files[0], most_bytes)
    read, notes = zip(*(tables.to_parquet(file, most_bytes) for file in files), strict=True)
    return tables.to_bytes(tables.concatenate(read, map(str, files), dataset)), tuple(chain(*notes))


def persist(source: Bucket | Http | Sql, attempt: Callable[[], Result]) -> Result:
    """The result of ``attempt``, retried after each ``fetch.Unreachable``.

    Raises:
        ChurnError: The retries are used up.
    """
    for number in range(source.retries + 1):
        try:
            return attempt()
        except fetch.Unreachable as error:
            reason = error
        if number < source.retries:
            time.sleep(min(0.5 * 2**number, 20))
    raise ChurnError(
        f"{source.name}: gave up after {source.retries + 1} attempts: {reason}; check that it is up, and its address"
    )


def query(source: Sql) -> "pd.DataFrame":
    """The rows of a database query; raises the same errors as ``batches``."""
    return next(batches(source))


def batches(source: Sql, size: int | None = None) -> "Iterator[pd.DataFrame]":
    """The rows of a database query in tables of ``size`` rows, as the database sends them; without ``size``, in one.

    Raises:
        Unreachable: The database did not answer, or not completely.
        ChurnError: It refuses the query, or there are no rows.
    """
    import pandas as pd
    import sqlalchemy
    from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

    try:
        url = _database(source)
        sqlite = url.get_backend_name() == "sqlite"
        if sqlite and not Path(url.database or "").is_file():
            raise ChurnError(f"{source.name}: no such database file")  # SQLite would create an empty one
        limits = {"connect_timeout": int(source.timeout)} if url.get_backend_name() == "postgresql" else {}
        engine = sqlalchemy.create_engine(url, connect_args=limits, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            streamed = {"stream_results": True, "max_row_buffer": size} if size else {}
            answer = connection.execution_options(**streamed).exec_driver_sql(source.query)
            names = list(answer.keys())
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                listed = ", ".join(map(repr, twice))
                raise ChurnError(f"{source.name}: the query returns {listed} twice; name each with AS")
            rows = answer.fetchmany(size) if size else answer.fetchall()
            if not rows:
                raise ChurnError(f"{source.name}: the query returned no rows; correct it")
            while rows:
                yield pd.DataFrame(rows, columns=names)
                rows = answer.fetchmany(size) if size else []
    except ModuleNotFoundError as error:
        raise ChurnError(
            f"{source.name}: the database's driver is not installed ({error.name}); install it into .venv, or name another "
            "one in the url (postgresql+psycopg:// is installed)"
        ) from error
    except SQLAlchemyError as error:
        # In SQLite a wrong query is an operational error too; only a locked file is worth a retry.
        if isinstance(error, OperationalError | InterfaceError) and (not sqlite or "locked" in str(error)):
            raise fetch.Unreachable(_first_line(error)) from error
        raise ChurnError(f"{source.name}: {_first_line(error)}; correct the url or query of this [[source]]") from error


def _database(source: Sql) -> "sqlalchemy.URL":
    """The database URL. Account and query are filled in after parsing, because a password may hold any character."""
    import sqlalchemy

    scheme, _, rest = source.url.partition("://")
    rest, _, query = rest.partition("?")
    account, _, place = rest.rpartition("@") if not rest.startswith("/") else ("", "", rest)  # a path, for SQLite
    user, _, password = (expand(unquote(part), source.name) for part in account.partition(":"))
    try:
        url = sqlalchemy.make_url(f"{scheme}://{expand(place, source.name)}")
    except (ValueError, sqlalchemy.exc.ArgumentError):
        raise ChurnError(f"{source.name}: the url is malformed; correct its host, port or name") from None
    more = {key: expand(value, source.name) for key, value in parse_qsl(query, keep_blank_values=True)}
    return url.set(username=user or None, password=password or None).update_query_dict(more)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def expand(text: str, name: str) -> str:
    """``text`` with each ${NAME} replaced by the environment variable.

    Raises:
        ChurnError: A variable is not set; ``name`` names the source.
    """

    def value(match: re.Match[str]) -> str:
        if (secret := os.environ.get(match[1])) is None:
            raise ChurnError(f"{name}: the environment variable {match[1]} is not set")
        return secret

    return re.sub(r"\$\{(\w+)\}", value, text)


def combine(sources: Sequence[Origin], parts: Sequence[bytes], dataset: Dataset) -> "pd.DataFrame":
    """Concatenate the rows of all sources, then join the columns of those with ``join`` by id.

    Raises:
        ChurnError: A joined source repeats an id, lacks it, or has a column that another source has too.
    """
    joins = [getattr(source, "join", False) for source in sources]
    stacked = [(s.name, p) for s, p, join in zip(sources, parts, joins, strict=True) if not join]
    combined = tables.concatenate([p for _, p in stacked], [name for name, _ in stacked], dataset)
    for source, part, join in zip(sources, parts, joins, strict=True):
        if join:
            combined = _join(combined, tables.concatenate([part], [source.name], dataset), source, dataset)
    return combined


def _join(left: "pd.DataFrame", right: "pd.DataFrame", source: Origin, dataset: Dataset) -> "pd.DataFrame":
    key = dataset.id
    if key is None or key not in left or key not in right:
        raise ChurnError(
            f"{source.name}: cannot be joined: the id column {key!r} must be in it and in the other sources"
        )
    if shared := sorted(map(str, (set(left) & set(right)) - {key})):
        raise ChurnError(
            f"{source.name}: column {', '.join(map(repr, shared))} comes from another source too; drop it from one of them"
        )
    keys = casting.as_text(right[key])
    if keys.duplicated().any():
        raise ChurnError(
            f"{source.name}: {key} {keys[keys.duplicated()].iloc[0]!r} occurs twice; a joined source needs one row per id"
        )
    matched = right.set_index(keys).drop(columns=key).reindex(casting.as_text(left[key]))
    return left.join(matched.reset_index(drop=True))
