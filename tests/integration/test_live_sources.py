"""Sources that are real servers, and what becomes of a run when they go away: it stops with the source's name, the next
one succeeds."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pandas as pd
import postgres
import pytest
from churn.data import casting, fetch, sources, synthetic
from churn.errors import ChurnError
from churn.settings.data import Source
from churn.settings.dataset import Dataset
from pydantic import TypeAdapter
from s3 import BUCKET, Server, running

pytestmark = pytest.mark.long


def source(**keys: object) -> Source:
    return TypeAdapter(Source).validate_python({"timeout": 5, **keys})


def typed(given: Source, telco: Dataset) -> pd.DataFrame:
    return casting.cast(sources.combine([given], [sources.read(given, telco)[0]], telco), telco)[0]


@pytest.fixture(scope="module")
def customers(telco: Dataset) -> pd.DataFrame:
    return synthetic.generate(telco, 500, seed=3)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = running(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture
def in_bucket(bucket: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in bucket.environ.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return bucket


def test_an_object_and_a_prefix_of_objects(
    in_bucket: Server, customers: pd.DataFrame, telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = casting.cast(customers, telco)[0]
    client = in_bucket.client()
    client.put_object(Bucket=BUCKET, Key="in/1.csv", Body=customers[:200].to_csv(index=False).encode())
    client.put_object(Bucket=BUCKET, Key="in/2.parquet", Body=customers[200:].to_parquet())
    client.put_object(Bucket=BUCKET, Key="in/_SUCCESS", Body=b"")
    pd.testing.assert_frame_equal(typed(source(kind="s3", url=f"s3://{BUCKET}/in/"), telco), expected)
    pd.testing.assert_frame_equal(typed(sources.named(f"s3://{BUCKET}/in/"), telco), expected)  # as --source says it
    with sources.at_hand(f"s3://{BUCKET}/in/1.csv") as files:
        assert len(pd.read_csv(files[0])) == 200
    pd.testing.assert_frame_equal(typed(source(kind="s3", url=f"s3://{BUCKET}/in/1.csv"), telco), expected[:200])
    with pytest.raises(ChurnError, match=rf"s3://{BUCKET}/in/3\.csv: .*check bucket, key"):
        typed(source(kind="s3", url=f"s3://{BUCKET}/in/3.csv"), telco)
    with pytest.raises(ChurnError, match="no file below this prefix"):
        typed(source(kind="s3", url=f"s3://{BUCKET}/out/"), telco)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # boto3 keeps the keys that a process has once found
    with pytest.raises(ChurnError, match=r"check bucket, key and AWS_\*") as error:
        typed(source(kind="s3", url=f"s3://{BUCKET}/in/1.csv"), telco)
    assert "wrong" not in str(error.value)


def test_a_server_killed_in_the_middle_of_a_download(
    in_bucket: Server, telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is cut off; the server comes back while the source waits, and the whole file is there."""
    pid, body = in_bucket.pid, os.urandom(96 << 20)
    in_bucket.client().put_object(Bucket=BUCKET, Key="big.csv", Body=body)
    big = source(kind="s3", url=f"s3://{BUCKET}/big.csv", retries=1)
    # In a process of its own: a thread of this one would look too late.
    watch = f"until find {tmp_path} -name 'big.csv*' | grep -q .; do :; done; kill -9 {pid}"
    watcher = subprocess.Popen(["timeout", "60", "sh", "-c", watch])
    waits = []

    def sleep(seconds: float) -> None:
        if not waits:
            in_bucket.start()
        waits.append(seconds)

    monkeypatch.setattr(time, "sleep", sleep)  # the source's between attempts, and boto3's own
    (path,) = sources.persist(big, lambda: fetch.from_bucket(big, tmp_path))
    assert watcher.wait(60) == 0
    assert waits, "it was cut off"
    assert path.read_bytes() == body


def test_a_bucket_that_is_down_is_named(in_bucket: Server, telco: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(ChurnError, match=rf"s3://{BUCKET}/in/1\.csv: gave up after 1 attempts"):
        typed(source(kind="s3", url=f"s3://{BUCKET}/in/1.csv", retries=0), telco)


@pytest.fixture(scope="module")
def crm() -> Iterator[postgres.Server]:
    with postgres.running() as server:
        yield server


def test_postgresql_gives_its_query_and_a_refusal_stops_with_its_name(
    crm: postgres.Server, customers: pd.DataFrame, telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy

    monkeypatch.setenv("CRM_PASSWORD", crm.password)
    engine = sqlalchemy.create_engine(crm.url.replace("${CRM_PASSWORD}", crm.password), poolclass=sqlalchemy.NullPool)
    customers.to_sql("customers", engine, index=False)
    query = 'select * from customers order by "customerID"'
    given = source(kind="sql", url=crm.url, query=query, retries=1)
    expected = casting.cast(customers, telco)[0]
    pd.testing.assert_frame_equal(typed(given, telco), expected)
    with pytest.raises(ChurnError, match='column "age" does not exist'):
        typed(source(kind="sql", url=crm.url, query="select age from customers"), telco)
    monkeypatch.setenv("CRM_PASSWORD", "not the one")
    with pytest.raises(ChurnError, match="password authentication failed") as error:
        typed(source(kind="sql", url=crm.url, query=query, retries=0), telco)
    assert "not the one" not in str(error.value)
    monkeypatch.setenv("CRM_PASSWORD", crm.password)
    crm.stop()
    with pytest.raises(ChurnError, match=r"select \* from customers.*gave up after 1 attempts.*refused"):
        typed(source(kind="sql", url=crm.url, query=query, retries=0), telco)
    monkeypatch.setattr(sources.time, "sleep", lambda _: crm.start())  # it comes back while the source waits
    pd.testing.assert_frame_equal(typed(given, telco), expected)
