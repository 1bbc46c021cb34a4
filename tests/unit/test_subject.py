"""An id is found in every form that a store gives it, and no other customer's is taken for it."""

import gzip
import io
import json
import pickle
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from churn.data import snapshots, synthetic, tables
from churn.errors import ChurnError
from churn.privacy import data_versions, erasure, logged_rows, registered_models, run_store, written_files
from churn.privacy.subject import Subject, without
from churn.registry import model_registry
from churn.serving import prediction_log
from churn.serving.batch_scoring import Ranked
from churn.settings.dataset import Dataset
from churn.storage import checksums, keyed_ids
from churn.storage.places import Place
from churn.training import onnx_scorer
from pyarrow import parquet
from test_checksums import flipped

SECRET = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret
KEYED = keyed_ids.keyed("4711-GONE", SECRET.encode())


def _who(customer: str, column: str = "customerID") -> Subject:
    return Subject(customer, frozenset({column}))


@pytest.mark.parametrize(
    ("customer", "cells", "found"),
    [
        ("4711-GONE", ["4711-GONE", "4711-GONER", " 4711-GONE ", None], [0, 2]),
        ("007", ["7", "007", "0070"], [1]),
        ("7", ["7", "007", "7.0", "70"], [0, 2]),
        ("007", [7, 70, 700], [0]),
        ("7", [7.0, np.nan, 70.0], [0]),
        ("12345678", pd.array([12345678, None, 1], dtype="Int64"), [0]),
        ("4711-GONE", pd.Categorical(["4711-GONE", "x", "4711-GONE"]), [0, 2]),
        ("a b", ["a b", "a", "b"], [0]),
    ],
)
def test_rows_are_the_customers_whatever_the_type(customer: str, cells: object, found: list[int]) -> None:
    table = pd.DataFrame({"customerID": cells, "tenure": [7, 7, 7, 7][: len(pd.Series(cells))]})
    assert np.flatnonzero(_who(customer).rows(table)).tolist() == found
    content = tables.to_bytes(table)
    assert np.flatnonzero(_who(customer).parquet_rows(content)).tolist() == found


def test_a_short_id_is_looked_for_in_id_columns_alone_however_they_are_spelt() -> None:
    table = pd.DataFrame({"Customer ID": ["17", "18"], "plan": ["x", "17"], "tenure": [3, 17]})
    assert _who("17").rows(table).tolist() == [True, False]
    assert not _who("17").named_in("17 rows")


def test_a_long_id_is_found_in_any_column_of_text_and_in_no_number() -> None:
    table = pd.DataFrame({"left": ["12345", "x"], "tenure": [1, 12345]})
    assert _who("12345").rows(table).tolist() == [True, False]


def test_a_column_whose_name_the_file_has_twice_is_searched_as_well() -> None:
    table = pd.DataFrame([["x", "4711-GONE"], ["y", "z"]], columns=["customerID", "customerID"])
    assert _who("4711-GONE").rows(table).tolist() == [True, False]


def test_the_log_is_searched_by_the_keyed_id_and_by_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keyed_ids.KEY, SECRET)
    who = Subject("4711-GONE", frozenset({"customerID"}), predictions={"ab" * 16})
    table = pd.DataFrame({"prediction_id": ["ab" * 16, "cd" * 16, "ef" * 16], "customerID": [None, KEYED, "x"]})
    assert who.rows(table).tolist() == [True, True, False]


@pytest.mark.parametrize("text", ["id 4711-GONE.", '{"a": "4711-GONE"}', "<td>4711-GONE</td>", "=4711-GONE&"])
def test_text_is_redacted_and_other_ids_stay(text: str) -> None:
    who, both = _who("4711-GONE"), f"{text} 4711-GONER"
    assert who.named_in(text)
    assert who.redacted(both.encode()).decode() == both.replace("4711-GONE", "[erased]", 1)
    assert len(who.masked(both.encode())) == len(both)
    assert not who.named_in("4711-GONER X4711-GONE")


@pytest.mark.parametrize("customer", ["", "  ", "M\udcfcller-1"])
def test_what_is_no_id_is_refused(customer: str) -> None:
    with pytest.raises(ChurnError, match="ID is empty or not UTF-8 text; give the customer's id"):
        erasure.subject(customer)


def test_ids_are_found_as_json_html_and_addresses_write_them() -> None:
    who = _who("Müller & Söhne/7")
    for text in (json.dumps("Müller & Söhne/7"), "Müller &amp; Söhne/7", "?c=M%C3%BCller%20%26%20S%C3%B6hne%2F7"):
        assert who.named_in(text)
        assert not who.named_in(who.redacted(text.encode()))


@pytest.mark.parametrize("sealed", [True, False])
def test_a_table_loses_the_row_and_keeps_types_and_seal(sealed: bool) -> None:
    table = pa.table({"id": pa.array(["a", "b", "c"]), "at": pa.array([1, 2, None], pa.timestamp("us", tz="UTC"))})
    out = io.BytesIO()
    parquet.write_table(table, out)
    content = checksums.sealed(out.getvalue()) if sealed else out.getvalue()
    found = without(content, np.array([False, True, False]))
    assert checksums.is_sealed(found) == sealed
    assert parquet.read_table(io.BytesIO(found)).equals(table.take([0, 2]))


def _sealed(rows: int) -> bytes:
    out = io.BytesIO()
    ids = ["4711-GONE", *(f"{n:04}-OTHER" for n in range(rows - 1))]
    table = pa.table({"prediction_id": ids, "probability": np.arange(rows) / rows})
    parquet.write_table(table, out, compression="zstd", write_page_checksum=True)
    return checksums.sealed(out.getvalue())


def _erased_after(bits: Iterable[int], folder: Path) -> None:
    """Each time one bit of a part of the log: erasing leaves it as it is, and says so."""
    content, name = _sealed(50), "predictions/day=2026-01-01/part-1.parquet"
    (folder / name).parent.mkdir(parents=True)
    for bit in bits:
        (folder / name).write_bytes(flipped(content, bit))
        traces = list(logged_rows.sweep(_who("4711-GONE", "prediction_id"), remove=True))
        assert (folder / name).read_bytes() == flipped(content, bit), f"bit {bit}: written anew, as if it were whole"
        assert [(trace.place, trace.what) for trace in traces] == [(str(folder / name), "a file that is damaged")]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log, and beside it no list and no run that knows any prediction."""
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path / "log"))
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path / "scores"))
    monkeypatch.setattr(run_store, "predictions", lambda _: set())
    return tmp_path / "log"


def test_no_damaged_part_becomes_whole_by_erasing(log: Path) -> None:
    _erased_after(random.Random(0).sample(range(8 * len(_sealed(50))), 15), log)


@pytest.mark.slow
def test_no_part_with_any_bit_flipped_becomes_whole_by_erasing(log: Path) -> None:
    _erased_after(range(8 * len(_sealed(50))), log)


@pytest.mark.parametrize(
    ("name", "noted"),
    [(prediction_log.HOLDOUT, True), (onnx_scorer.MANIFEST, True), (onnx_scorer.MANIFEST, False)],
)
def test_no_checksum_is_noted_of_a_models_damaged_file(
    name: str, noted: bool, telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = synthetic.generate(telco, 6, 1)
    files = {prediction_log.HOLDOUT: tables.to_bytes(table[:3]), onnx_scorer.MANIFEST: b'{"threshold": 0.5}'}
    tags = {model_registry.CHECKSUMS: checksums.to_line({n: checksums.sha256(c) for n, c in files.items()})}
    for file, content in files.items():
        (tmp_path / file).write_bytes(b"\xff" + content[1:] if file == name else content)
    rows = np.array([True, False, False])
    parts = {snapshots.TRAIN: files[prediction_log.HOLDOUT], snapshots.HOLDOUT: files[prediction_log.HOLDOUT]}
    version = data_versions.Version("d", telco, True, None, None, ~rows & False, rows, parts)
    noticed: list[str] = []
    fake = SimpleNamespace(set_model_version_tag=lambda *words: noticed.append(words[-1]))
    monkeypatch.setattr(registered_models, "client", lambda: fake)
    monkeypatch.setattr(registered_models, "_files", lambda _: Place.of(str(tmp_path)))
    monkeypatch.setattr(model_registry, "annotate", lambda *_: None)
    model = model_registry.Registered("churn", "1", "run", tags if noted else {})
    traces = list(registered_models._model(model, version, remove=True))
    assert [t.what for t in traces if t.place == str(tmp_path / name)] == ["a file that is damaged"]
    assert (tmp_path / name).read_bytes()[:1] == b"\xff"
    known = [checksums.from_line(line) for line in noticed]
    assert all(line.get(name, "") in ("", checksums.sha256(files[name])) for line in known)


def test_an_artifact_that_cannot_be_read_is_searched_as_bytes() -> None:
    for plain in (b"cno.such.module\nClass\n(V4711-GONEx\n", b"no pickle: 4711-GONE"):
        found = run_store._look(gzip.compress(plain), _who("4711-GONE"))
        assert (found.holds, found.rows) == (True, True)


@pytest.mark.parametrize(
    ("value", "holds", "names", "rows"),
    [
        (tables.to_bytes(pd.DataFrame({"customerID": ["4711-GONE", "x"]})), True, False, True),
        (pd.DataFrame({"customerID": ["4711-GONE", "x"]}), True, False, True),
        ({"a": [(1, pd.DataFrame({"customerID": ["x"]}))]}, False, False, True),
        ("row 3 of 4711-GONE is bad", False, True, False),
        ("customerID,reasons\n4711-GONE,tenure\n", True, True, True),
        (["4711-GONER"], False, False, False),
        (np.zeros(3), False, False, True),
        (3.5, False, False, False),
        (Ranked("list of 4711-GONE", pd.DataFrame({"customerID": ["x"]}), 1, 0, False, np.zeros(1)), False, True, True),
    ],
)
def test_artifacts_are_looked_into(value: object, holds: bool, names: bool, rows: bool) -> None:
    found = run_store._look(gzip.compress(pickle.dumps(value, protocol=4)), _who("4711-GONE"))
    assert (found.holds, found.rows) == (holds, rows)
    assert found.names >= names


def test_an_artifact_stays_readable_without_the_id() -> None:
    value = {"note": "x" * 40 + " 4711-GONE " + "ü", "4711-GONE": ["4711-GONE", "4711-GONER"], "n": 4711}
    found = pickle.loads(run_store._stars(pickle.dumps(value, protocol=4), _who("4711-GONE")))
    assert found == {"note": "x" * 40 + " ********* " + "ü", "*********": ["*********", "4711-GONER"], "n": 4711}


def test_a_database_forgets_its_free_pages_too(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE tags (key TEXT, value TEXT, PRIMARY KEY (key))")
        database.execute("INSERT INTO tags VALUES ('reason', 'complaint of 4711-GONE'), ('other', '4711-GONER')")
        database.execute("CREATE TABLE old (value TEXT)")
        database.executemany("INSERT INTO old VALUES (?)", [("4711-GONE",)] * 500)
        database.execute("DELETE FROM old")
        database.commit()
    place, who = Place.of(str(tmp_path)), _who("4711-GONE")
    assert len(list(written_files.clean("s", place, "mlflow.db", file.read_bytes(), who, remove=True))) == 1
    assert not who.named_in(file.read_bytes())
    with closing(sqlite3.connect(file)) as database:
        assert dict(database.execute("SELECT key, value FROM tags")) == {
            "reason": "complaint of [erased]",
            "other": "4711-GONER",
        }


def test_lists_keep_every_other_line_as_it_was(tmp_path: Path) -> None:
    text = 'rank,customerID,prediction_id,note\n1,4711-GONE,aa,"a, b\nc"\n2,4711-GONER,bb,"x ""y"", z"\n'
    who = _who("4711-GONE")
    kept, count = written_files.lines(text, who)
    assert (kept, count) == ('rank,customerID,prediction_id,note\n2,4711-GONER,bb,"x ""y"", z"\n', 1)
    assert who.predictions == {"aa"}
