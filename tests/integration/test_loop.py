"""The session's real run of DataFlow and TrainFlow, looked at from all sides."""

import base64
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from churn.data import snapshots
from churn.registry import model_registry
from churn.serving import bento_server
from churn.training import metrics, onnx_scorer
from conftest import ROOT, flow


def test_the_snapshot_is_what_the_run_says(trained: SimpleNamespace) -> None:
    snapshot = snapshots.load(trained.data.data_version)
    assert (len(snapshot.train), len(snapshot.holdout)) == trained.data.rows
    assert sum(trained.data.rows) == 1500
    assert trained.data.rows[1] == pytest.approx(300, abs=4 * np.sqrt(0.2 * 0.8 * 1500))
    assert not set(snapshot.train.customerID) & set(snapshot.holdout.customerID)
    assert not snapshot.synthetic


def test_the_same_data_is_the_same_version(trained: SimpleNamespace, tmp_path: Path) -> None:
    folder = snapshots.restore(trained.data.data_version, tmp_path / "version")
    snapshot = snapshots.load(trained.data.data_version)
    parts = [(folder / name).read_bytes() for name in (snapshots.TRAIN, snapshots.HOLDOUT)]
    again = snapshots.save(*parts, snapshot.dataset, synthetic=False)
    assert (again.version, again.uploaded) == (trained.data.data_version, False)


def test_no_more_families_are_tuned_at_once_than_there_are_cpus(trained: SimpleNamespace) -> None:
    tasks = list(trained.train_run["tune"])
    spans = [(task.created_at, task.finished_at) for task in tasks]
    at_once = [sum(start <= begun < end for start, end in spans) for begun, _ in spans]
    assert max(at_once) <= max(2, os.cpu_count() or 2)
    assert len(tasks) == 4


def test_every_family_is_on_the_leaderboard_best_first(trained: SimpleNamespace) -> None:
    families = {c.family.name for c in trained.train.board}
    assert families - {"blend"} == {"logistic_regression", "random_forest", "gradient_boosting", "xgboost"}
    scores = [c.best.scores["roc_auc"] for c in trained.train.board]
    assert scores == sorted(scores, reverse=True)


def test_holdout_scores_are_those_of_the_registered_pipeline(trained: SimpleNamespace) -> None:
    data = snapshots.load(trained.data.data_version)
    pipeline = model_registry.load(trained.train.champion)
    probability = pipeline.predict_proba(data.holdout[list(data.dataset.raw)])[:, 1]
    found = trained.train.evaluation
    outcome = (data.holdout.Churn == "Yes").to_numpy(int)
    assert metrics.scores_at(outcome, probability, found.threshold) == pytest.approx(found.scores, abs=1e-12)
    assert found.scores["roc_auc"] > 0.75


def test_mlflow_holds_the_tree_of_runs(trained: SimpleNamespace) -> None:
    from churn.registry.tracking import FAMILY, TRAINING, client

    mlflow = client()
    parent = mlflow.get_run(trained.train.mlflow_run)
    assert parent.data.tags["data_version"] == trained.data.data_version
    assert parent.data.tags["metaflow_run"] == f"TrainFlow/{trained.train_run.id}"
    assert parent.data.metrics["roc_auc"] == trained.train.evaluation.scores["roc_auc"]
    runs = mlflow.search_runs([parent.info.experiment_id], f"tags.`{TRAINING}` = '{trained.train.training_id}'")
    families = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {r.data.tags[FAMILY] for r in families} == {c.family.name for c in trained.train.board}
    for candidate in trained.train.board:
        family = next(r for r in families if r.data.tags[FAMILY] == candidate.family.name)
        trials = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == family.info.run_id]
        assert len(trials) == candidate.family.iterations
        assert all("git_commit" in r.data.tags and "roc_auc" in r.data.metrics and r.data.params for r in trials)


def test_the_first_model_is_challenger_and_champion(trained: SimpleNamespace) -> None:
    by_alias = {
        alias: model_registry.by_alias("churn-classifier", alias) for alias in ("challenger", "champion", "previous")
    }
    assert by_alias["challenger"].version == by_alias["champion"].version == "1"
    assert by_alias["previous"] is None
    assert "no champion yet" in by_alias["champion"].tags["gate.promotion"]


def test_the_served_bento_answers_as_the_pipeline(trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CHURNFLOW_API_KEYS", "deploy:key-of-the-service"
    )  # DeployFlow has it, so every flow of the cluster
    data = snapshots.load(trained.data.data_version)
    rows = data.holdout.sample(500, replace=True, random_state=0)
    expected = model_registry.load(trained.train.champion).predict_proba(rows[list(data.dataset.raw)])[:, 1]
    assert bento_server.prove(trained.train.bento, data.dataset, rows, expected) <= 1e-5


def test_the_scorer_decides_at_the_threshold(trained: SimpleNamespace, tmp_path) -> None:
    scorer = onnx_scorer.Scorer(model_registry.fetch(trained.train.champion, tmp_path))
    assert scorer.threshold == trained.train.threshold
    assert scorer.manifest["data_version"] == trained.data.data_version
    data = snapshots.load(trained.data.data_version)
    decided = scorer.table(data.holdout) >= scorer.threshold
    assert np.mean(decided == (data.holdout.Churn == "Yes")) == pytest.approx(
        trained.train.evaluation.scores["accuracy"], abs=0.01
    )


def test_the_answers_for_the_holdout_lie_beside_the_model(trained: SimpleNamespace, tmp_path: Path) -> None:
    import pandas as pd
    from churn.serving import prediction_log

    kept = pd.read_parquet(model_registry.fetch(trained.train.champion, tmp_path) / prediction_log.HOLDOUT)
    data, found = snapshots.load(trained.data.data_version), trained.train.evaluation
    assert list(kept) == ["probability", "decision", "outcome", *data.dataset.raw]
    np.testing.assert_allclose(kept.probability, found.probability, atol=1e-5)
    assert (kept.outcome == (found.outcome == 1)).all()
    assert (kept.decision == (kept.probability >= found.threshold)).all()
    for name in ("tenure", "Contract", "TotalCharges"):
        pd.testing.assert_series_equal(kept[name], data.holdout[name].reset_index(drop=True), check_dtype=False)


def test_from_inside_flows_the_same_runs_and_versions_are_seen(trained: SimpleNamespace, customers_csv: Path) -> None:
    done = flow("data_flow", "run", "--source", str(customers_csv), cwd=ROOT / "flows")
    assert f"Data version {trained.data.data_version} (already stored: nothing uploaded)" in done.stdout
    from metaflow import Flow

    assert Flow("DataFlow").latest_successful_run.data.data_version == trained.data.data_version


def test_the_cards_lie_with_their_runs_and_nothing_beside_them(trained: SimpleNamespace) -> None:
    from metaflow.cards import get_cards

    (data,) = get_cards(trained.data_run["validate"].task)
    assert "quality score" in _shown(data)
    (training,) = get_cards(trained.train_run["gate"].task)
    for words in ("Leaderboard", "## Gate", "## Holdout", "## Feature importance", trained.train.gate_result.summary):
        assert words in _shown(training)
    assert _shown(training).count("data:image/png") >= 3
    flow("train_flow", "card", "view", f"{trained.train_run.id}/gate", BROWSER="true")
    for beside in (".metaflow", "flows/.metaflow", "metaflow_card_cache"):
        assert not (ROOT / beside).exists()


def _shown(card: Any) -> str:
    (content,) = re.findall(r'__MF_DATA__\["[^"]+"\] = "([^"]+)"', card.get())
    return base64.b64decode(content).decode()
