"""A real Prometheus and Pushgateway look at a served champion, at what the flows wrote and at what they push."""

import contextlib
import http.server
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from churn.campaigns import verdicts
from churn.data import synthetic
from churn.deployment import record, rollout
from churn.monitoring import alerts
from churn.serving import bento_server, packaging
from churn.settings.dataset import Dataset
from churn.telemetry import prometheus_metrics, push
from conftest import ROOT, flow

from tests import promql
from tests.bench import common
from tests.unit.test_alerts import decided, window

PROGRAMS = ("prometheus", "prometheus-pushgateway")
WITHOUT_VALUE = {"ALERTS_FOR_STATE"}
KEY = "test"
EFFECT = {"effect": 0.03, "low": 0.01, "high": 0.05, "kept": 30.0}


@contextmanager
def running(ready: str, *command: str | Path) -> Iterator[None]:
    """The program, from when ``ready`` answers."""
    with subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: answers(ready))
            yield
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


def until(done: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)


class Files(http.server.BaseHTTPRequestHandler):
    """The files of publish.FOLDER, as a textfile collector shows them."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"".join(path.read_bytes() for path in sorted(push.FOLDER.glob("[DT]*Flow*.prom"))))

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def prometheus(
    trained: SimpleNamespace, telco: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """Prometheus with the project's own config, only the addresses changed, after two scrapes of everything."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: Debian package {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as stack:
        gateway = f"127.0.0.1:{common.free_port()}"
        stack.enter_context(running(f"http://{gateway}/-/ready", PROGRAMS[1], f"--web.listen-address={gateway}"))
        (folder / "broken.csv").write_text(
            "id,left\n1,2,3\n"
        )  # one that is not there would stop the command before a run
        source = ("--source", str(folder / "broken.csv"))
        done = flow("data_flow", "run", *source, CHURNFLOW_PUSHGATEWAY=f"http://{gateway}")
        assert done.returncode == 1
        assert "not pushed" not in done.stdout
        monitored(f"http://{gateway}", folder)
        service = stack.enter_context(bento_server.served(trained.train.bento, **environ(folder)))
        files = http.server.HTTPServer(("127.0.0.1", 0), Files)
        stack.callback(files.shutdown)
        threading.Thread(target=files.serve_forever, args=(0.01,), daemon=True).start()
        address = f"127.0.0.1:{common.free_port()}"
        targets = {
            "churn-service": urllib.parse.urlsplit(service).netloc,
            "pushgateway": gateway,
            "prometheus": address,
            "files": f"127.0.0.1:{files.server_port}",
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config(targets)))
        words = (f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}")
        url = f"http://{address}"
        stack.enter_context(running(f"{url}/-/ready", PROGRAMS[0], *words, f"--web.listen-address={address}"))
        for _ in range(3):  # a rate needs counters that move between two scrapes
            ask_service(service, telco)
            time.sleep(1)
        until(lambda: promql.recorded() - WITHOUT_VALUE <= names(url))
        yield SimpleNamespace(url=url)


def environ(folder: Path) -> dict[str, str]:
    """A service that answers values it has never seen, with a warning, so that it has some to count."""
    settings = (ROOT / "config" / "serve.toml").read_text()
    assert 'unknown_category = "reject"' in settings
    file = folder / "serve.toml"
    file.write_text(settings.replace('unknown_category = "reject"', 'unknown_category = "unseen"'))
    keys = {"CHURNFLOW_API_KEYS": f"prometheus:{KEY}"}
    return {"CHURNFLOW_PREDICTIONS": str(folder / "log"), "CHURNFLOW_SERVE_CONFIG": str(file), **keys}


def config(targets: dict[str, str]) -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "config" / "prometheus" / "prometheus.yml").read_text())
    found["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    found["rule_files"] = [str(promql.RULES_FILE)]
    found["scrape_configs"].append({"job_name": "files"})
    for job in found["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    return found


def monitored(gateway: str, folder: Path) -> None:
    """Push what MonitorFlow and EffectFlow push (a run of the first is in test_monitoring)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(push.GATEWAY, gateway)
        patch.setattr(push, "FOLDER", folder)
        windows = [window("tenure"), window("tenure", auc=0.7)]
        for group, samples in (
            ({"dataset": "telco"}, alerts.samples(windows[-1], None, decided(*windows))),
            ({}, [prometheus_metrics.LAST_SUCCESS.of(time.time()), prometheus_metrics.DURATION.of(5)]),
        ):
            assert push.send({"flow": "MonitorFlow", **group}, samples) == []
        look = {"day": "2026-11-26", "effects": [{"arm": "call", "verdict": "helped", **EFFECT}]}
        reported = verdicts.samples([{"campaign": "spring", "looks": [look]}])
        assert push.send({"flow": "EffectFlow", "dataset": "telco"}, reported) == []
        assert push.send({"flow": "ProbeFlow"}, push.arrival_samples()) == []
        deployed = record.samples(rollout.Outcome(verdict=rollout.KEPT, seconds=40.0), {rollout.KEPT: 1})
        assert push.send({"flow": "DeployFlow", "dataset": "telco"}, deployed) == []


def ask_service(url: str, telco: Dataset) -> None:
    """A customer that is answered, one with an unseen value, and one that is refused."""
    (customer,) = packaging.json_rows(telco, synthetic.generate(telco, 1, seed=5))
    for sent in (customer, {**customer, "Contract": "Weekly"}, {**customer, "tenure": "long"}):
        request = urllib.request.Request(f"{url}/predict", json.dumps(sent).encode())
        request.add_header("Content-Type", "application/json")
        request.add_header("X-API-Key", KEY)
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=10).read()


def api(url: str, path: str, **words: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(words)}", timeout=10) as answer:
        return json.load(answer)["data"]


def query(url: str, text: str) -> list[dict[str, Any]]:
    return api(url, "query", query=text)["result"]


def names(url: str) -> set[str]:
    return set(api(url, "label/__name__/values"))


def test_everything_is_scraped(prometheus: SimpleNamespace) -> None:
    targets = api(prometheus.url, "targets")["activeTargets"]
    assert {target["labels"]["job"]: target["lastError"] for target in targets if target["health"] != "up"} == {}
    assert len(targets) == 4


def test_every_metric_of_the_list_is_there(prometheus: SimpleNamespace) -> None:
    listed = [one for one in vars(prometheus_metrics).values() if isinstance(one, prometheus_metrics.Metric)] + list(
        prometheus_metrics.SCORES.values()
    )
    there = names(prometheus.url)
    assert [m.name for m in listed if m.name not in there and f"{m.name}_bucket" not in there] == []


def test_every_metric_that_a_rule_or_panel_reads_is_there(prometheus: SimpleNamespace) -> None:
    queries = {**promql.panels(), **{rule.get("alert") or rule["record"]: rule["expr"] for rule in promql.rules()}}
    there = names(prometheus.url) | WITHOUT_VALUE
    missing = {where: promql.names(text) - there for where, text in queries.items()}
    assert {where: lost for where, lost in missing.items() if lost} == {}


def test_every_panel_has_something_to_show(prometheus: SimpleNamespace) -> None:
    def empty() -> set[str]:
        return {where.split(": ")[1] for where, text in promql.panels().items() if not query(prometheus.url, text)}

    # An increase needs two scrapes; a promotion did not happen meanwhile.
    until(lambda: empty() == {"Champion promoted"})


def test_a_failed_run_fires_its_alert_and_nothing_else_is_lost(prometheus: SimpleNamespace) -> None:
    from metaflow import Flow

    until(lambda: query(prometheus.url, 'ALERTS{alertname="PipelineFailed", flow="DataFlow"}'))
    (failed,) = query(prometheus.url, 'pipeline_runs_total{flow="DataFlow", status="failed", job="churnflow"}')
    assert float(failed["value"][1]) >= 1
    (good,) = query(prometheus.url, 'pipeline_runs_total{flow="DataFlow", status="succeeded", job="churnflow"}')
    assert float(good["value"][1]) == sum(run.successful for run in Flow("DataFlow"))
    (late,) = query(prometheus.url, 'time() - flow:pipeline_last_success_timestamp_seconds:max{flow="DataFlow"}')
    assert 0 < float(late["value"][1]) < 3600


def test_the_champions_scores_are_those_of_its_training(prometheus: SimpleNamespace, trained: SimpleNamespace) -> None:
    for score in ("accuracy", "roc_auc", "brier"):
        (found,) = query(prometheus.url, f'model_{score}{{dataset="telco"}}')
        assert found["metric"]["model_version"] == trained.train.champion.version
        assert float(found["value"][1]) == pytest.approx(trained.train.evaluation.scores[score], abs=1e-6)


def test_promtool_finds_the_files_valid(prometheus: SimpleNamespace) -> None:
    for path in push.FOLDER.glob("*.prom"):
        with path.open("rb") as text:
            done = subprocess.run(["promtool", "check", "metrics"], stdin=text, capture_output=True, text=True)
        assert "error while linting" not in done.stderr, f"{path.name}: {done.stderr}"
