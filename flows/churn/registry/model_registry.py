"""The MLflow model registry: register, find, promote, roll back."""

import hashlib
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.errors import ChurnError
from churn.registry.mlflow_store import Missing, Taken, client, explained
from churn.registry.registry_lock import locked
from churn.registry.tracking import TRAINING
from churn.settings import commands
from churn.settings.environment import FLOWS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from sklearn.pipeline import Pipeline

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"
STAGES = {CHALLENGER: "Staging", CHAMPION: "Production", PREVIOUS: "Archived"}  # for people who read stages
REPLACED = "replaced"  # tag of a champion: the version it took over from
FILES = "scorer"  # artifact folder of the ONNX model, its manifest and its holdout answers, beside MLflow's own model
CHECKSUMS = "files"  # tag of a version: NAME:DIGEST of each of FILES
REQUIREMENTS = ("scikit-learn", "xgboost", "pandas", "numpy", "pydantic", "skops")


@dataclass(frozen=True)
class Registered:
    """A registry version, and the MLflow run that holds its files."""

    name: str
    version: str
    run: str
    tags: dict[str, str]


def packages(*modules: str) -> list[str]:
    """The packages a model needs, pinned as they are installed: REQUIREMENTS, and those that the top-level ``modules``
    come from.
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
        with suppress(Taken):
            mlflow.create_registered_model(name)
        found = [
            mlflow.create_model_version(
                name,
                source,
                run,
                tags={TRAINING: training, CHECKSUMS: _checksums(Path(files)), **tags},
                await_creation_for=0,
                model_id=source.removeprefix("models:/"),  # a server refuses the source without it
            )
        ]
    made = _registered(found[0])
    challenge(made)
    return made


def challenge(model: Registered) -> None:
    """Give the version the alias challenger."""
    mlflow = client()
    with locked(mlflow, model.name) as require_lock:
        current = by_alias(model.name, CHAMPION)
        require_lock()
        mlflow.set_registered_model_alias(model.name, CHALLENGER, model.version)
        if current is None or current.version != model.version:  # the champion's stage says more
            _stage(mlflow, model, STAGES[CHALLENGER])


def _log_model(run: str, whole: "Pipeline", example: "pd.DataFrame") -> str:
    import mlflow
    import skops.io
    from mlflow.models import infer_signature

    # Integers go in as doubles: MLflow's integer columns cannot hold a missing value.
    inputs = example.astype(dict.fromkeys(example.select_dtypes("number"), "float64"))
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(whole))  # we have just made it
    with explained(), mlflow.start_run(run_id=run):
        return mlflow.sklearn.log_model(
            whole,
            name="model",
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=trusted,
            code_paths=[str(FLOWS / "churn")],
            pip_requirements=packages(*(name.split(".")[0] for name in trusted)),
            signature=infer_signature(inputs, whole.predict_proba(inputs)),
            pyfunc_predict_fn="predict_proba",
        ).model_uri


def _registered(found: Any) -> Registered:
    return Registered(found.name, str(found.version), str(found.run_id), dict(found.tags))


def by_alias(name: str, alias: str) -> Registered | None:
    """The version that carries ``alias``, if the model, the alias and the version exist."""
    mlflow = client()
    models = mlflow.search_registered_models(f"name = '{name}'")
    aliases = mlflow.get_registered_model(name).aliases if models else {}
    return _find(mlflow, name, aliases[alias]) if alias in aliases else None


def _find(mlflow: "MlflowClient", name: str, version: str) -> Registered | None:
    """The version; None if there is no such one (any more)."""
    try:
        return _registered(mlflow.get_model_version(name, version))
    except Missing:
        return None


def by_version(name: str, version: str) -> Registered:
    """The version; ChurnError naming those there are."""
    known = client().search_model_versions(f"name = '{name}'")
    for found in known:
        if str(found.version) == version:
            return _registered(found)
    there = ", ".join(sorted((str(v.version) for v in known), key=int)) or "none"
    raise ChurnError(f"{name} has no version {version!r}; there is: {there}")


def by_tags(name: str, wanted: Mapping[str, str]) -> list[Registered]:
    """The versions that carry all of these tags, newest first."""
    known = [_registered(found) for found in client().search_model_versions(f"name = '{name}'")]
    known = [one for one in known if wanted.items() <= one.tags.items()]
    return sorted(known, key=lambda one: -int(one.version))


def fetch(model: Registered, folder: str | Path) -> Path:
    """Download the scorer's files of ``model`` into ``folder``; the place to open ``scoring.Scorer`` on.

    Raises ChurnError if MLflow has them no longer, or not as they were registered.
    """
    try:
        files = Path(client().download_artifacts(model.run, FILES, str(folder)))
    except Missing as error:
        raise ChurnError(_lost(model, "its files are gone from")) from error
    there, wanted = _checksums(files).split(), model.tags.get(CHECKSUMS, "").split()  # no tag: of an older release
    if harmed := [pair.split(":")[0] for pair in wanted if pair not in there]:
        raise ChurnError(_lost(model, f"{', '.join(harmed)} is missing or damaged in"))
    return files


def _checksums(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return " ".join(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" for path in files)


def _lost(model: Registered, what: str) -> str:
    return (
        f"{model.name} version {model.version}: {what} MLflow's artifact store (run {model.run}, artifact {FILES}); bring "
        f"them back from a backup, or make another version champion ({_promoting()}); if there is none, remove the alias "
        f"{CHAMPION!r} in MLflow ({commands.say('mlflow')}) and train again"
    )


def _promoting() -> str:
    return commands.say("promote", DATASET=commands.NAME, VERSION=commands.NUMBER)


def load(model: Registered) -> "Pipeline":
    """The registered scikit-learn pipeline: raw columns in, probability out. Its skops file runs no code when it is read.

    Raises ChurnError if it cannot be read.
    """
    import mlflow

    try:
        return mlflow.sklearn.load_model(f"models:/{model.name}/{model.version}")
    except Exception as error:  # MLflow's, or whatever a damaged file makes skops raise
        raise ChurnError(_lost(model, "its scikit-learn pipeline cannot be read from")) from error


def annotate(model: Registered, tags: Mapping[str, str]) -> None:
    """Write tags on the version; text beyond what MLflow can hold is cut."""
    mlflow = client()
    for key, value in tags.items():
        mlflow.set_model_version_tag(model.name, model.version, key, value[:5000])


def promote(model: Registered, evidence: Mapping[str, str], expected: str | None) -> bool:
    """Make ``model`` the champion and the former one ``previous``; the evidence is written on the version.

    False, and nothing changed, if the champion is not version ``expected`` (None: no champion) any more: the decision was
    made against another one. Of several processes at once, one after the other goes through.
    """
    mlflow = client()
    with locked(mlflow, model.name) as require_lock:
        former = by_alias(model.name, CHAMPION)
        if (former.version if former is not None else None) not in (expected, model.version):
            return False
        require_lock()
        annotate(model, {**evidence, "promoted_at": _now()})
        if former is not None and former.version != model.version:
            annotate(model, {REPLACED: former.version})
            _point(mlflow, former, PREVIOUS)
        require_lock()
        _point(mlflow, model, CHAMPION)
    return True


def rollback(name: str, reason: str) -> tuple[Registered, Registered]:
    """Make ``previous`` the champion again: the version left and the version that is back.

    The reason is recorded on both. ``previous`` then names what the restored champion had once replaced, if anything.
    """
    mlflow = client()
    with locked(mlflow, name) as require_lock:
        bad, good = by_alias(name, CHAMPION), by_alias(name, PREVIOUS)
        if bad is None or good is None:
            raise ChurnError(
                f"{name} has no previous champion to go back to; see the versions in MLflow ({commands.say('mlflow')}), and "
                f"promote one: {_promoting()}"
            )
        require_lock()
        text = f"{_now()}: from version {bad.version} back to version {good.version}: {reason}"
        _point(mlflow, good, CHAMPION)
        _stage(mlflow, bad, "Archived")
        for model in (bad, good):
            annotate(model, {"rollback": text})
        before = _find(mlflow, name, good.tags[REPLACED]) if REPLACED in good.tags else None
        if before is not None:
            _point(mlflow, before, PREVIOUS)
        else:
            mlflow.delete_registered_model_alias(name, PREVIOUS)
    return bad, good


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _point(mlflow: "MlflowClient", model: Registered, alias: str) -> None:
    mlflow.set_registered_model_alias(model.name, alias, model.version)
    _stage(mlflow, model, STAGES[alias])


def _stage(mlflow: "MlflowClient", model: Registered, stage: str) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated; they only mirror the aliases here
        mlflow.transition_model_version_stage(model.name, model.version, stage, stage == STAGES[CHAMPION])
