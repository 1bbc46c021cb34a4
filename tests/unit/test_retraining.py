"""The retrain command is the one this run's data set needs, and the demonstration's shift is what it says."""

from pathlib import Path

import drift_demo
import numpy as np
import pytest
import retraining
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
