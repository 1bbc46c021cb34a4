"""MonitorFlow, really run on what a served champion has logged: ``make drift-demo``, and what a wrong file leads to."""

import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import conftest
import drift_demo
import pytest
from churn.data import synthetic
from churn.monitoring import windows
from churn.serving import prediction_log
from churn.settings.dataset import Dataset
from churn.telemetry.push import FOLDER
from conftest import flow, watched

from tests.s3 import BUCKET, Server


@pytest.fixture(scope="module")
def demo(trained: SimpleNamespace) -> SimpleNamespace:
    """The demonstration's two parts as it printed them, and the two runs."""
    done = watched("drift_demo")
    assert done.returncode == 0, done.stdout
    from metaflow import Flow

    shifted, ordinary = list(Flow("MonitorFlow"))[:2]
    calm, alarmed = done.stdout.split("MonitorFlow after")[1:]
    lines = done.stdout.splitlines()
    assert lines[0] == lines[-1] == drift_demo.NOTICE
    return SimpleNamespace(calm=calm, alarmed=alarmed, ordinary=ordinary, shifted=shifted)


def test_ordinary_customers_are_ok(demo: SimpleNamespace) -> None:
    assert "OK: Nothing has changed." in demo.calm
    assert demo.ordinary.data.assessment.severity == "ok"
    assert [window.rows for window in demo.ordinary.data.windows.windows] == [1000, 1000, 1000]


def test_shifted_customers_alert_and_the_changed_columns_are_named_first(
    demo: SimpleNamespace, customers_csv: Path
) -> None:
    assert "ALERT: Changed: " in demo.alarmed
    assert set(demo.shifted.data.assessment.columns[:2]) == {"MonthlyCharges", "Contract"}
    assert re.search(
        rf"Train on newer customers: \S+ scripts/run\.py --dataset telco --source {customers_csv}\n", demo.alarmed
    ), "the file that the champion's customers came from, and no synthetic ones"


def test_the_estimated_roc_auc_falls(demo: SimpleNamespace) -> None:
    calm, alarmed = (run.data.window_results[-1].score("roc_auc").value for run in (demo.ordinary, demo.shifted))
    assert alarmed < calm


def test_the_card_answers_four_questions_first(demo: SimpleNamespace) -> None:
    from churn.cards import monitoring_card

    found: Any = demo.shifted.data
    card = monitoring_card.parts(
        found.reference,
        found.windows,
        found.window_results,
        found.realised,
        found.reference_scores,
        found.assessment,
        found.retrain_command,
    )
    assert card[0] == "# ALERT: churn-classifier, version 1"
    questions = [row["question"] for row in card[2].spec["data"]["values"]]
    assert questions == [light.question for light in found.assessment.lights]
    titles = [plot["title"]["text"] for part in card for plot in getattr(part, "spec", {}).get("concat", [])]
    assert titles[0].startswith("probability")
    assert {title.split(":")[0] for title in titles[1:3]} == {"MonthlyCharges", "Contract"}


def test_prometheus_can_read_what_it_found(demo: SimpleNamespace) -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.prom"))
    (severity,) = re.findall(r"^monitoring_severity\{.*\} (\S+)$", text, re.MULTILINE)
    assert float(severity) == 2
    assert re.search(r'^feature_drift_score\{.*feature="Contract".*method="chi2".*\}', text, re.MULTILINE)


def test_a_file_without_a_column_is_refused_in_plain_words(
    demo: SimpleNamespace, telco: Dataset, tmp_path: Path
) -> None:
    synthetic.generate(telco, 50, seed=1).drop(columns="tenure").to_csv(tmp_path / "customers.csv", index=False)
    done = flow("monitor_flow", "run", "--analysis", str(tmp_path / "customers.csv"))
    assert done.returncode != 0
    assert "customers.csv: no column tenure; the model was trained with it" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_log_is_read_from_s3(demo: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(tmp_path / "s3").start()
    try:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        found = demo.shifted.data
        at, micros = f"s3://{BUCKET}/log", int(time.time() * 1e6) - 10**6
        rows = [("id", micros, "1", "d", 0.5, True, *(None for _ in found.reference.dataset.raw))] * 400
        content = prediction_log.encode(prediction_log.schema(found.reference.dataset), rows)
        prediction_log.store(at, prediction_log.part_name(prediction_log.PREDICTIONS, micros), content)
        seen = windows.from_log(found.reference, found.config, datetime.now(UTC), at=at)
        assert [window.rows for window in seen.windows] == [400]
    finally:
        server.kill()


def test_nothing_phones_home(demo: SimpleNamespace, customers_csv: Path) -> None:
    """Data, training, service and monitoring have run under strace by now; scoring does here."""
    assert watched("score_flow", "run", "--source", str(customers_csv)).returncode == 0
    if not conftest.WATCHED:
        pytest.skip("there is no strace, or this machine allows none")
    assert conftest.CONNECTED, "the service was asked"
    assert not conftest.outside(conftest.CONNECTED), "names looked up, or machines spoken to, that nobody configured"


# To connect a datagram's socket sends nothing. The addresses are those of documentation (RFC 5737 and 3849).
PHONE = """
import os, socket
os.fork()
for family, at in ((socket.AF_INET, ("192.0.2.1", 443)), (socket.AF_INET, ("127.0.0.1", 53)),
                   (socket.AF_INET, ("127.0.0.1", 4318)), (socket.AF_INET6, ("2001:db8::1", 443))):
    socket.socket(family, socket.SOCK_DGRAM).connect_ex(at)
"""


def test_who_phones_home_is_seen() -> None:
    """The check of the test above, over a process that does what it must not."""
    connected = conftest.traced([sys.executable, "-c", PHONE])[1]
    if not conftest.WATCHED:
        pytest.skip("there is no strace, or this machine allows none")
    phoned = {("192.0.2.1", 443), ("127.0.0.1", 53)}
    assert phoned <= conftest.outside(connected) <= phoned | {("2001:db8::1", 443)}  # where there is IPv6
    assert ("127.0.0.1", 4318) in connected
