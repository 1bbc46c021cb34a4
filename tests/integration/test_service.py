"""The champion's Bento, really served: examples of the documentation, damaged requests, keys, and both ways to die."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from churn.data import synthetic
from churn.errors import ChurnError
from churn.registry import model_registry
from churn.serving import bento_server, client, packaging, prediction_log
from churn.settings.dataset import Dataset
from conftest import ROOT

from tests.bench import common
from tests.bench.fuzz import fuzz

AGES = (datetime.now(UTC) - timedelta(days=2), datetime.now(UTC) + timedelta(days=2))


@pytest.fixture(scope="module")
def service(trained: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """One served copy for all tests of this file that do not stop it; parts of its log are written every 0.2 s."""
    folder = tmp_path_factory.mktemp("served")
    settings = (ROOT / "config" / "serve.toml").read_text().replace("part_seconds = 10.0", "part_seconds = 0.2")
    (folder / "serve.toml").write_text(settings)
    environ = {"CHURNFLOW_PREDICTIONS": str(folder / "log"), "CHURNFLOW_SERVE_CONFIG": str(folder / "serve.toml")}
    with bento_server.served(trained.train.bento, **environ) as url:
        yield SimpleNamespace(
            url=url, log=str(folder / "log"), environ=environ, customer=common.get(f"{url}/model")["examples"][0]
        )


def send(url: str, path: str, body: bytes, method: str = "POST", **headers: str) -> tuple[int, Any, Any]:
    """Status, JSON answer and headers of one request."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request(method, path, body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()), answer.headers


def until(done: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_ten_thousand_rows_answer_as_the_pipeline(
    service: SimpleNamespace, trained: SimpleNamespace, telco: Dataset
) -> None:
    table = synthetic.generate(telco, 10_000, seed=11)
    expected = model_registry.load(trained.train.champion).predict_proba(table[list(telco.raw)])[:, 1]
    answers = client.ask(f"{service.url}/predict_batch", {"rows": packaging.json_rows(telco, table)})
    assert np.abs(np.array([a["probability"] for a in answers]) - expected).max() <= 1e-5
    assert len({a["prediction_id"] for a in answers}) == 10_000


def test_a_batch_by_column_is_answered_logged_and_counted_as_one_by_row(
    service: SimpleNamespace, trained: SimpleNamespace, telco: Dataset
) -> None:
    def counted() -> float:
        lines = urllib.request.urlopen(f"{service.url}/metrics").read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("predictions_total{"))

    rows = packaging.json_rows(telco, synthetic.generate(telco, 1200, seed=12))
    rows[5]["TotalCharges"] = None
    by_row = client.ask(f"{service.url}/predict_batch", {"rows": rows})
    before = counted()
    columns = {name: [row[name] for row in rows] for name in telco.raw}
    answer = client.ask(f"{service.url}/predict_batch", {"columns": columns})
    assert answer["warnings"] == []
    for name in ("probability", "decision", "threshold", "expected_value"):
        assert answer[name] == [one[name] for one in by_row]
    assert {answer[name] for name in ("model_version", "data_version")} == {
        trained.train.champion.version, trained.data.data_version,
    }  # fmt: skip
    assert len(set(answer["prediction_id"])) == 1200

    def logged(ids: list[str]) -> Any:
        table = prediction_log.read(telco, *AGES, service.log).set_index("prediction_id")
        return table.reindex(ids)[[*telco.raw, "probability", "decision", "model_version"]].reset_index(drop=True)

    until(lambda: not logged(answer["prediction_id"]).probability.isna().any())
    expected = logged([one["prediction_id"] for one in by_row])
    assert logged(answer["prediction_id"]).astype(str).equals(expected.astype(str))
    assert logged(answer["prediction_id"]).probability.tolist() == answer["probability"]
    assert counted() == before + 1200


def test_an_answer_says_what_it_is_and_is_logged(
    service: SimpleNamespace, trained: SimpleNamespace, telco: Dataset
) -> None:
    status, answer, headers = send(service.url, "/predict", json.dumps(service.customer).encode())
    assert status == 200
    assert "server" not in headers
    assert answer["model_version"] == trained.train.champion.version
    assert answer["data_version"] == trained.data.data_version
    assert answer["decision"] == (answer["probability"] >= answer["threshold"])

    def logged() -> Any:
        table = prediction_log.read(telco, *AGES, service.log)
        return table[table.prediction_id == answer["prediction_id"]]

    until(lambda: len(logged()) == 1)
    row = logged().iloc[0]
    assert (row.probability, row.decision) == (answer["probability"], answer["decision"])
    assert {name: row[name] for name in telco.raw} == service.customer


def test_reasons_add_up_to_the_probability(service: SimpleNamespace) -> None:
    found = client.ask(f"{service.url}/explain", service.customer)
    predicted = client.ask(f"{service.url}/predict", service.customer)
    total = found["base_value"] + sum(reason["contribution"] for reason in found["reasons"])
    assert total == pytest.approx(found["probability"], abs=1e-6)
    assert found["probability"] == pytest.approx(predicted["probability"], abs=1e-6)


def test_feedback_is_kept(service: SimpleNamespace) -> None:
    status, _, _ = send(service.url, "/feedback", json.dumps({"prediction_id": "f" * 32, "outcome": True}).encode())
    assert status == 202
    until(lambda: len(prediction_log.read_feedback(*AGES, service.log)) == 1)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "field"),
    [
        ("/predict", b"{}", {"Content-Type": "text/plain"}, 415, "Content-Type"),
        ("/predict", b"{}", {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        ("/predict", b"x" * 70_000, {}, 413, "body"),
        ("/predict", b"[" * 60_000, {}, 400, "body"),
        ("/nothing", b"{}", {}, 404, "path"),
        ("/model", b"{}", {}, 405, "method"),
        ("/predict_batch", b'{"rows": []}', {}, 422, "rows"),
        ("/predict_batch", b'{"columns": 5}', {}, 422, "rows"),
        ("/predict_batch", b"ARROW1", {"Content-Type": "application/vnd.apache.arrow.stream"}, 415, "Content-Type"),
    ],
)
def test_every_refusal_has_one_shape(
    service: SimpleNamespace, path: str, body: bytes, headers: dict[str, str], status: int, field: str
) -> None:
    found, answer, _ = send(service.url, path, body, **headers)
    assert (found, answer["status"]) == (status, status)
    assert set(answer) == {"status", "error", "problems"}
    assert [set(p) for p in answer["problems"]] == [{"field", "reason", "value", "allowed", "row"}]
    assert answer["problems"][0]["field"] == field


def test_a_chunked_body_has_the_same_limit(service: SimpleNamespace) -> None:
    parts = urlsplit(service.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
        connection.sendall(b"Transfer-Encoding: chunked\r\n\r\n" + 10 * (b"4000\r\n" + b" " * 0x4000 + b"\r\n"))
        assert connection.recv(12) == b"HTTP/1.1 413"


@pytest.mark.long
def test_damaged_requests_neither_break_nor_grow_the_worker(service: SimpleNamespace) -> None:
    fuzz(service.url, 500, seed=1)
    before, alive = common.megabytes(service.url), {w.pid for w in common.workers(service.url)}
    counts = fuzz(service.url, 5000)
    assert {status[0] for status in counts} == {"2", "4"}
    assert all(len(status) == 3 for status in counts)
    assert {w.pid for w in common.workers(service.url)} == alive
    assert common.megabytes(service.url) < before * 1.1 + 10


def test_metrics_count_what_was_answered_and_refused(service: SimpleNamespace) -> None:
    def value(name: str) -> float:
        lines = urllib.request.urlopen(f"{service.url}/metrics").read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    answered, refused = 'predictions_total{decision="', 'input_rejections_total{field="tenure",reason="range"}'
    before = value(answered), value(refused)
    client.ask(f"{service.url}/predict", service.customer)
    send(service.url, "/predict", json.dumps({**service.customer, "tenure": -1}).encode())
    assert (value(answered), value(refused)) == (before[0] + 1, before[1] + 1)
    assert value("service_model_info") == 1
    assert value("prediction_log_dropped_total") == 0


def test_a_crash_is_a_500_at_once_with_its_traceback_in_the_log_and_in_the_count(service: SimpleNamespace) -> None:
    """A damaged metrics file of a worker makes the real /metrics raise."""
    folder = Path(os.environ["BENTOML_HOME"], "prometheus_multiproc_dir")
    damaged = folder / "counter_0.db"
    (worker, *_) = common.workers(service.url)
    damaged.write_bytes(b"\x40\0\0\0\0\0\0\0\x09\0\0\0no json  " + bytes(64))
    try:
        begun = time.monotonic()
        status, answer, _ = send(service.url, "/metrics", b"", "GET")
        assert time.monotonic() - begun < 3
    finally:
        damaged.unlink()
    assert (status, answer) == (500, {"status": 500, "error": "the service failed; its log says why", "problems": []})
    output = Path("/proc", str(worker.pid), "fd", "1").read_text()
    assert "[ERROR] [entry_service:churn_service:1] /metrics: failed\nTraceback" in output
    assert "json.decoder.JSONDecodeError" in output
    metrics = urllib.request.urlopen(f"{service.url}/metrics").read().decode()
    assert 'service_requests_total{endpoint="/metrics",status="500"} 1.0' in metrics


def test_keys_are_asked_for_where_they_are_set(trained: SimpleNamespace, tmp_path: Path) -> None:
    environ = {"CHURNFLOW_API_KEYS": "first, second", "CHURNFLOW_PREDICTIONS": str(tmp_path)}
    with bento_server.served(trained.train.bento, **environ) as url:
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "Bearer second"}, 422),
            ({"X-API-Key": "first"}, 422),
        ):
            found, answer, _ = send(url, "/predict", b"{}", **headers)
            assert found == answer["status"] == status
        assert send(url, "/model", b"", "GET")[0] == 401
        assert send(url, "/docs.json", b"", "GET")[0] == 200
        with pytest.raises(client.Refused, match="API key"):
            client.ask(f"{url}/model")


def test_the_clients_of_the_documentation(service: SimpleNamespace, tmp_path: Path) -> None:
    import bentoml

    given = tmp_path / "customer.json"
    given.write_text(json.dumps(service.customer))
    expected = client.ask(f"{service.url}/predict", service.customer)["probability"]
    for example in _examples():
        code = example.replace("http://127.0.0.1:3000", service.url)
        command = ["bash", "-ec", code] if code.startswith("curl") else [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"{expected}" in done.stdout
    with bentoml.SyncHTTPClient(service.url) as caller:
        assert len(caller.predict_batch(rows=[service.customer] * 3)) == 3
        assert caller.feedback(prediction_id="0" * 32, outcome=False)["accepted"]


def _examples() -> list[str]:
    """The code blocks of README.md and docs/serving.md that ask for ``customer.json``."""
    texts = [(ROOT / name).read_text() for name in ("README.md", "docs/serving.md")]
    found = [
        block.partition("\n")[2] for text in texts for block in text.split("```")[1::2] if "customer.json" in block
    ]
    assert len(found) == 4
    return found


def test_make_predict_ranks_a_file_and_names_a_bad_line(
    service: SimpleNamespace, customers_csv: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ranked.csv"
    words = [
        sys.executable,
        str(ROOT / "scripts" / "predict.py"),
        str(customers_csv),
        "--url",
        service.url,
        "--out",
        str(out),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = out.read_text().splitlines()
    assert lines[0].startswith('"rank","probability","decision","prediction_id","customerID",')
    assert len(lines) == 1501
    found = [float(line.split(",")[1]) for line in lines[1:]]
    assert found == sorted(found, reverse=True)
    bad = tmp_path / "bad.csv"
    text = customers_csv.read_text().splitlines()
    bad.write_text("\n".join([*text[:5], text[5].replace("Month-to-month", "Weekly").replace("One year", "Weekly")
                              .replace("Two year", "Weekly"), *text[6:9]]))  # fmt: skip
    with pytest.raises(ChurnError, match=r"bad\.csv, row 5: column Contract is 'Weekly'"):
        client.rank(bad, service.url)
    with pytest.raises(
        ChurnError, match=r"no answer .*start the service with: \S+ scripts/serve\.py --port 1 --dataset NAME"
    ):
        client.rank(customers_csv, "http://127.0.0.1:1")


def test_sigterm_under_load_loses_no_request_and_no_row(service: SimpleNamespace, trained: SimpleNamespace, telco: Dataset,
                                                        tmp_path: Path) -> None:  # fmt: skip
    answered, lost, stop = [], [], threading.Event()
    body = json.dumps(service.customer)

    def call(port: str) -> None:
        connection = http.client.HTTPConnection(port, timeout=30)
        while not stop.is_set():
            begun = time.time()
            try:
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                answered.append(json.loads(connection.getresponse().read())["prediction_id"])
            except (OSError, http.client.HTTPException):
                lost.append(begun)
                return

    with bento_server.served(trained.train.bento, CHURNFLOW_PREDICTIONS=str(tmp_path)) as url:
        (parent,) = {worker.ppid() for worker in common.workers(url)}
        with ThreadPoolExecutor(16) as pool:
            for _ in range(16):
                pool.submit(call, urlsplit(url).netloc)
            time.sleep(2)
            terminated = time.time()
            os.kill(parent, signal.SIGTERM)
            time.sleep(3)
            stop.set()
    assert [begun for begun in lost if begun < terminated] == []
    assert len(answered) > 500
    assert sorted(prediction_log.read(telco, *AGES, str(tmp_path)).prediction_id) == sorted(answered)


@pytest.mark.long
def test_sigkill_leaves_a_readable_log_up_to_the_last_flush(
    service: SimpleNamespace, trained: SimpleNamespace, telco: Dataset, tmp_path: Path
) -> None:
    environ = {**service.environ, "CHURNFLOW_PREDICTIONS": str(tmp_path)}
    with bento_server.served(trained.train.bento, **environ) as url:
        sure = [client.ask(f"{url}/predict", service.customer)["prediction_id"] for _ in range(50)]
        until(lambda: len(prediction_log.read(telco, *AGES, str(tmp_path))) == 50)
        late = client.ask(f"{url}/predict", service.customer)["prediction_id"]
        for worker in common.workers(url):
            worker.kill()
        found = set(prediction_log.read(telco, *AGES, str(tmp_path)).prediction_id)
        assert set(sure) <= found <= {*sure, late}
        until(lambda: bento_server._ready(url), 30)  # BentoML starts another worker


@pytest.mark.long
def test_a_store_that_is_away_fails_no_prediction(
    service: SimpleNamespace, trained: SimpleNamespace, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    settings = Path(service.environ["CHURNFLOW_SERVE_CONFIG"]).read_text()
    small = tmp_path / "serve.toml"
    few = settings.replace("queue_rows = 200000", "queue_rows = 5")
    small.write_text(few.replace("close_seconds = 15.0", "close_seconds = 1.0"))
    environ = {"CHURNFLOW_PREDICTIONS": str(blocked), "CHURNFLOW_SERVE_CONFIG": str(small)}
    with bento_server.served(trained.train.bento, **environ) as url:
        for _ in range(20):
            client.ask(f"{url}/predict", service.customer)
        said = urllib.request.urlopen(f"{url}/metrics").read().decode()
    assert 'prediction_log_dropped_total{kind="predictions"} 15.0' in said
