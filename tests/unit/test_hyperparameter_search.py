"""The search finds what scikit-learn's finds, stops when told, and never tries a parameter the config does not name."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from churn.data import features, synthetic
from churn.errors import ChurnError
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.train import Family, Search, TrainConfig
from churn.training import estimators, folds, hyperparameter_search
from churn.training.search import checkpoint, fold_fits, study
from conftest import ROOT


@pytest.fixture(scope="module")
def train(narrow: Dataset) -> pd.DataFrame:
    return synthetic.generate(narrow, 600, seed=3)


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    shipped = core.load(TrainConfig, ROOT / "tests" / "quick_train.toml").model
    return {family.name: family for family in shipped}


@pytest.mark.parametrize("name", ["logistic_regression", "gradient_boosting"])
def test_preprocessing_once_per_fold_changes_no_result(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family], name: str
) -> None:
    from sklearn.model_selection import RandomizedSearchCV
    from threadpoolctl import threadpool_limits

    family, search = families[name], Search(folds=3, strategy="random")
    found = hyperparameter_search.tune(family, search, narrow, train)
    reference = RandomizedSearchCV(
        estimators.build_pipeline(family, narrow, search.seed, {}),
        {f"model__{key}": space for key, space in estimators.distributions(family).items()},
        n_iter=family.iterations,
        scoring=["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss"],
        refit=False,
        cv=folds.folds(search, narrow, train),
        random_state=search.seed,
        error_score="raise",
    )
    with threadpool_limits(1):  # sums in another order end in other digits
        reference.fit(features.frame(narrow, train), features.outcome(narrow, train))
    for i, trial in enumerate(found.trials):
        assert {f"model__{key}": value for key, value in trial.params.items()} == reference.cv_results_["params"][i]
        for metric, value in trial.scores.items():
            # Probabilities are the same bits; scikit-learn averages their errors in float32.
            assert value == pytest.approx(reference.cv_results_[f"mean_test_{metric}"][i], abs=1e-7)


def test_out_of_fold_probabilities_are_those_of_models_that_did_not_see_the_row(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    from sklearn.model_selection import cross_val_predict
    from threadpoolctl import threadpool_limits

    family, search = families["logistic_regression"], Search(folds=3)
    found = hyperparameter_search.tune(family, search, narrow, train)
    pipeline = estimators.build_pipeline(family, narrow, search.seed, found.best.params)
    inputs, outcome = features.frame(narrow, train), features.outcome(narrow, train)
    with threadpool_limits(1):
        cut = folds.folds(search, narrow, train)
        expected = cross_val_predict(pipeline, inputs, outcome, cv=cut, method="predict_proba")[:, 1]
    np.testing.assert_allclose(found.unseen, expected, atol=1e-12)


def test_several_workers_find_the_same(narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]) -> None:
    family = families["logistic_regression"]
    for strategy in ("tpe", "random"):
        search = Search(folds=3, strategy=strategy, backend="threading")
        one, two = (hyperparameter_search.tune(family, search, narrow, train, jobs) for jobs in (1, 2))
        assert one.trials == two.trials


def test_a_backend_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    settings = core.load(TrainConfig, ROOT / "config" / "train.toml")
    asked = settings.model_copy(update={"search": Search(backend="ray")})
    with pytest.raises(ChurnError, match="'ray' needs the package ray; install it with `make install EXTRA=ray`"):
        estimators.check(asked, "train.toml")


def test_a_value_that_the_estimator_refuses_is_named(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    wrong = families["logistic_regression"].model_copy(update={"fixed": {"solver": "fast"}})
    with pytest.raises(ChurnError, match=r"model 'logistic_regression': a fit failed: The 'solver' parameter .*'fast'"):
        hyperparameter_search.tune(wrong, Search(folds=3), narrow, train)


def test_an_estimator_without_probabilities_or_a_parameter_twice_is_refused() -> None:
    table = "[[model]]\nname = 'x'\nestimator = '{}'\n{}"
    for text, reason in (
        (table.format("sklearn.svm.LinearSVC", ""), "is not a classifier with predict_proba"),
        (table.format("json.dumps", ""), "is not a classifier with predict_proba"),
        (table.format("sklearn.nowhere.Model", ""), "cannot import sklearn.nowhere.Model"),
        (
            table.format("sklearn.linear_model.LogisticRegression", "fixed = {C = 1}\nsearch = {C = [1, 2]}"),
            "C is both fixed and searched",
        ),
        (table.format("sklearn.linear_model.LogisticRegression", "fixed = {D = 1}"), "fixed.D is not a parameter"),
    ):
        with pytest.raises(ChurnError, match=reason):
            estimators.check(core.parse(TrainConfig, text, "train.toml"), "train.toml")


def test_the_time_budget_stops_cleanly_with_the_best_so_far(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    slow = families["random_forest"].model_copy(update={"iterations": 500})
    started = time.monotonic()
    found = hyperparameter_search.tune(slow, Search(folds=3, seconds=0.4), narrow, train)
    assert time.monotonic() - started < 20
    assert found.stopped
    assert 1 <= len(found.trials) < 500
    whole = [trial for trial in found.trials if len(trial.by_fold) == 3]  # not those that were pruned after two folds
    assert found.best.scores["roc_auc"] == max(trial.scores["roc_auc"] for trial in whole)
    assert np.isfinite(found.unseen).all()


def test_halving_gives_most_trials_few_rows_and_the_best_all(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    family = families["logistic_regression"].model_copy(update={"iterations": 9})
    found = hyperparameter_search.tune(family, Search(folds=3, strategy="halving"), narrow, train)
    assert sorted(round(trial.share, 3) for trial in found.trials) == [0.111] * 6 + [0.333] * 2 + [1.0]
    assert found.best.share == 1.0


def test_a_trial_that_is_behind_after_two_folds_stops(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    family = families["logistic_regression"].model_copy(update={"iterations": 12})
    found = hyperparameter_search.tune(family, Search(folds=4), narrow, train)
    assert {len(trial.by_fold) for trial in found.trials} == {2, 4}
    assert all((trial.unseen is not None) == (len(trial.by_fold) == 4) for trial in found.trials)
    assert len(found.best.by_fold) == 4


def test_a_search_without_a_gain_ends_early(narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]) -> None:
    same = families["logistic_regression"].model_copy(update={"iterations": 50, "search": {"C": (1.0,)}})
    found = hyperparameter_search.tune(same, Search(folds=3, patience=2), narrow, train)
    assert len(found.trials) == 3


def test_the_champions_parameters_are_tried_first_then_those_of_config(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    family = families["logistic_regression"].model_copy(update={"iterations": 4, "start": ({"C": 0.25},)})
    warm = {"logistic_regression.C": 0.125, "logistic_regression-2.C": 99.0, "xgboost.max_depth": 3, "C": 5.0}
    found = hyperparameter_search.tune(family, Search(folds=3), narrow, train, warm=warm)
    assert [trial.params["C"] for trial in found.trials[:2]] == [0.125, 0.25], "99 is out of range: left to the search"


def test_an_interrupted_search_continues_and_ends_as_if_it_had_not_been(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    family, search = families["xgboost"].model_copy(update={"iterations": 6, "early_stopping": 5}), Search(folds=3)
    whole = hyperparameter_search.tune(family, search, narrow, train)
    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path)
    fit, asked = fold_fits.fitted, []

    def killed(*given: Any) -> Any:
        asked.append(given)
        if len(asked) == 6:
            raise KeyboardInterrupt
        return fit(*given)

    monkeypatch.setattr(fold_fits, "fitted", killed)
    with pytest.raises(KeyboardInterrupt):
        hyperparameter_search.tune(family, search, narrow, train, training="TrainFlow/1")
    kept = len(list(tmp_path.rglob("*.npz")))
    assert kept >= 2
    again = hyperparameter_search.tune(family, search, narrow, train, training="TrainFlow/1")
    assert again.trials == whole.trials
    np.testing.assert_array_equal(again.unseen, whole.unseen)
    assert len(asked) - 6 <= 2 * (6 - kept), "finished trials are not fitted again"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_the_number_of_trees_is_learned_and_the_same_in_all_folds(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    from sklearn.model_selection import cross_val_predict
    from threadpoolctl import threadpool_limits

    search = Search(folds=3, strategy="random")
    lightgbm = Family(name="lightgbm", estimator="lightgbm.LGBMClassifier", fixed={"n_jobs": 1})
    for family, count in (
        (families["xgboost"], "n_estimators"),
        (families["gradient_boosting"], "max_iter"),
        (lightgbm, "n_estimators"),
    ):
        space = {name: one for name, one in family.search.items() if name != count}
        most = {**family.fixed, count: 300}
        stopping = family.model_copy(update={"iterations": 1, "early_stopping": 150, "search": space, "fixed": most})
        found = hyperparameter_search.tune(stopping, search, narrow, train)
        assert 1 <= found.best.params[count] < 300
        counted = estimators.build_pipeline(stopping, narrow, search.seed, found.best.params)
        inputs, outcome, cut = (
            features.frame(narrow, train),
            features.outcome(narrow, train),
            folds.folds(search, narrow, train),
        )
        with threadpool_limits(1):
            expected = cross_val_predict(counted, inputs, outcome, cv=cut, method="predict_proba")[:, 1]
        np.testing.assert_allclose(found.unseen, expected, atol=1e-6, err_msg=family.name)


def test_a_fold_that_stops_early_does_not_cut_the_trees_of_the_others() -> None:
    """Cut to the trees of the first fold to stop, strong signals were learned by half."""
    from churn.training.search import boosting, fold_fits

    family = Family(name="xgboost", estimator="xgboost.XGBClassifier", early_stopping=5)
    asked = []
    fold = fold_fits.Fold(np.zeros((4, 1)), np.zeros(4), np.zeros((2, 1)), np.zeros(2), np.arange(2))
    library = boosting.library(estimators.estimator(family, 0, {}))._replace(
        predict=lambda model, inputs, trees: (asked.append((model, trees)), np.zeros(len(inputs)))[1]
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(boosting, "library", lambda estimator: library)
        params, _ = fold_fits.predict(
            family, {}, [boosting.Grown("a", 35, 30), boosting.Grown("b", 95, 90)], [fold, fold]
        )
    assert params == {"n_estimators": 60}
    assert asked == [("a", 35), ("b", 60)]


def test_early_stopping_of_what_has_no_trees_to_count_is_refused() -> None:
    text = "[[model]]\nname = 'x'\nestimator = 'sklearn.linear_model.LogisticRegression'\nearly_stopping = 5"
    with pytest.raises(ChurnError, match=r"early_stopping counts the trees of a boosted model .* remove it"):
        estimators.check(core.parse(TrainConfig, text, "train.toml"), "train.toml")


def test_with_many_rows_trials_start_on_few_and_the_best_go_on(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    family = families["logistic_regression"].model_copy(update={"iterations": 9})
    found = hyperparameter_search.tune(family, Search(folds=3, halving_rows=100), narrow, train)
    assert {round(trial.share, 2) for trial in found.trials} >= {0.11, 1.0}
    assert found.best.share == 1
    assert [(rung.share, rung.folds) for rung in study.rungs(Search(halving_rows=0), 10**6)] == [(1, 2), (1, 5)]


def test_more_rows_than_are_cross_validated_are_fitted_all_the_same(narrow: Dataset, train: pd.DataFrame) -> None:
    few = Search(folds=3, rows=300)
    tested = np.concatenate([places.test for places in folds.folds(few, narrow, train)])
    assert 240 < len(tested) < 360
    family = Family(
        name="linear", estimator="sklearn.linear_model.LogisticRegression", iterations=1, impute=True, scale=True
    )
    found = hyperparameter_search.tune(family, few, narrow, train)
    assert np.isfinite(found.unseen).sum() == len(tested)


def test_families_side_by_side_never_want_more_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperparameter_search, "cpus", lambda: 16)
    assert hyperparameter_search.jobs(Search(), families=4) == 4
    monkeypatch.setattr(hyperparameter_search, "cpus", lambda: 2)
    assert hyperparameter_search.jobs(Search(), families=4) == 1
    assert hyperparameter_search.jobs(Search(cpus=8), families=4) == 8


def test_lightgbm_is_a_table_away(narrow: Dataset, train: pd.DataFrame) -> None:
    from churn.training import selection

    text = """
    [[model]]
    name = "lightgbm"
    estimator = "lightgbm.LGBMClassifier"
    iterations = 1
    fixed = { n_estimators = 20, n_jobs = 1 }
    [model.search]
    num_leaves = { low = 4, high = 16, integer = true }
    """
    settings = core.parse(TrainConfig, text, "train.toml")
    estimators.check(settings, "train.toml")
    search = Search(folds=3)
    chosen = selection.finalize(
        hyperparameter_search.tune(settings.model[0], search, narrow, train), search, narrow, train, None
    )
    _prove(chosen.pipeline, narrow, train)


def test_a_calibrated_model_is_the_same_in_onnx(
    narrow: Dataset, train: pd.DataFrame, families: dict[str, Family]
) -> None:
    from churn.training import selection

    family, search = families["logistic_regression"], Search(folds=3)
    weighted = family.model_copy(update={"fixed": {**family.fixed, "class_weight": "balanced"}})
    chosen = selection.finalize(
        hyperparameter_search.tune(weighted, search, narrow, train), search, narrow, train, None
    )
    assert chosen.calibration.used, "class weights distort probabilities: recalibration must help"
    assert chosen.calibration.brier[1] < chosen.calibration.brier[0]
    assert chosen.calibration.ece[1] < chosen.calibration.ece[0]
    _prove(chosen.pipeline, narrow, train)


def _prove(pipeline, dataset, table) -> None:  # type: ignore[no-untyped-def]
    import tempfile

    from churn.training import onnx_scorer

    with tempfile.TemporaryDirectory() as folder:
        onnx_scorer.write(folder, pipeline, {"dataset": dataset.model_dump(mode="json"), "threshold": 0.5})
        assert (
            onnx_scorer.check_parity(onnx_scorer.Scorer(folder), estimators.whole(pipeline, dataset), table, seed=0)
            <= 1e-5
        )
