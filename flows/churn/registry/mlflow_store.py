"""The only access to MLflow: its client, with errors that say what is wrong with which store, and what to do."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from churn.errors import ChurnError
from churn.storage import mlflow_database

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Missing(ChurnError):
    """MLflow answers, but does not have the requested item."""


class Taken(ChurnError):
    """MLflow answers, but already has an item of this name."""


_ANSWERS = {"RESOURCE_DOES_NOT_EXIST": Missing, "RESOURCE_ALREADY_EXISTS": Taken}

# Patterns in an error's text and their meaning; the first match counts. {uri}: the store; {said}: the error's message.
_MEANINGS = (
    (r"\b(too many|error code) 5\d\d|RestException INTERNAL_ERROR",
     "MLflow at {uri} failed ({said}); see its log, fix the cause and run this again"),
    (r"error code 40[13]|RestException (UNAUTHENTICATED|PERMISSION_DENIED)",
     "MLflow at {uri} refuses this client ({said}); check MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, and the "
     "server's --allowed-hosts"),
    (r"not in a valid JSON|error code 404", "the server at {uri} is not an MLflow server; change MLFLOW_TRACKING_URI"),
    (r"unsupported URI|Could not parse",
     "MLFLOW_TRACKING_URI={uri} is not an MLflow address; write http://HOST:PORT or sqlite:///FILE"),
    (r"database (table )?is locked",
     "{uri}: another process has locked the database; wait until it ends, or stop it, and run this again"),
    (r"file is not a database|malformed|unsupported file format",
     "{uri}: the file is not a SQLite database, or is damaged; restore it from a backup, or move it away and train again"),
    (r"table \S+ already exists|duplicate column",
     "{uri}: its MLflow tables are incomplete ({said}), because a start of an older release was interrupted; restore it from a "
     "backup, or move it away and run this again"),
    (r"out-of-date database schema|Can't locate revision",
     "{uri}: the database belongs to another MLflow release; install that one or, if it is older than yours, back up the "
     "database and run: {python} -m mlflow db upgrade {uri}"),
    (r"[Nn]o space left|disk is full",
     "MLflow cannot write to {uri} or its artifacts ({said}); free space and run this again"),
    (r"(readonly|unable to open) database|disk I/O error|[Pp]ermission denied|Read-only file|(Is|Not) a directory|File exists",
     "MLflow cannot write to {uri} or its artifacts ({said}); check that the folder exists and is writable"),
    (r"^boto", "cannot reach MLflow's artifacts ({said}); check MLFLOW_ARTIFACTS and AWS_* in the environment"),
    (r"HTTPConnection|refused|timed out|resolve|OperationalError",
     "MLflow does not answer at {uri} ({said}); start it or change MLFLOW_TRACKING_URI"),
    ("", "MLflow at {uri} failed: {said}"),
)  # fmt: skip


def client() -> "MlflowClient":
    """MLflow's client at MLFLOW_TRACKING_URI, whose calls raise as in ``explained``. Raises ChurnError if nothing answers."""
    import mlflow

    for name, level in (("mlflow", logging.WARNING), ("alembic", logging.WARNING)):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("mlflow.store.db.utils").setLevel(
        logging.CRITICAL
    )  # it prints a traceback of the error that it then raises
    with explained():
        if not os.environ["MLFLOW_TRACKING_URI"].startswith("http"):
            from mlflow.store.db import utils

            utils.MAX_RETRY_COUNT = 5  # report an unreachable database within seconds instead of 100
        mlflow_database.prepare(os.environ["MLFLOW_TRACKING_URI"])
        mlflow_client = mlflow.MlflowClient()
        mlflow_client.search_experiments(max_results=1)
    return cast("MlflowClient", _Explained(mlflow_client))


class _Explained:
    """MLflow's client with every call wrapped in ``explained``."""

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(_call, getattr(self._client, name))


def _call(method: Callable[..., Any], *words: Any, **named: Any) -> Any:
    with explained():
        return method(*words, **named)


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors of MLflow and the libraries below it into ChurnErrors: Missing, Taken, or an explanation."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, _theirs()):
            raise
        kind = _ANSWERS.get(getattr(error, "error_code", ""), ChurnError)
        if re.search(r"expected to (update|delete) .* row", str(error)):  # another process was faster
            kind = Missing
        raise kind(_meaning(error)) from error


def _theirs() -> tuple[type[Exception], ...]:
    from sqlite3 import Error as SQLiteError

    from alembic.util import CommandError
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    stores = (MlflowException, SQLAlchemyError, SQLiteError, CommandError)
    return (*stores, RequestException, OSError, BotoCoreError, ClientError, Boto3Error)


def _meaning(error: Exception) -> str:
    kind = type(error)
    description = f"{kind.__module__}.{kind.__name__} {getattr(error, 'error_code', '')} {error}"
    text = next(meaning for pattern, meaning in _MEANINGS if re.search(pattern, description))
    return text.format(uri=tracking_uri(), said=_said(error), python=sys.executable)


def _said(error: Exception) -> str:
    """The core of an error's message: the database's own, or the innermost one of a failed connection."""
    inner = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
    words = " ".join(str(inner).split())
    if refused := re.search(r"error code \d+", words):
        return refused[0]
    if cause := re.search(r"Caused by \w+\([\"'](?:\w+\(.*?\): )?(.*?)[\"')]*$", words):
        return cause[1]
    return words[:300]


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI without its password."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", os.environ["MLFLOW_TRACKING_URI"])
