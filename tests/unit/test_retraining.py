"""The retrain command is the one this run's data set needs, and the demonstration's shift is what it says."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import drift_demo
import numpy as np
import pytest
import retraining
import yaml
from churn import config, generator
from churn.dataset import Dataset
from conftest import ROOT


def test_the_command_keeps_data_set_and_source(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retraining.commands("") == [["flows/data_flow.py", "run"], ["flows/train_flow.py", "run"]]
    monkeypatch.setenv("CHURNFLOW_GIVEN_description", "/bank.toml")
    assert retraining.commands("a file.csv")[0] == [
        *("flows/data_flow.py", "--config", "description", "/bank.toml", "run", "--source", "a file.csv")
    ]
    assert "--source 'a file.csv' && " in retraining.typed("a file.csv")


def test_the_demonstration_shifts_prices_and_contracts_and_nothing_else(telco: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "shifted.toml"
    path.write_text(drift_demo.shifted((ROOT / "config" / "datasets" / "telco.toml").read_text()))
    before, now = (generator.generate(one, 20_000, seed=5) for one in (telco, config.load(Dataset, path)))
    assert now.MonthlyCharges.mean() / before.MonthlyCharges.mean() == pytest.approx(1.3, abs=0.02)
    shares = [(table.Contract == "Month-to-month").mean() for table in (before, now)]
    assert shares[1] == pytest.approx(1 - 0.4 * (1 - shares[0]), abs=0.02)
    assert np.abs(before.tenure.mean() - now.tenure.mean()) < 1


def test_in_a_pod_an_alert_sends_the_event_that_dataflow_waits_for(hook: SimpleNamespace) -> None:
    code = "import retraining; retraining.announce({'columns': 'tenure'})"
    pod = {"ARGO_WORKFLOW_TEMPLATE": "monitor", "METAFLOW_ARGO_EVENTS_WEBHOOK_URL": f"{hook.url}/event"}
    for environ in ({}, pod):
        subprocess.run([sys.executable, "-c", code], cwd=ROOT / "flows", env={**os.environ, **environ}, check=True)
    (event,) = hook.bodies  # on a laptop nobody is told
    sensor = yaml.safe_load((ROOT / "argo" / "flows" / "data.sensor.yaml").read_text())
    (dependency,) = sensor["spec"]["dependencies"]
    (wanted,) = dependency["filters"]["exprs"]
    assert wanted["fields"][0]["path"] == "body.payload.name"
    assert wanted["expr"] == f"name == '{event['payload']['name']}'"
    assert event["payload"]["columns"] == "tenure"
