"""The retrain command is the one this run's data set needs, and the demonstration's shift is what it says."""

import shlex
from dataclasses import replace
from pathlib import Path

import drift_demo
import numpy as np
import pytest
from churn.data import synthetic
from churn.errors import ChurnError
from churn.registry.model_registry import Registered
from churn.serving.reference_data import Reference
from churn.settings import core
from churn.settings.data import File
from churn.settings.dataset import Dataset
from conftest import ROOT
from orchestration import retraining, runs


@pytest.fixture
def of_real_customers(telco: Dataset) -> Reference:
    """The reference of a champion that learned from real customers."""
    bank = telco.model_copy(update={"name": "bank"})
    return Reference(Registered("m", "3", "run", {"data_version": "v.dir", "synthetic": "False"}), bank, 0.5, None)


def test_the_command_keeps_data_set_and_source(of_real_customers: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "read_by", lambda version: {"v.dir": "/exports/it's.csv"}[version])
    typed = shlex.split(retraining.typed(of_real_customers, "a file.csv"))
    assert typed[1:] == ["scripts/run.py", "--dataset", "bank", "--source", "a file.csv"]
    monkeypatch.setenv("CHURNFLOW_CALLER", "make")
    assert retraining.typed(of_real_customers, "a file.csv") == "make run DATASET=bank SOURCE='a file.csv'"


def test_the_command_never_leads_to_synthetic_customers(
    of_real_customers: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "read_by", lambda version: {"v.dir": "/exports/it's.csv"}[version])
    monkeypatch.setenv("CHURNFLOW_CALLER", "make")
    assert shlex.split(retraining.typed(of_real_customers, ""))[3] == "SOURCE=/exports/it's.csv", "the model's own file"
    monkeypatch.setattr(runs, "read_by", lambda version: "")
    assert retraining.typed(of_real_customers, "") == "make run DATASET=bank SOURCE=FILE"
    real = (File(kind="file", path="daily.csv"),)
    monkeypatch.setattr(retraining, "_configured", lambda _: real)
    assert retraining.typed(of_real_customers, "") == "make run DATASET=bank", "the settings' own source"


def test_nor_does_it_where_the_synthetic_customers_are_a_descriptions_own_events(
    of_real_customers: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "read_by", lambda version: {"v.dir": "/exports/shop"}[version])
    monkeypatch.setenv("CHURNFLOW_CALLER", "make")
    shop = core.load(Dataset, ROOT / "config" / "datasets" / "shop.toml")
    reference = replace(of_real_customers, dataset=shop)
    assert retraining.typed(reference, "") == "make run DATASET=shop SOURCE=/exports/shop"
    with pytest.raises(
        ChurnError, match=r"shop\.toml has only synthetic customers.* make monitor DATASET=shop RETRAIN=1 SOURCE"
    ):
        retraining.check(shop, "", learned_from_synthetic=False)
    retraining.check(shop, "", learned_from_synthetic=True)
    cdnow = core.load(Dataset, ROOT / "config" / "datasets" / "cdnow.toml")
    assert retraining.typed(replace(of_real_customers, dataset=cdnow), "") == "make run DATASET=cdnow"


def test_a_retraining_on_synthetic_customers_is_refused_before_any_work(
    telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURNFLOW_CALLER", "make")
    without_a_table = telco.model_copy(update={"synthetic": {}})
    for dataset, learned_from_synthetic in ((telco, False), (without_a_table, True)):
        with pytest.raises(ChurnError, match="make monitor DATASET=telco RETRAIN=1 SOURCE=FILE"):
            retraining.check(dataset, "", learned_from_synthetic)
        retraining.check(dataset, "newer.csv", learned_from_synthetic)
    retraining.check(telco, "", learned_from_synthetic=True)


def test_the_demonstration_shifts_prices_and_contracts_and_nothing_else(telco: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "shifted.toml"
    path.write_text(drift_demo.shifted((ROOT / "config" / "datasets" / "telco.toml").read_text()))
    before, now = (synthetic.generate(one, 20_000, seed=5) for one in (telco, core.load(Dataset, path)))
    assert now.MonthlyCharges.mean() / before.MonthlyCharges.mean() == pytest.approx(1.3, abs=0.02)
    shares = [(table.Contract == "Month-to-month").mean() for table in (before, now)]
    assert shares[1] == pytest.approx(1 - 0.4 * (1 - shares[0]), abs=0.02)
    assert np.abs(before.tenure.mean() - now.tenure.mean()) < 1
