"""Runs the same statement in Spark where one machine is not enough: on an existing cluster, or a local one.

An existing cluster is configured as for every PySpark program: SPARK_REMOTE, or spark.master in SPARK_CONF_DIR or
PYSPARK_SUBMIT_ARGS. Its workers read and write below TMPDIR, and read the tables' files in place.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from churn.data.events import on_duckdb, staging, statement, views
from churn.data.events.running import Running
from churn.errors import ChurnError
from churn.settings.cpus import cpus
from churn.settings.data import Source
from churn.settings.dataset import Dataset

ELSEWHERE = ("SPARK_REMOTE", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS")
HERE = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false"}
MEANING = {  # as in DuckDB: moments are in UTC without a zone, and division by 0 gives NULL
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "false",
}


@contextmanager
def running(dataset: Dataset, instead: dict[str, Source], as_of: datetime, folder: Path) -> Iterator[Running]:
    """Spark over the tables as they were known at ``as_of``; its files are in ``folder``."""
    with on_duckdb.connected(folder) as duck:
        staged = {name: staging.stage(dataset, name, instead.get(name), folder, duck) for name in dataset.tables}
    before = staging.fingerprints(list(staged.values()))
    with _errors():
        spark = _Connection()
        viewed = {name: spark.view(name, one) for name, one in staged.items()}
        lineage = views.make(spark, dataset, viewed, as_of)
        yield Running(
            lineage,
            tuple(note for one in staged.values() for note in one.notes),
            lambda moment, path: spark.write(statement.compiled(dataset, [moment]), path),
            lambda: staging.fingerprints(list(staged.values())) == before,
        )


class _Connection:
    """Spark behind the part of DuckDB's interface that ``views`` uses."""

    def __init__(self) -> None:
        self._session, self._answer = _session(), None
        for name, value in MEANING.items():
            self._session.conf.set(name, value)

    def view(self, name: str, staged: staging.Staged) -> staging.Staged:
        """The table's files as a view, with moments in UTC."""
        rows = self._session.read.parquet(*staged.files)
        zoned = {column: rows[column].cast("timestamp_ntz") for column, kind in rows.dtypes if kind == "timestamp"}
        rows.withColumns(zoned).createOrReplaceTempView(f"staged_{name}")
        types = {column: "TIMESTAMP" if column in zoned else kind for column, kind in staged.types.items()}
        return replace(staged, types=types, view=f"staged_{name}")

    def execute(self, text: str) -> "_Connection":
        import sqlglot

        self._answer = self._session.sql(sqlglot.transpile(text, read="duckdb", write="spark")[0])
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        assert self._answer is not None
        row = self._answer.first()
        return None if row is None else tuple(row)

    def write(self, text: str, path: Path) -> None:
        self._session.sql(text).write.parquet(str(path))


def _session() -> Any:
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise ChurnError(
            'engine = "spark" needs PySpark, which is not installed; install it with make install EXTRA=spark'
        ) from None
    builder = SparkSession.builder.appName("churnflow").config("spark.ui.showConsoleProgress", "false")
    if not any(os.environ.get(name) for name in ELSEWHERE):
        if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
            raise ChurnError(
                'engine = "spark" needs Java 17 or newer on this machine; install it, or name a Spark server in SPARK_REMOTE'
            )
        for name, value in HERE.items():
            builder = builder.config(name, value)
        builder = builder.master(f"local[{cpus()}]").config("spark.sql.shuffle.partitions", str(2 * cpus()))
    return builder.getOrCreate()


@contextmanager
def _errors() -> Iterator[None]:
    """Turn Spark's errors into ChurnErrors."""
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
    except ModuleNotFoundError:
        yield  # ``_session`` reports it
        return
    try:
        yield
    except (PySparkException, Py4JError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ChurnError(
            f"Spark stopped: {reason}; see that it is up, that its workers reach the tables and TMPDIR, and run this again"
        ) from error
