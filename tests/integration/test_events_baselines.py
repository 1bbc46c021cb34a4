"""BG/NBD and recency: the published estimates are found again, and a model that does not beat them is told so."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from churn.data import tables
from churn.data.events import baselines, engine, staging
from churn.serving import release
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.train import Slices
from churn.training import evaluation
from conftest import CDNOW, ROOT

PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}  # Fader, Hardie & Lee 2005, table 2


@pytest.fixture(scope="module")
def package() -> Path:
    """The data sets that lifetimes ships: the usual 1/10 sample of CDNOW, and its first 39 weeks as the paper sums them up."""
    found = importlib.util.find_spec("lifetimes")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "datasets"


def test_the_published_parameters_come_out_of_the_usual_sample(package: Path) -> None:
    sample = pd.read_csv(package / "cdnow_customers_summary.csv")
    found = baselines.fit(sample["frequency"], sample["recency"], sample["T"]).params_
    assert {name: round(float(found[name]), 3) for name in PUBLISHED} == PUBLISHED


@pytest.mark.skipif(not CDNOW.is_file(), reason="needs ../shared/data/cdnow_transactions.txt")
def test_the_published_parameters_come_out_of_the_events_by_our_own_statement(package: Path) -> None:
    dataset = core.load(Dataset, ROOT / "config" / "datasets" / "cdnow.toml")
    assert dataset.snapshots is not None
    at = dataset.snapshots.model_copy(update={"every": "", "first": "", "last": "", "dates": ("1997-09-30T00:00:00",)})
    made = engine.customers(dataset.model_copy(update={"snapshots": at}), staging.given(dataset, str(CDNOW)))
    table = tables.from_bytes(made.table)
    usual = pd.read_csv(package / "CDNOW_sample.txt", sep=r"\s+", header=None, dtype=str)[0].unique()
    found = baselines.fit(*baselines.histories(table[table["customer_id"].isin(usual)])).params_
    assert {name: round(float(found[name]), 3) for name in PUBLISHED} == PUBLISHED


def _buyers(rng: np.random.Generator, moment: str, rate: float) -> pd.DataFrame:
    """Customers of a shop at a moment, who buy at about so many days a week and never leave."""
    age = rng.uniform(100, 300, 600)
    repeats = rng.poisson(rate * rng.gamma(1.0, 1.0, 600) * age / 7)
    since = np.where(repeats > 0, age * rng.beta(1, np.maximum(repeats, 1)), age)
    return pd.DataFrame(
        {
            "since_last_event": since,
            "since_first_event": age,
            "active_days": repeats + 1.0,
            "snapshot": pd.Timestamp(moment),
        }
    )


def test_bg_nbd_is_fitted_on_what_each_moment_knows_and_sees_no_outcome() -> None:
    rng = np.random.default_rng(3)
    dataset = core.load(Dataset, ROOT / "config" / "datasets" / "cdnow.toml")
    calm, busy = _buyers(rng, "1997-11-30", 0.05), _buyers(rng, "1997-12-31", 0.5)
    alone = [baselines.scores(dataset, one)[baselines.BG_NBD] for one in (calm, busy)]
    mixed = pd.concat([calm, busy], ignore_index=True).sample(frac=1, random_state=0)
    together = pd.Series(baselines.scores(dataset, mixed)[baselines.BG_NBD], mixed.index).sort_index()
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-3, atol=1e-3)


def _holdout(rng: np.random.Generator, rows: int) -> tuple[SimpleNamespace, np.ndarray]:
    since = rng.uniform(0, 200, rows)
    churned = rng.random(rows) < 0.2 + since / 400
    dataset = core.load(Dataset, ROOT / "config" / "datasets" / "cdnow.toml")
    times = pd.Timestamp("1997-12-31")
    table = pd.DataFrame(
        {"since_last_event": since, "since_first_event": since + 50, "active_days": 2.0, "snapshot": times}
    )
    return SimpleNamespace(dataset=dataset, train=table, holdout=table), churned.astype(int)


@pytest.mark.parametrize(("noise", "beaten"), [(300.0, False), (0.0, False)])
def test_a_model_that_is_no_better_than_recency_is_told_so(noise: float, beaten: bool) -> None:
    rng = np.random.default_rng(3)
    data, outcome = _holdout(rng, 1500)
    probability = data.holdout["since_last_event"].to_numpy() + rng.normal(0, noise + 1e-9, 1500)
    found = evaluation.compare_baselines(data, outcome, probability, np.arange(1500))  # type: ignore[arg-type]
    assert [one.beaten for one in found if one.name == baselines.RECENCY] == [beaten]


def test_the_verdict_names_a_baseline_that_is_not_beaten(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = evaluation.Baseline("recency", 0.71, (0.69, 0.73), -0.01, (-0.02, 0.005))
    found = SimpleNamespace(scores={"roc_auc": 0.7}, slices=(), baselines=(weak,))
    monkeypatch.setattr(release, "against_champion", lambda *_: None)
    config = SimpleNamespace(gate={}, slices=Slices())
    verdict = release.judge(found, SimpleNamespace(dataset=SimpleNamespace(gate={})), config, "t")  # type: ignore[arg-type]
    assert verdict.warnings == (
        "it does not surely beat recency alone (ROC-AUC 0.7100): gain -0.0100, 95 % interval -0.0200 to +0.0050",
    )


def test_a_model_that_knows_more_beats_recency() -> None:
    rng = np.random.default_rng(3)
    data, outcome = _holdout(rng, 1500)
    found = evaluation.compare_baselines(data, outcome, outcome + rng.normal(0, 0.5, 1500), np.arange(1500))  # type: ignore[arg-type]
    assert [one.beaten for one in found if one.name == baselines.RECENCY] == [True]
    assert evaluation.over_time(data, outcome, outcome * 1.0) == (
        evaluation.Moment("1997-12-31T00:00:00", 0, 1500, int(outcome.sum()), 1.0),
    )  # type: ignore[arg-type]
