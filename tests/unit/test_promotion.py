"""What decides about a challenger reads only what it may: rows unseen by both models, and versions of the same data."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from churn.data import features, snapshots, synthetic
from churn.registry import champion_challenger, holdout_looks, model_registry
from churn.registry import versions as versions_by_hand
from churn.registry.model_registry import Registered
from churn.serving import release
from churn.settings.core import load
from churn.settings.dataset import Dataset
from churn.settings.train import Promotion, TrainConfig
from churn.training import metrics
from churn.training.evaluation import Evaluation
from conftest import ROOT

TAGS = {"data_version": "d1", "config_hash": "c1", "synthetic": "True", "gate.promotion": "The gate is passed."}


@pytest.fixture
def config() -> TrainConfig:
    return load(TrainConfig, ROOT / "tests" / "quick_train.toml")


def _registered(version: str, **changed: str) -> Registered:
    return Registered("churn-classifier", version, "run", TAGS | changed)


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> list[Registered]:
    """The registry's versions; the first is the champion."""
    known: list[Registered] = []
    found = [SimpleNamespace(search_model_versions=lambda _: [_as_mlflow(one) for one in known])]
    monkeypatch.setattr(model_registry, "client", lambda: found[0])
    monkeypatch.setattr(model_registry, "by_alias", lambda *_: known[0] if known else None)
    return known


def _as_mlflow(one: Registered) -> SimpleNamespace:
    return SimpleNamespace(name=one.name, version=int(one.version), run_id=one.run, tags=one.tags)


def test_there_is_nothing_to_train_if_any_version_has_the_data_and_the_config(
    telco: Dataset, versions: list[Registered]
) -> None:
    asked = {"data_version": "d2", "config_hash": "c1", "family": "any"}
    assert release.unchanged(telco, asked) is None
    versions.append(_registered("1"))
    assert release.unchanged(telco, asked) is None, "other data"
    assert release.unchanged(telco, asked | {"data_version": "d1", "config_hash": "c2"}) is None, "other settings"
    assert release.unchanged(telco, asked | {"data_version": "d1"}) == versions[0]
    beaten = "The gate is passed; champion version 1 stays: a gain above 0 is 40.0% certain."
    versions += [_registered("2", data_version="d2", **{"gate.promotion": "long ago"})]
    versions += [_registered("10", data_version="d2", **{"gate.promotion": beaten})]
    assert release.unchanged(telco, asked) == versions[2]


def test_without_a_champion_there_is_one_to_train(
    telco: Dataset, versions: list[Registered], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person took the alias away, as the message does ask for whose champion's files are gone."""
    versions.append(_registered("1"))
    asked = {"data_version": "d1", "config_hash": "c1"}
    assert release.unchanged(telco, asked) == versions[0]
    monkeypatch.setattr(model_registry, "by_alias", lambda *_: None)
    assert release.unchanged(telco, asked) is None


def test_a_version_whose_training_broke_off_is_trained_again(telco: Dataset, versions: list[Registered]) -> None:
    versions += [_registered("1"), _registered("2", data_version="d2")]
    versions[1].tags.pop("gate.promotion")
    assert release.unchanged(telco, {"data_version": "d2", "config_hash": "c1"}) is None


@pytest.fixture
def compared(
    telco: Dataset, config: TrainConfig, versions: list[Registered], monkeypatch: pytest.MonkeyPatch
) -> SimpleNamespace:
    """A champion that knows its own training rows by heart and nothing else; half of the holdout is among them."""
    table = synthetic.generate(telco, 1200, seed=2)
    outcome = features.outcome(telco, table)
    holdout, seen = table.iloc[:800].reset_index(drop=True), table.iloc[400:]
    rng = np.random.default_rng(0)
    by_heart = pd.Series(np.where(np.arange(1200) < 400, rng.random(1200), outcome), table.customerID)
    counted: list[tuple[str, int]] = []

    def number(name: str, comparison: str, keys: np.ndarray) -> int:
        counted.append((comparison, len(set(keys.tolist()))))
        return len(counted)

    class Champion:
        def __init__(self, folder: Path) -> None: ...

        def table(self, rows: pd.DataFrame) -> np.ndarray:
            return by_heart[rows.customerID].to_numpy()

    versions.append(_registered("7", data_version="champion's"))
    data = snapshots.Snapshot("d2", telco, True, table.iloc[:0], holdout)
    its = snapshots.Snapshot("champion's", telco, True, seen, holdout)
    monkeypatch.setattr(release, "load", lambda version: {"champion's": its}[version])
    monkeypatch.setattr(model_registry, "fetch", lambda *_: Path())
    monkeypatch.setattr(release.onnx_scorer, "Scorer", Champion)
    monkeypatch.setattr(holdout_looks, "number", number)
    probability = np.clip(0.3 * outcome[:800] + 0.7 * rng.random(800), 0, 1)
    decision = probability > 0.5
    measured = metrics.decided(outcome[:800], probability, decision)
    evaluation = Evaluation(outcome[:800], probability, decision, 0.5, measured, [])
    return SimpleNamespace(evaluation=evaluation, data=data, counted=counted, by_heart=by_heart)


def test_a_comparison_by_hand_is_the_look_that_the_training_had(
    compared: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = release.load("champion's")
    monkeypatch.setattr(snapshots, "load", lambda version: {"champion's": its}.get(version, compared.data))
    monkeypatch.setattr(
        versions_by_hand,
        "_score",
        lambda _, rows: (compared.by_heart[rows.customerID].to_numpy(), (rows.tenure > 9).to_numpy()),
    )
    champion, challenger = _registered("7", data_version="champion's"), _registered("8", metaflow_run="TrainFlow/5")
    said = list(versions_by_hand.compare(champion, challenger, Promotion()))
    assert said[0] == "400 customers of data version d2 that neither has trained on; look 1 at them"
    assert compared.counted == [("TrainFlow/5/7", 400)]


def test_the_champion_gets_no_points_for_rows_that_it_was_trained_on(
    compared: SimpleNamespace, config: TrainConfig
) -> None:
    verdict = release.judge(compared.evaluation, compared.data, config, "TrainFlow/5")
    found = verdict.comparison
    assert found is not None
    assert (found.champion, found.rows) == ("7", 400)
    first = compared.data.holdout.customerID[:400]
    assert found.champion_roc_auc == metrics.auc(compared.evaluation.outcome[:400], compared.by_heart[first].to_numpy())
    assert found.promote
    assert metrics.auc(compared.evaluation.outcome, compared.by_heart[compared.data.holdout.customerID].to_numpy()) > (
        metrics.auc(compared.evaluation.outcome, compared.evaluation.probability)
    ), "on all rows the champion would have won"


def test_a_comparison_is_counted_though_the_gate_is_closed(compared: SimpleNamespace, config: TrainConfig) -> None:
    closed = config.model_copy(update={"gate": {"roc_auc": 0.999}})
    verdict = release.judge(compared.evaluation, compared.data, closed, "TrainFlow/5")
    assert not verdict.passed
    assert compared.counted == [("TrainFlow/5/7", 400)]
    assert verdict.comparison is not None
    assert (verdict.evidence()["gate.look"], verdict.record()["comparison"]["look"]) == ("1", 1)
    assert release.judge(compared.evaluation, compared.data, config, "TrainFlow/6").evidence()["gate.look"] == "2"


def test_a_champion_is_beaten_on_customers_not_on_their_rows(
    compared: SimpleNamespace, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whose: list[np.ndarray] = []
    plain = champion_challenger.compare
    monkeypatch.setattr(champion_challenger, "compare", lambda *given: whose.append(given[-1]) or plain(*given))
    release.judge(compared.evaluation, compared.data, config, "TrainFlow/5")
    assert len(set(whose[0].tolist())) == len(whose[0]) == 400
    ids = compared.data.holdout.customerID
    twice = compared.data.holdout.assign(customerID=ids.where(ids.index % 2 == 0, ids.shift()))
    release.judge(compared.evaluation, dataclasses.replace(compared.data, holdout=twice), config, "TrainFlow/6")
    assert len(set(whose[1].tolist())) == 200 == len(whose[1]) / 2


def test_without_unseen_rows_nothing_is_looked_at(
    compared: SimpleNamespace, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = SimpleNamespace(train=compared.data.holdout)
    monkeypatch.setattr(release, "load", lambda _: everything)
    verdict = release.judge(compared.evaluation, compared.data, config, "TrainFlow/5")
    assert verdict.comparison is not None
    assert not verdict.promote
    assert "no rows of both outcomes that neither model has seen" in verdict.comparison.reason
    assert compared.counted == []
    assert "gate.look" not in verdict.evidence()
