"""Sources: every format and place gives the same table; what fails is retried, then named; partial files are never used."""

import gzip
import sqlite3
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from churn.data import fetch, sources, synthetic, tables
from churn.errors import ChurnError
from churn.settings.data import Http, Source
from churn.settings.dataset import Dataset
from fsspec.implementations.memory import MemoryFileSystem
from pydantic import TypeAdapter


def source(**keys: object) -> Source:
    return TypeAdapter(Source).validate_python(keys)


def table(telco: Dataset, **keys: object) -> pd.DataFrame:
    """What one source gives, typed."""
    from churn.data import casting

    given = source(**keys)
    return casting.cast(sources.combine([given], [sources.read(given, telco)[0]], telco), telco)[0]


@pytest.fixture(scope="module")
def customers(telco: Dataset) -> pd.DataFrame:
    return synthetic.generate(telco, 300, seed=3)


@pytest.fixture(scope="module")
def expected(customers: pd.DataFrame, telco: Dataset) -> pd.DataFrame:
    from churn.data import casting

    return casting.cast(customers, telco)[0]


def test_every_format_gives_the_same_table(
    customers: pd.DataFrame, expected: pd.DataFrame, telco: Dataset, tmp_path: Path
) -> None:
    customers.to_csv(tmp_path / "a.csv", index=False)
    customers.to_csv(tmp_path / "b.csv.gz", index=False)
    customers.to_csv(tmp_path / "c.txt", index=False, sep=";")
    customers.to_parquet(tmp_path / "d.parquet")
    customers.to_csv(tmp_path / "e.csv", index=False, sep=";", encoding="utf-8-sig")
    customers.to_csv(tmp_path / "f.csv", index=False, sep="\t", encoding="utf-16")
    for path in sorted(tmp_path.iterdir()):
        pd.testing.assert_frame_equal(table(telco, kind="file", path=str(path)), expected, obj=path.name)


def test_a_folder_is_its_files_by_name(
    customers: pd.DataFrame, expected: pd.DataFrame, telco: Dataset, tmp_path: Path
) -> None:
    customers[:100].to_csv(tmp_path / "1.csv", index=False)
    customers[100:200].to_csv(tmp_path / "2.csv.gz", index=False)
    customers[200:].to_parquet(tmp_path / "3.parquet")
    (tmp_path / "_SUCCESS").touch()
    pd.testing.assert_frame_equal(table(telco, kind="file", path=str(tmp_path)), expected)
    customers[:5].drop(columns="tenure").to_csv(tmp_path / "4.csv", index=False)
    with pytest.raises(ChurnError, match=r"4\.csv: its columns differ from those of .*1\.csv: 'tenure'"):
        table(telco, kind="file", path=str(tmp_path))


def test_a_gzip_file_that_was_cut_is_refused(customers: pd.DataFrame, telco: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(customers.to_csv(index=False).encode())[:-200])
    with pytest.raises(ChurnError, match=r"cut\.csv\.gz: not a readable gzip file"):
        table(telco, kind="file", path=str(path))


def test_sources_are_joined_on_the_id(
    customers: pd.DataFrame, expected: pd.DataFrame, telco: Dataset, tmp_path: Path
) -> None:
    customers.drop(columns=["tenure", "Churn"]).to_csv(tmp_path / "a.csv", index=False)
    customers[["customerID", "Churn", "tenure"]].sample(frac=1, random_state=0).to_parquet(tmp_path / "b.parquet")
    parts = [source(kind="file", path=str(tmp_path / "a.csv")),
             source(kind="file", path=str(tmp_path / "b.parquet"), join=True)]  # fmt: skip
    both = sources.combine(parts, [sources.read(part, telco)[0] for part in parts], telco)
    from churn.data import casting

    pd.testing.assert_frame_equal(casting.cast(both, telco)[0], expected)
    twice = pd.concat([customers[["customerID", "tenure"]]] * 2)
    twice.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ChurnError, match=r"b\.parquet: customerID 'C000000001' occurs twice"):
        sources.combine(parts, [sources.read(part, telco)[0] for part in parts], telco)


def test_sqlite_gives_its_query(
    customers: pd.DataFrame, expected: pd.DataFrame, telco: Dataset, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "crm.db") as database:
        customers.to_sql("customers", database, index=False)
    url = f"sqlite:///{tmp_path}/crm.db"
    found = table(telco, kind="sql", url=url, query="select * from customers order by customerID")
    pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(ChurnError, match="no such column: age"):
        table(telco, kind="sql", url=url, query="select age from customers", retries=0)
    with pytest.raises(ChurnError, match="no such database file"):
        table(telco, kind="sql", url=f"sqlite:///{tmp_path}/none.db", query="select 1")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.usefixtures("at_once")
def test_a_database_that_refuses_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, telco: Dataset) -> None:
    monkeypatch.setenv("CRM_PASSWORD", "s3cret")
    url = "postgresql://churn:${CRM_PASSWORD}@127.0.0.1:1/crm"
    with pytest.raises(ChurnError, match=r"CRM_PASSWORD.*gave up after 2 attempts.*refused") as error:
        table(telco, kind="sql", url=url, query="select 1", retries=1)
    assert "s3cret" not in str(error.value)
    with pytest.raises(ValueError, match="does not belong in a file"):
        source(kind="sql", url="postgresql://churn:s3cret@127.0.0.1/crm", query="select 1")


class Breaking(BaseHTTPRequestHandler):
    """Serves ``content``, but ends the first ``breaks`` answers in the middle."""

    content = b""
    breaks = 0
    ranges: list[str | None] = []
    tag = '"1"'

    def do_GET(self) -> None:
        cls = type(self)
        cls.ranges.append(self.headers.get("Range"))
        start = 0
        if (asked := self.headers.get("Range")) and self.headers.get("If-Range") == cls.tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = cls.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", cls.tag)
        self.end_headers()
        if cls.breaks:
            cls.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Breaking.ranges, Breaking.breaks, Breaking.tag = [], 0, '"1"'
    http = ThreadingHTTPServer(("127.0.0.1", 0), Breaking)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/customers.csv"
    http.shutdown()
    http.server_close()


@pytest.mark.usefixtures("at_once")
def test_a_download_goes_on_where_it_was_cut_off(
    server: str, customers: pd.DataFrame, expected: pd.DataFrame, telco: Dataset
) -> None:
    Breaking.content, Breaking.breaks = customers.to_csv(index=False).encode(), 2
    pd.testing.assert_frame_equal(table(telco, kind="http", url=server), expected)
    assert sources.named(server) == Http(kind="http", url=server)  # as --source says it
    half = len(Breaking.content) // 2
    assert Breaking.ranges[:2] == [None, f"bytes={half}-"]
    assert len(Breaking.ranges) == 3


def test_a_file_that_changed_meanwhile_is_fetched_anew(
    server: str, customers: pd.DataFrame, expected: pd.DataFrame, telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    Breaking.content, Breaking.breaks = b"x" * 10_000, 1
    monkeypatch.setattr(sources.time, "sleep", lambda _: _replace(customers))
    pd.testing.assert_frame_equal(table(telco, kind="http", url=server), expected)


def _replace(customers: pd.DataFrame) -> None:
    Breaking.content, Breaking.tag = customers.to_csv(index=False).encode(), '"2"'


def test_a_download_that_never_ends_well_is_not_used(
    server: str, telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    Breaking.content, Breaking.breaks = b"customerID\n" * 1000, 99
    monkeypatch.setattr(sources.time, "sleep", lambda _: None)
    with pytest.raises(
        ChurnError, match=rf"{server}: gave up after 3 attempts: the connection ended after \d+ of \d+ bytes"
    ):
        table(telco, kind="http", url=server, retries=2)


def test_a_download_has_a_size_limit(server: str, telco: Dataset) -> None:
    Breaking.content = b"x" * (2 << 20)
    with pytest.raises(ChurnError, match=r"larger than .*max_megabytes = 1"):
        table(telco, kind="http", url=server, max_megabytes=1)


class Cut(MemoryFileSystem):
    """A store whose connection is lost after the first range; ``asked`` are the places that were asked for."""

    asked: list[int] = []
    lost = False

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: object) -> bytes:
        Cut.asked.append(start or 0)
        if start and not Cut.lost:
            Cut.lost = True
            raise ConnectionResetError("reset by peer")
        return super().cat_file(path, start, end)


def test_an_object_of_any_store_goes_on_where_it_was_cut_off(
    customers: pd.DataFrame, expected: pd.DataFrame, telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Cut()
    body = customers.to_csv(index=False).encode()
    store.pipe_file("/bucket/in/customers.csv", body)
    monkeypatch.setattr(fetch, "_file_system", lambda source: store)
    monkeypatch.setattr(fetch, "RANGE", len(body) // 3)
    monkeypatch.setattr(sources.time, "sleep", lambda _: None)
    pd.testing.assert_frame_equal(table(telco, kind="gs", url="gs://bucket/in/customers.csv"), expected)
    third = len(body) // 3
    assert Cut.asked[:3] == [0, third, third]
    with pytest.raises(ChurnError, match="check bucket, key and AZURE"):
        table(telco, kind="az", url="az://bucket/in/none.csv", retries=0)


def test_a_store_whose_package_is_missing_says_how_to_get_it(telco: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ChurnError, match=r"gs:// is not installed; install it with make install EXTRA=gs"):
        table(telco, kind="gs", url="gs://bucket/in/customers.csv", retries=0)


def test_columns_of_different_types_meet_as_text(telco: Dataset) -> None:
    frames = [pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": ["x"]})]
    found = tables.concatenate(map(tables.to_bytes, frames), ["one", "two"], telco)
    assert found.a.tolist() == ["1", "2", "x"]
