"""What scikit-learn's converters do not know, or get wrong, is the same in ONNX: splines, levels' rates, thresholds, weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from churn.data import features, synthetic
from churn.settings import core
from churn.settings.dataset import Dataset, from_dump
from churn.settings.train import Family, TrainConfig
from churn.training import estimators, onnx_scorer
from churn.training.pipeline import Blend, Hinges, LevelRates
from sklearn.pipeline import Pipeline

LINEAR = Family(
    name="linear", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True, splines=4,
    fixed={"max_iter": 2000},
)  # fmt: skip
TREES = Family(name="lightgbm", estimator="lightgbm.LGBMClassifier", fixed={"n_estimators": 30, "n_jobs": 1})


@pytest.fixture(scope="module")
def dataset(telco: Dataset) -> Dataset:
    """Telco, where four levels are already too many to tell apart."""
    return from_dump({**telco.model_dump(mode="json"), "most_levels": 3})


@pytest.fixture(scope="module")
def table(telco: Dataset) -> pd.DataFrame:
    return synthetic.generate(telco, 500, seed=4)


def _parity(pipeline: Any, dataset: Dataset, table: pd.DataFrame, folder: Path) -> float:
    onnx_scorer.write(folder, pipeline, {"dataset": dataset.model_dump(mode="json"), "threshold": 0.5})
    return onnx_scorer.check_parity(onnx_scorer.Scorer(folder), estimators.whole(pipeline, dataset), table, seed=0)


def test_splines_and_rates_of_levels_are_the_same_in_onnx(
    dataset: Dataset, table: pd.DataFrame, tmp_path: Path
) -> None:
    inputs, outcome = features.frame(dataset, table), features.outcome(dataset, table)
    members = []
    for family in (LINEAR, TREES):
        pipeline = estimators.build_pipeline(family, dataset, 0, {}, inputs)
        assert "rates" in {name for name, *_ in pipeline["prepare"].transformers}
        members.append((family.name, pipeline.fit(inputs, outcome)))
        assert _parity(pipeline, dataset, table, tmp_path / family.name) <= 1e-5
    mixed = Pipeline([("model", Blend(members, [0.75, 0.25]))])
    expected = 0.75 * members[0][1].predict_proba(inputs) + 0.25 * members[1][1].predict_proba(inputs)
    np.testing.assert_allclose(mixed.predict_proba(inputs), expected, atol=1e-12)
    assert _parity(mixed, dataset, table, tmp_path / "blend") <= 1e-5


def test_rates_of_levels_are_cross_fitted_and_unknown_levels_have_the_mean() -> None:
    rng = np.random.default_rng(0)
    level, outcome = (
        rng.permutation(np.repeat(np.arange(500), 2)).astype(str).astype(object).reshape(-1, 1),
        rng.integers(0, 2, 1000),
    )
    step = LevelRates()
    crossed = step.fit_transform(level, outcome)[:, 0]
    assert abs(np.corrcoef(crossed, outcome)[0, 1]) < 0.15, "a row's own outcome is not in its rate"
    assert np.corrcoef(step.transform(level)[:, 0], outcome)[0, 1] > 0.5
    assert step.transform(np.array([["new"]], dtype=object))[0, 0] == pytest.approx(outcome.mean())


def test_splines_bend_at_quantiles_and_leave_constant_columns_alone() -> None:
    values = np.column_stack([np.arange(100), np.ones(100)]).astype(np.float32)
    step = Hinges(3).fit(values)
    assert step.columns_.tolist() == [0, 0, 0, 1]
    assert step.at_[:3] == pytest.approx([25, 50, 75], abs=1)
    bent = step.transform(values)
    assert bent.dtype == np.float32
    np.testing.assert_array_equal(bent[:, :2], values)
    np.testing.assert_array_equal(bent[:, 5], np.zeros(100))


def test_a_threshold_between_neighbouring_floats_sends_both_to_their_sides(telco: Dataset, tmp_path: Path) -> None:
    table = synthetic.generate(telco, 400, seed=8)
    for number in range(4):  # of every second pair the mean, in float32, is the larger one
        low = np.frombuffer(np.int32(0x3DCCCCCC + number).tobytes(), np.float32)[0]
        table["MonthlyCharges"] = np.where(table.Churn == "Yes", np.nextafter(low, np.float32(1)), low).astype(float)
        inputs, outcome = features.frame(telco, table), features.outcome(telco, table)
        pipeline = estimators.build_pipeline(TREES, telco, 0, {}, inputs).fit(inputs, outcome)
        assert np.unique(pipeline.predict_proba(inputs)[:, 1] > 0.5).tolist() == [False, True]
        assert _parity(pipeline, telco, table, tmp_path) <= 1e-5


def test_catboost_grows_stops_is_kept_and_answers_as_in_onnx(
    telco: Dataset, table: pd.DataFrame, tmp_path: Path
) -> None:
    import skops.io
    from churn.registry import sklearn_model
    from churn.settings.train import Search
    from churn.training import hyperparameter_search, selection

    text = """
    [[model]]
    name = "catboost"
    estimator = "catboost.CatBoostClassifier"
    iterations = 2
    early_stopping = 10
    fixed = { iterations = 200, thread_count = 1 }
    [model.search]
    depth = { low = 3, high = 5, integer = true }
    """
    settings, search = core.parse(TrainConfig, text, "train.toml"), Search(folds=3)
    estimators.check(settings, "train.toml")
    found = hyperparameter_search.tune(settings.model[0], search, telco, table)
    assert 1 <= found.best.params["iterations"] < 200
    chosen = selection.finalize(found, search, telco, table, None)
    assert _parity(chosen.pipeline, telco, table, tmp_path) <= 1e-5
    kept = skops.io.dumps(chosen.pipeline)
    assert set(skops.io.get_untrusted_types(data=kept)) <= set(sklearn_model.TRUSTED)
    inputs = features.frame(telco, table)
    again = skops.io.loads(kept, trusted=list(sklearn_model.TRUSTED)).predict_proba(inputs)
    np.testing.assert_array_equal(again, chosen.pipeline.predict_proba(inputs))
