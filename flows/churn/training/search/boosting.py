"""The number of trees in a boosted model, learned by early stopping instead of searched."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from churn.training.search.fold_fits import Fold


class Grown(NamedTuple):
    """A model with its number of trees, and the number of trees with the lowest log loss on unseen rows."""

    model: Any
    trees: int
    best: int


class Library(NamedTuple):
    """How a library grows trees until they stop helping, predicts with the first n, and names their number.

    ``always`` holds the parameters that make it quiet and reproducible.
    """

    parameter: str
    grow: Callable[[Any, "Fold", Any, int], Grown]
    predict: Callable[[Any, np.ndarray, int], np.ndarray]
    always: dict[str, Any] = {}


LIGHTGBM = {
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
}  # otherwise it picks whichever is faster at the moment
CATBOOST = {"verbose": False, "allow_writing_files": False}


def library(estimator: Any) -> Library | None:
    """The library of an estimator (class or instance); None if its trees cannot be counted."""
    kind = estimator if isinstance(estimator, type) else type(estimator)
    return _LIBRARIES.get((kind.__module__.split(".")[0], kind.__name__))


def _grow_xgboost(estimator: Any, fold: "Fold", rows: Any, patience: int) -> Grown:
    import xgboost

    # Binned once per fold, not once per fit; all settings of the search share both matrices.
    fit = fold.binned(("fit", str(rows), estimator.max_bin), lambda: _bins(xgboost, estimator, fold, rows))
    test = fold.binned(("test",), lambda: xgboost.DMatrix(fold.test_inputs, fold.test_outcome, nthread=1))
    settings = {**estimator.get_xgb_params(), "objective": "binary:logistic", "eval_metric": "logloss"}
    trees, stops = estimator.n_estimators or 100, {"early_stopping_rounds": patience, "verbose_eval": False}
    model = xgboost.train(settings, fit, trees, evals=[(test, "test")], **stops)
    return Grown(model, model.num_boosted_rounds(), model.best_iteration + 1)


def _bins(xgboost: Any, estimator: Any, fold: "Fold", rows: Any) -> Any:
    most = {"max_bin": estimator.max_bin} if estimator.max_bin else {}
    return xgboost.QuantileDMatrix(fold.inputs[rows], fold.outcome[rows], nthread=1, **most)


def _predict_xgboost(model: Any, inputs: np.ndarray, trees: int) -> np.ndarray:
    return model.inplace_predict(inputs, iteration_range=(0, trees))


def _grow_lightgbm(estimator: Any, fold: "Fold", rows: Any, patience: int) -> Grown:
    import lightgbm

    losses: list[float] = []

    def stop(progress: Any) -> None:
        """Stop like ``lightgbm.early_stopping``, which would drop the trees grown since the best."""
        losses.append(progress.evaluation_result_list[0][2])
        if len(losses) - np.argmin(losses) > patience:
            raise lightgbm.EarlyStopException(progress.iteration, progress.evaluation_result_list)

    test = {"eval_X": fold.test_inputs, "eval_y": fold.test_outcome}
    model = estimator.fit(fold.inputs[rows], fold.outcome[rows], **test, callbacks=[stop])
    return Grown(model, len(losses), int(np.argmin(losses)) + 1)


def _predict_lightgbm(model: Any, inputs: np.ndarray, trees: int) -> np.ndarray:
    return model.predict_proba(inputs, num_iteration=trees)[:, 1]


def _grow_histogram(estimator: Any, fold: "Fold", rows: Any, patience: int) -> Grown:
    stopping = estimator.set_params(early_stopping=True, n_iter_no_change=patience, scoring="loss")
    model = stopping.fit(fold.inputs[rows], fold.outcome[rows], X_val=fold.test_inputs, y_val=fold.test_outcome)
    return Grown(model, model.n_iter_, int(np.argmax(model.validation_score_[1:])) + 1)


def _predict_histogram(model: Any, inputs: np.ndarray, trees: int) -> np.ndarray:
    stages = itertools.islice(model.staged_predict_proba(inputs), trees - 1, None)
    return next(stages)[:, 1]


def _grow_catboost(estimator: Any, fold: "Fold", rows: Any, patience: int) -> Grown:
    model = estimator.fit(
        fold.inputs[rows], fold.outcome[rows], eval_set=(fold.test_inputs, fold.test_outcome), use_best_model=False,
        early_stopping_rounds=patience, verbose=False,
    )  # fmt: skip
    return Grown(model, model.tree_count_, model.get_best_iteration() + 1)


def _predict_catboost(model: Any, inputs: np.ndarray, trees: int) -> np.ndarray:
    return model.predict_proba(inputs, ntree_end=trees)[:, 1]


_LIBRARIES = {
    ("xgboost", "XGBClassifier"): Library("n_estimators", _grow_xgboost, _predict_xgboost),
    ("lightgbm", "LGBMClassifier"): Library("n_estimators", _grow_lightgbm, _predict_lightgbm, LIGHTGBM),
    ("sklearn", "HistGradientBoostingClassifier"): Library("max_iter", _grow_histogram, _predict_histogram),
    ("catboost", "CatBoostClassifier"): Library("iterations", _grow_catboost, _predict_catboost, CATBOOST),
}
