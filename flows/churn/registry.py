"""The MLflow model registry: register, find the champion, promote."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

from churn.environment import FLOWS
from churn.tracking import TRAINING, client

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"
FILES = "scorer"  # artifact folder of the ONNX model and its manifest, beside MLflow's own model
REQUIREMENTS = ("scikit-learn", "xgboost", "pandas", "numpy", "pydantic", "skops")


@dataclass(frozen=True)
class Registered:
    """A registry version, and the MLflow run that holds its files."""

    name: str
    version: str
    run: str
    tags: dict[str, str]


def register(
    name: str,
    run: str,
    training: str,
    whole: "Pipeline",
    files: str,
    example: "pd.DataFrame",
    tags: Mapping[str, str],
) -> Registered:
    """Log the model under ``run``, register it and give it the alias challenger; once per ``training``.

    The MLflow model is the whole scikit-learn pipeline in skops format; ``files`` is the scorer's folder, kept beside it.
    A second call for the same training (a resumed run) returns the version that the first one made.
    """
    mlflow = client()
    found = [v for v in mlflow.search_model_versions(f"name = '{name}'") if v.tags.get(TRAINING) == training]
    if not found:
        source = _log_model(run, whole, example)
        mlflow.log_artifacts(run, files, FILES)
        if not mlflow.search_registered_models(f"name = '{name}'"):
            mlflow.create_registered_model(name)
        found = [
            mlflow.create_model_version(name, source, run, tags={TRAINING: training, **tags}, await_creation_for=0)
        ]
    made = found[0]
    mlflow.set_registered_model_alias(name, CHALLENGER, made.version)
    return Registered(name, str(made.version), run, dict(made.tags))


def _log_model(run: str, whole: "Pipeline", example: "pd.DataFrame") -> str:
    import mlflow
    import skops.io
    from mlflow.models import infer_signature

    # Integers go in as doubles: MLflow's integer columns cannot hold a missing value.
    inputs = example.astype(dict.fromkeys(example.select_dtypes("number"), "float64"))
    with mlflow.start_run(run_id=run):
        return mlflow.sklearn.log_model(
            whole,
            name="model",
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=skops.io.get_untrusted_types(data=skops.io.dumps(whole)),  # we have just made it
            code_paths=[str(FLOWS / "churn")],
            pip_requirements=[f"{package}=={installed(package)}" for package in REQUIREMENTS],
            signature=infer_signature(inputs, whole.predict_proba(inputs)),
            pyfunc_predict_fn="predict_proba",
        ).model_uri


def by_alias(name: str, alias: str) -> Registered | None:
    """The version that carries ``alias``, if the model and the alias exist."""
    mlflow = client()
    models = mlflow.search_registered_models(f"name = '{name}'")
    aliases = mlflow.get_registered_model(name).aliases if models else {}
    if alias not in aliases:
        return None
    found = mlflow.get_model_version(name, aliases[alias])
    return Registered(name, str(found.version), str(found.run_id), dict(found.tags))


def fetch(model: Registered, folder: str | Path) -> Path:
    """Download the scorer's files of ``model`` into ``folder``; the place to open ``scoring.Scorer`` on."""
    return Path(client().download_artifacts(model.run, FILES, str(folder)))


def promote(model: Registered, evidence: Mapping[str, str]) -> None:
    """Make ``model`` the champion, the former one ``previous``, and write the evidence on the version."""
    mlflow = client()
    former = by_alias(model.name, CHAMPION)
    for key, value in evidence.items():
        mlflow.set_model_version_tag(model.name, model.version, key, value)
    if former is not None and former.version != model.version:
        mlflow.set_registered_model_alias(model.name, PREVIOUS, former.version)
    mlflow.set_registered_model_alias(model.name, CHAMPION, model.version)


def load(model: Registered) -> "Pipeline":
    """The registered scikit-learn pipeline: raw columns in, probability out. Its skops file runs no code when it is read."""
    import mlflow

    return mlflow.sklearn.load_model(f"models:/{model.name}/{model.version}")
