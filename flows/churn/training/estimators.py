"""Estimators and search spaces from config, and the pipeline to register: raw columns in, probability out."""

import importlib.util
import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.errors import ChurnError
from churn.settings.dataset import Dataset
from churn.settings.train import Family, Range, TrainConfig
from churn.training import calibration
from churn.training.search import boosting

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline


def calibrate(fitted: "Pipeline", learned: calibration.Calibration) -> "Pipeline":
    """The fitted pipeline, with its last step calibrated if the calibration is used."""
    from churn.training.pipeline import Calibrated
    from sklearn.pipeline import Pipeline

    if not learned.used:
        return fitted
    name, last = fitted.steps[-1]
    return Pipeline([*fitted.steps[:-1], (name, Calibrated(last, learned.slope, learned.intercept))])


def check(config: TrainConfig, file: str) -> None:
    """Check the model families before any work; ``file`` is named in errors.

    Raises:
        ChurnError: An estimator cannot be imported or has no ``predict_proba``, a parameter is unknown or both fixed and
            searched, or the backend is not installed.
    """
    if config.search.backend == "ray" and importlib.util.find_spec("ray") is None:
        raise ChurnError(
            f"{file}: search.backend 'ray' needs the package ray; install it with `make install EXTRA=ray`, or use 'loky'"
        )
    for family in config.model:
        kind = _estimator_class(family, file)
        if not (isinstance(kind, type) and hasattr(kind, "predict_proba") and hasattr(kind, "get_params")):
            raise ChurnError(
                f"{file}: model '{family.name}': {family.estimator} is not a classifier with predict_proba"
            )
        parameters = _parameters(kind)
        for key in ("fixed", "search"):
            for name in getattr(family, key):
                if name not in parameters:
                    raise ChurnError(
                        f"{file}: model '{family.name}': {key}.{name} is not a parameter of {family.estimator}; "
                        f"it has {', '.join(sorted(parameters))}"
                    )
        if family.early_stopping and boosting.library(kind) is None:
            raise ChurnError(
                f"{file}: model '{family.name}': early_stopping counts the trees of a boosted model (XGBoost, LightGBM, "
                f"CatBoost, HistGradientBoosting), not of {family.estimator}; remove it"
            )
        if twice := sorted(set(family.fixed) & set(family.search)):
            raise ChurnError(f"{file}: model '{family.name}': {', '.join(twice)} is both fixed and searched; keep one")


def libraries(config: TrainConfig) -> tuple[str, ...]:
    """The top-level modules of the estimators, sorted."""
    return tuple(sorted({family.estimator.split(".")[0] for family in config.model}))


def _estimator_class(family: Family, file: str = "config") -> Any:
    module, name = family.estimator.rsplit(".", 1)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ChurnError(f"{file}: model '{family.name}': cannot import {family.estimator} ({error})") from None


def _parameters(kind: Any) -> set[str]:
    """The names of the estimator's parameters; CatBoost exposes them only in its signature."""
    named = inspect.signature(kind).parameters.values()
    return set(kind().get_params()) | {one.name for one in named if one.kind is not one.VAR_KEYWORD}


def preparation(family: Family, dataset: Dataset, inputs: "pd.DataFrame | None" = None) -> "ColumnTransformer":
    """The unfitted preprocessing of model inputs (see ``features.frame``) into a matrix, numbers before categories.

    Inputs of tree models are not scaled: scaling in float32 would move rows across split thresholds in ONNX. A category with more
    than ``dataset.most_levels`` levels in ``inputs``, the training rows, is also encoded by the churn rates of its levels.
    """
    from churn.training.pipeline import Hinges, LevelRates
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric: list[tuple[str, Any]] = []
    if family.impute:
        numeric.append(("impute", SimpleImputer(strategy="median", keep_empty_features=True)))
    if family.splines:
        numeric.append(("splines", Hinges(family.splines)))
    if family.scale:
        numeric.append(("scale", StandardScaler()))
    encode = OneHotEncoder(
        handle_unknown="ignore", sparse_output=False, dtype=np.float32, max_categories=dataset.most_levels
    )
    many = [] if inputs is None else [c for c in dataset.categorical if inputs[c].nunique() > dataset.most_levels]
    rates = [("rates", LevelRates()), *([("scale", StandardScaler())] if family.scale else [])]
    return ColumnTransformer(
        [
            ("numeric", Pipeline(numeric) if numeric else "passthrough", list(dataset.numeric)),
            ("categorical", encode, list(dataset.categorical)),
            *([("rates", Pipeline(rates), many)] if many else []),
        ],
        sparse_threshold=0,
    )


def estimator(family: Family, seed: int, params: Mapping[str, Any]) -> Any:
    """The unfitted estimator with its fixed parameters and the tuned ``params``, seeded if it takes a seed."""
    kind = _estimator_class(family)
    seeded = {"random_state": seed} if "random_state" in _parameters(kind) else {}
    library = boosting.library(kind)
    always = library.always if library is not None else {}
    # numpy floats, as the search drew them: with Python floats, scikit-learn solves float32 inputs in float32, less precisely.
    drawn = {name: np.float64(value) if isinstance(value, float) else value for name, value in params.items()}
    return kind().set_params(**{**always, **seeded, **family.fixed, **drawn})


def build_pipeline(
    family: Family, dataset: Dataset, seed: int, params: Mapping[str, Any], inputs: "pd.DataFrame | None" = None
) -> "Pipeline":
    """The unfitted pipeline over model inputs: ``preparation``, then the ``estimator``."""
    from sklearn.pipeline import Pipeline

    return Pipeline([("prepare", preparation(family, dataset, inputs)), ("model", estimator(family, seed, params))])


def distributions(family: Family) -> dict[str, Any]:
    """The search space as scipy distributions and lists, by parameter."""
    return {
        name: _distribution(space) if isinstance(space, Range) else list(space) for name, space in family.search.items()
    }


def _distribution(space: Range) -> Any:
    from scipy import stats

    if space.integer:
        low, high = int(space.low), int(space.high)
        return stats.randint(low, high + 1)
    return stats.loguniform(space.low, space.high) if space.log else stats.uniform(space.low, space.high - space.low)


def whole(fitted: "Pipeline", dataset: Dataset) -> "Pipeline":
    """The fitted pipeline with the feature step in front: raw columns in, probability out."""
    from churn.training.pipeline import FeatureStep
    from sklearn.pipeline import Pipeline

    return Pipeline([("features", FeatureStep(json.dumps(dataset.model_dump(mode="json")))), *fitted.steps])


def __getattr__(name: str) -> Any:
    """The steps of ``pipeline`` under their former module, so that models registered by earlier releases load."""
    if name not in ("FeatureStep", "Calibrated"):
        raise AttributeError(f"module 'churn.training.estimators' has no attribute {name!r}")
    from churn.training import pipeline

    return getattr(pipeline, name)
