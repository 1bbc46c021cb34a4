"""The gate takes its bounds from files and from the environment, judges groups on their own, and leaves evidence."""

import numpy as np
import pytest
from churn import evaluation, gate, generator, models
from churn.config import Slices
from churn.dataset import Dataset
from churn.errors import ChurnError
from churn.evaluation import Slice


def test_the_last_table_wins_and_the_environment_above_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gate.bounds({"f1": 0.5, "ece": 0.1}, {"f1": 0.58}) == {"f1": 0.58, "ece": 0.1}
    monkeypatch.setenv("MIN_ACCURACY", "0.8")
    monkeypatch.setenv("MIN_F1_SCORE", "0.7")
    assert gate.bounds({"f1": 0.5}, {"f1": 0.58}) == {"f1": 0.7, "accuracy": 0.8}


def test_a_bad_bound_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChurnError, match=r"\[gate\] f2: not a metric; known are accuracy"):
        gate.bounds({"f2": 0.5})
    monkeypatch.setenv("MIN_ACCURACY", "high")
    with pytest.raises(ChurnError, match="MIN_ACCURACY: 'high' is not a number from 0 to 1"):
        gate.bounds({})


def test_groups_are_judged_where_they_are_large_enough(telco: Dataset) -> None:
    table = generator.generate(telco, 2000, seed=4)
    outcome = models.outcome(telco, table)
    rng = np.random.default_rng(0)
    probability = np.clip(outcome * 0.5 + rng.random(len(outcome)) * 0.5, 0, 1)
    blind = (table.gender == "Male").to_numpy()
    probability[blind] = rng.random(blind.sum())  # the model knows nothing about men
    whole = {"roc_auc": 0.9, "ece": 0.2}
    found = evaluation.slices(telco, table, outcome, probability, 0.5, whole, Slices())
    by_group = {(s.column, s.group): s for s in found}
    assert by_group["gender", "Female"].warnings == ()
    assert by_group["gender", "Male"].warnings[0].startswith("roc_auc 0.")
    assert ("SeniorCitizen", "1") in by_group
    assert not any(
        s.scores for s in evaluation.slices(telco, table, outcome, probability, 0.5, whole, Slices(min_rows=5000))
    )
    failed = [v for v in gate.slice_verdicts(found, {"roc_auc": 0.6}) if not v.passed]
    assert [v.slice for v in failed] == ["gender=Male"]
    closed = gate.Gate(tuple(failed), None)
    with pytest.raises(ChurnError, match="roc_auc of gender=Male"):
        closed.require()


def test_every_verdict_leaves_evidence() -> None:
    verdicts = gate.verdicts({"f1": 0.6, "ece": 0.02}, {"f1": 0.58, "ece": 0.1})
    verdicts += gate.slice_verdicts((Slice("gender", "Male", 9, 3, {"roc_auc": 0.7}, ()),), {"roc_auc": 0.6})
    found = gate.Gate(verdicts, None, ("gender=Male: recall",))
    assert found.evidence() == {
        "gate.f1": "f1 0.6000 >= 0.58",
        "gate.ece": "ece 0.0200 <= 0.1",
        "gate.slices": "roc_auc of gender=Male 0.7000 >= 0.6",
        "gate.warnings": "gender=Male: recall",
        "gate.promotion": found.summary,
    }
    assert [v["passed"] for v in found.record()["verdicts"]] == [True, True, True]
