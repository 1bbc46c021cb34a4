"""The registered model as a scikit-learn pipeline: written with MLflow, for its users, and read without MLflow.

MLflow's loader trusts the file MLmodel next to the pipeline, which says what pickle, code or types to load: anyone who can
write to the artifact store could run code here. Only the pipeline's skops file is read, and only types in TRUSTED are loaded.
"""

import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from churn.errors import ChurnError
from churn.registry.mlflow_store import explained
from churn.settings.environment import FLOWS
from churn.storage import checksums

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

FILE = "model.skops"
REQUIREMENTS = ("scikit-learn", "xgboost", "pandas", "numpy", "pydantic", "skops")
_PLACES = ("churn.training.pipeline", "churn.training.estimators", "churn.pipeline")  # now, and in earlier releases
# In addition to what skops trusts: our own steps, and the types that these packages' estimators consist of.
TRUSTED = (
    *(f"{place}.{step}" for place in _PLACES for step in ("FeatureStep", "Calibrated", "Blend")),
    "catboost.core.CatBoostClassifier",
    "churn.uplift.pipeline.Uplift",
    "churn.training.pipeline.Hinges",
    "churn.training.pipeline.LevelRates",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRegressor",
)


def packages(*modules: str) -> list[str]:
    """The packages that a model needs, pinned to the installed versions.

    These are REQUIREMENTS and the packages that provide the top-level ``modules``.
    """
    needed = dict.fromkeys(REQUIREMENTS)
    for module in sorted(set(modules) - {"churn", "sklearn"} - sys.stdlib_module_names):
        needed[_distribution(module)] = None
    return [f"{package}=={installed(package)}" for package in needed]


def _distribution(module: str) -> str:
    try:
        return distribution(module).metadata["Name"]
    except PackageNotFoundError:  # the package has another name
        return packages_distributions()[module][0]


def log_pipeline(run: str, pipeline: "Pipeline", example: "pd.DataFrame") -> tuple[str, str]:
    """Log the pipeline under ``run``. Returns MLflow's URI of the model, and the checksum of its skops file.

    The checksum is that of the stored file, whose predictions match those of ``pipeline``. Raises ChurnError if not.
    """
    import mlflow
    import skops.io
    from mlflow.models import infer_signature

    # Integers as doubles: MLflow's integer columns cannot hold missing values.
    inputs = example.astype(dict.fromkeys(example.select_dtypes("number"), "float64"))
    method = "predict_proba" if hasattr(pipeline, "predict_proba") else "predict"  # an uplift model is not a classifier
    expected = getattr(pipeline, method)(inputs)
    types = skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))  # our own object, not from the store
    with explained(), mlflow.start_run(run_id=run):
        address = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=types,
            code_paths=[str(FLOWS / "churn")],
            pip_requirements=packages(*(name.split(".")[0] for name in types)),
            signature=infer_signature(inputs, expected),
            pyfunc_predict_fn=method,
        ).model_uri
    with tempfile.TemporaryDirectory() as folder:
        stored = download(address, folder)
        if not np.array_equal(getattr(skops.io.load(stored, trusted=types), method)(inputs), expected):
            raise ChurnError(
                f"{address}: {FILE} in MLflow's artifact store predicts differently from the model; run this again"
            )
        return address, checksums.file_sha256(stored)


def download(address: str, folder: str) -> Path:
    """Download the skops file of MLflow's model at ``address`` into ``folder``. Raises ChurnError if that fails."""
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    with explained():
        return Path(ModelsArtifactRepository(address).download_artifacts(FILE, folder))


def read(file: Path) -> "Pipeline":
    """Read the pipeline from a skops file. Raises ChurnError if it is invalid, naming any types that are not TRUSTED."""
    import skops.io

    try:
        strange = sorted(set(skops.io.get_untrusted_types(file=file)) - set(TRUSTED))
        if not strange:
            return skops.io.load(file, trusted=list(TRUSTED))
    except Exception as error:
        raise ChurnError(f"{file.name}: it is not a pipeline in skops format, or is damaged ({error})") from error
    raise ChurnError(
        f"{file.name}: it contains {', '.join(strange)}, which Churnflow's models do not use; it is not loaded"
    )
