"""What goes wrong with MLflow, for real, and the one line that a person gets."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from churn.errors import ChurnError
from churn.registry import mlflow_store, model_registry, tracking
from churn.storage import checksums
from conftest import ROOT
from s3 import alone


def line(monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    """What a person reads when MLflow is at ``uri``."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ChurnError) as error:
        mlflow_store.client()
    assert error.value.__cause__ is not None, "for --debug"
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def store(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, at MLFLOW_TRACKING_URI."""
    file = Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    return file


@contextmanager
def answering(status: int, body: bytes, port: int = 0) -> Iterator[str]:
    """A server that answers everything so."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b"", "MLflow at {} failed (too many 500 error responses); see its log, fix the cause and run this again"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "no table runs"}', "MLflow at {} failed (too many 500"),
        (403, b"Invalid Host", "MLflow at {} refuses this client (error code 403); check MLFLOW_TRACKING_USERNAME, "
         "MLFLOW_TRACKING_PASSWORD, and the server's --allowed-hosts"),
        (401, b"who?", "MLflow at {} refuses this client (error code 401)"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "not yours"}',
         "MLflow at {} refuses this client (PERMISSION_DENIED: not yours); check"),
        (404, b"nothing here", "the server at {} is not an MLflow server; change MLFLOW_TRACKING_URI"),
        (200, b"<html>It works!</html>", "the server at {} is not an MLflow server; change MLFLOW_TRACKING_URI"),
    ],
)  # fmt: skip
def test_a_server_that_fails_or_refuses(status: int, body: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(status, body) as uri:
        assert said.format(uri) in line(monkeypatch, uri)


def test_no_server_and_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert line(monkeypatch, "http://127.0.0.1:1") == (
        "MLflow does not answer at http://127.0.0.1:1 (Failed to establish a new connection: [Errno 111] Connection refused); "
        "start it or change MLFLOW_TRACKING_URI"
    )
    assert "is not an MLflow address; write http://HOST:PORT or sqlite:///FILE" in line(monkeypatch, "ftp://x")


@pytest.mark.long
def test_a_pod_waits_for_a_server_that_is_away(tmp_path: Path) -> None:
    """For longer than a person is kept waiting: a step that gives its verdict once would else end the whole workflow."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as free:
        port = free.server_port
    code = "from churn.registry import mlflow_store as m; print(m.client().get_experiment_by_name('churn'))"
    environ = {"METAFLOW_KUBERNETES_WORKLOAD": "1", "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    asked = subprocess.Popen(**alone(tmp_path, "-c", code, PYTHONPATH=str(ROOT / "flows"), **environ))
    with pytest.raises(subprocess.TimeoutExpired):
        asked.wait(20)  # a person has been told by now
    with answering(404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"}', port):
        said, _ = asked.communicate(timeout=60)
    assert "no such experiment" in said  # the server's answer, once it is there


def test_a_database_server_that_is_away_is_named_in_seconds_and_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = line(monkeypatch, "postgresql+psycopg://churn:secret@127.0.0.1:1/mlflow")
    assert said.startswith(
        "MLflow does not answer at postgresql+psycopg://churn:***@127.0.0.1:1/mlflow (connection failed"
    )
    assert "secret" not in said


@pytest.mark.long
def test_a_database_that_is_locked_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(bytes(range(256)) * 64)
    assert line(monkeypatch, f"sqlite:///{file}") == (
        f"sqlite:///{file}: the file is not a SQLite database, or is damaged; restore it from a backup, or move it away and "
        "train again"
    )
    file.unlink()
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        uri = f"sqlite:///{file}?timeout=0.1"
        assert line(monkeypatch, uri) == (
            f"{uri}: another process has locked the database; wait until it ends, or stop it, and run this again"
        )
        other.execute("ROLLBACK")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow_store.client()
    folder = tmp_path / "folder.db"
    folder.mkdir()
    assert f"MLflow cannot write to sqlite:///{folder} or its artifacts (unable to open database file)" in line(
        monkeypatch, f"sqlite:///{folder}"
    )


@pytest.mark.long
def test_a_database_of_another_release_gets_a_command_that_mlflow_knows(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow upgrades by itself what lacks a table; it is the others that it refuses."""
    uri = f"sqlite:///{store}"
    upgrade = f"{sys.executable} -m mlflow db upgrade {uri}"
    subprocess.run(upgrade.split(), check=True, capture_output=True)
    with sqlite3.connect(store) as database:
        database.execute("UPDATE alembic_version SET version_num = 'cc1f77228345'")
    assert line(monkeypatch, uri) == (
        f"{uri}: the database belongs to another MLflow release; install that one or, if it is older than yours, back up the "
        f"database and run: {upgrade}"
    )


@pytest.mark.long
def test_a_deleted_experiment_is_brought_back_by_the_command_in_the_message(
    store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_ARTIFACTS", f"file://{tmp_path}")
    tracking.open_run("churn", "a", {})
    mlflow = mlflow_store.client()
    mlflow.delete_experiment(mlflow.get_experiment_by_name("churn").experiment_id)
    with pytest.raises(ChurnError, match="the experiment 'churn' was deleted in MLflow") as error:
        tracking.open_run("churn", "a", {})
    command = str(error.value).partition("restore it: ")[2].partition(", or give")[0]
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=Path.cwd())
    tracking.open_run("churn", "a", {})


def test_an_alias_whose_version_is_gone_is_no_champion(store: Path, tmp_path: Path) -> None:
    mlflow = mlflow_store.client()
    run = mlflow.create_run(mlflow.create_experiment("e", str(tmp_path))).info.run_id
    mlflow.create_registered_model("m")
    versions = [str(mlflow.create_model_version("m", "file:///nowhere", run).version) for _ in range(3)]
    for alias, version in (("champion", versions[2]), ("previous", versions[1])):
        mlflow.set_registered_model_alias("m", alias, version)
    mlflow.set_model_version_tag("m", versions[1], model_registry.REPLACED, versions[0])
    mlflow.delete_model_version("m", versions[0])
    bad, good = model_registry.rollback("m", "what the restored champion once replaced is deleted")
    assert (bad.version, good.version) == (versions[2], versions[1])
    assert model_registry.by_alias("m", "previous") is None
    with sqlite3.connect(store) as database:  # an alias that outlived its version
        database.execute("UPDATE model_versions SET current_stage = 'Deleted_Internal'")
    assert model_registry.by_alias("m", "champion") is None


def test_the_files_of_a_version_are_those_it_was_registered_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow = mlflow_store.client()
    run = mlflow.create_run(mlflow.create_experiment("e", f"file://{tmp_path}/store")).info.run_id
    given = tmp_path / "given"
    given.mkdir()
    for name in ("model.onnx", "manifest.json"):
        (given / name).write_text(name)
    mlflow.log_artifacts(run, str(given), model_registry.FILES)
    noted = checksums.to_line(checksums.folder_sha256(given))
    model = model_registry.Registered("m", "3", run, {model_registry.CHECKSUMS: noted})
    assert sorted(path.name for path in model_registry.fetch(model, tmp_path / "a").iterdir()) == [
        "manifest.json",
        "model.onnx",
    ]
    kept = next((tmp_path / "store").rglob("model.onnx"))
    monkeypatch.setenv("CHURNFLOW_CALLER", "make")
    for damage in (lambda: kept.write_text("model,onnx"), kept.unlink):
        damage()
        with pytest.raises(ChurnError) as error:
            model_registry.fetch(model, tmp_path / "b")
        assert str(error.value) == (
            f"m version 3: model.onnx is missing or damaged in MLflow's artifact store (run {run}, artifact scorer); restore "
            "them from a backup, or make another version champion (make promote DATASET=NAME VERSION=NUMBER); if "
            "there is none, remove the "
            "alias 'champion' in MLflow (make mlflow) and train again"
        )
    (kept.parent / "manifest.json").unlink()
    kept.parent.rmdir()
    with pytest.raises(ChurnError, match="m version 3: its files are gone from MLflow's artifact store"):
        model_registry.fetch(model, tmp_path / "c")
    with pytest.raises(ChurnError, match="its scikit-learn pipeline cannot be read from MLflow's artifact store"):
        model_registry.load(model)


def test_a_repeated_step_opens_no_second_run_of_its_training(
    store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pod that is killed behind the call leaves the run to its successor."""
    monkeypatch.setenv("MLFLOW_ARTIFACTS", f"file://{tmp_path}")
    run = tracking.open_run("churn", "TrainFlow/1", {})
    assert tracking.open_run("churn", "TrainFlow/1", {}) == run
    assert tracking.open_run("churn", "TrainFlow/2", {}) != run
