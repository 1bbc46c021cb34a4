"""Creates MLflow's SQLite database atomically.

MLflow creates its tables in dozens of migrations, in the file itself, and cannot resume: a process killed on the way, or two
that start at once, leave a file that no later start can use.
"""

import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

BUSY = 5.0  # seconds to wait for another process's transaction, if the address has no ``timeout``


def prepare(uri: str) -> None:
    """Ensure that the database at ``uri`` has MLflow's tables: if not, create them in a copy, which then replaces it.

    Does nothing for stores other than SQLite. Of several concurrent processes, one does the work and the others wait.
    Raises the errors of SQLite, the file system and MLflow's migrations.
    """
    from sqlalchemy.engine import make_url

    url = make_url(uri) if uri.startswith("sqlite:") else None
    if url is None or url.database in (None, "", ":memory:"):
        return
    file, busy = Path(str(url.database)), float(str(url.query.get("timeout", BUSY)))
    if _ready(file, busy):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, even by a killed process
        if not _ready(file, busy):
            _make(file, busy)


def _ready(file: Path, busy: float) -> bool:
    import mlflow.store.db.utils as tables

    if not file.exists():
        return False
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", busy, uri=True)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return tables.Base.metadata.tables.keys() <= names


def _make(file: Path, busy: float) -> None:
    """Create the database in a copy; only one process at a time gets here, so an existing copy is a leftover."""
    copy = file.with_name(f".{file.name}.new")
    try:
        with closing(sqlite3.connect(file if file.exists() else ":memory:", busy, isolation_level=None)) as former:
            former.execute("BEGIN EXCLUSIVE")  # nobody may write to the file that is about to be replaced
            for left in _files(copy):
                left.unlink(missing_ok=True)
            if file.exists():
                shutil.copy(file, copy)
            _migrate(copy)
            with copy.open("rb") as handle:
                os.fsync(handle.fileno())
            copy.rename(file)
    finally:
        for left in _files(copy):
            left.unlink(missing_ok=True)


def _files(database: Path) -> tuple[Path, ...]:
    return (database, database.with_name(f"{database.name}-journal"))


def _migrate(file: Path) -> None:
    import mlflow.store.db.utils as tables

    engine = tables.create_sqlalchemy_engine(f"sqlite:///{file}")
    try:
        tables._initialize_tables(engine)
    finally:
        engine.dispose()
