"""What batch runs tell Prometheus: the file, the push, and that neither can stop a run."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from churn.settings.train import METRICS
from churn.telemetry import prometheus_metrics, push
from prometheus_client.openmetrics.parser import text_string_to_metric_families

GROUP = {"flow": "DataFlow"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(push, "FOLDER", tmp_path / "metrics")
    monkeypatch.delenv(push.GATEWAY, raising=False)
    return tmp_path / "metrics"


def _values(file: Path) -> dict[str, float]:
    families = text_string_to_metric_families(file.read_text())
    return {f"{s.name}{sorted(s.labels.values())}": s.value for family in families for s in family.samples}


def test_a_failure_leaves_the_last_success_where_it_is(folder: Path) -> None:
    runs = [prometheus_metrics.RUNS.of(3, status="succeeded"), prometheus_metrics.RUNS.of(0, status="failed")]
    assert push.send(GROUP, [prometheus_metrics.LAST_SUCCESS.of(1e9), *runs]) == []
    runs = [prometheus_metrics.RUNS.of(3, status="succeeded"), prometheus_metrics.RUNS.of(1, status="failed")]
    assert push.send(GROUP, [prometheus_metrics.LAST_FAILURE.of(2e9), *runs]) == []
    assert _values(folder / "DataFlow.prom") == {
        "pipeline_last_success_timestamp_seconds['DataFlow']": 1e9,
        "pipeline_last_failure_timestamp_seconds['DataFlow']": 2e9,
        "pipeline_runs_total['DataFlow', 'succeeded']": 3,
        "pipeline_runs_total['DataFlow', 'failed']": 1,
    }
    assert [path.name for path in folder.iterdir()] == ["DataFlow.prom"]


def test_a_damaged_file_is_replaced(folder: Path) -> None:
    folder.mkdir()
    (folder / "DataFlow.prom").write_text("half a li")
    assert push.send(GROUP, [prometheus_metrics.LAST_SUCCESS.of(5)]) == []
    assert list(_values(folder / "DataFlow.prom").values()) == [5]


def test_a_second_data_set_has_a_group_of_its_own(folder: Path) -> None:
    for dataset, score in (("telco", 1.0), ("bank", 0.5)):
        push.send({**GROUP, "dataset": dataset}, [prometheus_metrics.QUALITY.of(score)])
    assert sorted(path.name for path in folder.iterdir()) == ["DataFlow-bank.prom", "DataFlow-telco.prom"]
    assert _values(folder / "DataFlow-bank.prom") == {"data_quality_score['DataFlow', 'bank']": 0.5}


def test_a_push_adds_to_the_group_and_names_what_it_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    got = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # PUT would erase the group's other metrics
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Gateway)
    Thread(target=server.handle_request).start()
    monkeypatch.setenv(push.GATEWAY, f"http://127.0.0.1:{server.server_port}")
    assert push.send(GROUP, [prometheus_metrics.RUNS.of(7, status="failed")]) == []
    server.server_close()
    ((path, text),) = got
    assert path == "/metrics/job/churnflow/flow/DataFlow"
    assert 'pipeline_runs_total{flow="DataFlow",status="failed"} 7.0' in text


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://127.0.0.1:99999", "nonsense://x"])
def test_a_pushgateway_that_is_down_is_said_and_nothing_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv(push.GATEWAY, address)
    (problem,) = push.send(GROUP, [prometheus_metrics.LAST_SUCCESS.of(1)])
    assert problem.startswith(f"The metrics are not pushed: CHURNFLOW_PUSHGATEWAY={address}: ")
    assert (folder / "DataFlow.prom").is_file()


def test_a_folder_that_cannot_be_written_is_said_too(folder: Path) -> None:
    folder.write_text("in the way")
    (problem,) = push.send(GROUP, [prometheus_metrics.LAST_SUCCESS.of(1)])
    assert problem.startswith("The metrics file is not written: ")


def test_labels_are_those_that_the_list_names() -> None:
    with pytest.raises(ValueError, match="feature_drift_score has the labels"):
        prometheus_metrics.FEATURE_DRIFT.of(0.1, feature="tenure")


def test_every_score_of_the_holdout_has_its_metric() -> None:
    assert tuple(prometheus_metrics.SCORES) == METRICS
