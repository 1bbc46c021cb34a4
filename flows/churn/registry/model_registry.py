"""The MLflow model registry: register, find, promote, roll back."""

import logging
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.errors import ChurnError
from churn.registry import champion_move, sklearn_model
from churn.registry.champion_move import CHALLENGER, CHAMPION, MOVE, PREVIOUS, STAGES, Move
from churn.registry.gate import SUMMARY
from churn.registry.mlflow_store import Missing, Taken, client
from churn.registry.registry_lock import Held, locked
from churn.registry.tracking import TRAINING
from churn.settings import commands
from churn.storage import checksums

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from sklearn.pipeline import Pipeline

logger = logging.getLogger(__name__)

REPLACED = "replaced"  # tag of a champion: the version that it replaced
VERDICTS = (SUMMARY, "promotion")  # tags that record a promotion, written once it has happened
FILES = "scorer"  # artifact folder of the ONNX model, its manifest and its holdout predictions, next to MLflow's model
CHECKSUMS = "files"  # tag of a version: NAME:SHA-256 of each of FILES, and of the scikit-learn form


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
    pipeline: "Pipeline",
    files: str,
    example: "pd.DataFrame",
    tags: Mapping[str, str],
) -> Registered:
    """Log the model under ``run``, register it, and set the alias challenger; once per ``training``.

    The MLflow model is the complete scikit-learn pipeline in skops format; ``files`` is the scorer's folder, stored next to it.
    A second call for the same training (a resumed run) returns the version that the first call registered.
    """
    mlflow = client()
    if not _of_training(mlflow, name, training):
        source, checksum = sklearn_model.log_pipeline(run, pipeline, example)
        mlflow.log_artifacts(run, files, FILES)
        with suppress(Taken):
            mlflow.create_registered_model(name)
        noted = checksums.to_line({**checksums.folder_sha256(Path(files)), sklearn_model.FILE: checksum})
        with locked(mlflow, name) as require_lock:
            if not _of_training(mlflow, name, training):
                require_lock()
                mlflow.create_model_version(
                    name,
                    source,
                    run,
                    tags={TRAINING: training, CHECKSUMS: noted, **tags},
                    await_creation_for=0,
                    model_id=source.removeprefix("models:/"),  # a server rejects the source without it
                )
            _, *again = _of_training(mlflow, name, training)
            for twice in again:  # the server's answer was lost, and MLflow's client retried
                mlflow.delete_model_version(name, twice.version)
    version = _of_training(mlflow, name, training)[0]
    challenge(version)
    return version


def _of_training(mlflow: "MlflowClient", name: str, training: str) -> list[Registered]:
    """The versions of a training, oldest first."""
    versions = [_registered(version) for version in mlflow.search_model_versions(f"name = '{name}'")]
    return sorted((one for one in versions if one.tags.get(TRAINING) == training), key=lambda one: int(one.version))


def challenge(model: Registered) -> None:
    """Give the version the alias challenger."""
    mlflow = client()
    with locked(mlflow, model.name) as require_lock:
        champion_move.finish_move(mlflow, model.name)
        current = by_alias(model.name, CHAMPION)
        require_lock()
        mlflow.set_registered_model_alias(model.name, CHALLENGER, model.version)
        if current is None or current.version != model.version:  # keep the champion's stage
            champion_move.move_to_stage(mlflow, model.name, model.version, STAGES[CHALLENGER])


def _registered(version: Any) -> Registered:
    return Registered(version.name, str(version.version), str(version.run_id), dict(version.tags))


def by_alias(name: str, alias: str) -> Registered | None:
    """The version that carries ``alias``, if the model, the alias and the version exist.

    A change of champion that a process left unfinished is finished first, or counts as finished while another process finishes
    it.
    """
    mlflow = client()
    if not mlflow.search_registered_models(f"name = '{name}'"):
        return None
    model = mlflow.get_registered_model(name)
    if MOVE in model.tags:
        with suppress(Held), locked(mlflow, name, patience=0):
            champion_move.finish_move(mlflow, name)
        model = mlflow.get_registered_model(name)
    versions = champion_move.aliases(model)
    if alias == PREVIOUS and PREVIOUS in versions and versions[PREVIOUS] == versions.get(CHAMPION):
        return _replaced(mlflow, name, versions[CHAMPION])
    return _find(mlflow, name, versions[alias]) if alias in versions else None


def _replaced(mlflow: "MlflowClient", name: str, champion: str) -> Registered | None:
    """The version that the champion replaced. Earlier releases could leave a champion that is its own ``previous``."""
    registered = _find(mlflow, name, champion)
    return (
        _find(mlflow, name, registered.tags[REPLACED])
        if registered is not None and REPLACED in registered.tags
        else None
    )


def _find(mlflow: "MlflowClient", name: str, version: str) -> Registered | None:
    """The version; None if it does not exist (any more)."""
    try:
        return _registered(mlflow.get_model_version(name, version))
    except Missing:
        return None


def by_version(name: str, version: str) -> Registered:
    """The version. Raises ChurnError that lists the existing versions if it does not exist."""
    versions = client().search_model_versions(f"name = '{name}'")
    for candidate in versions:
        if str(candidate.version) == version:
            return _registered(candidate)
    there = ", ".join(sorted((str(v.version) for v in versions), key=int)) or "none"
    raise ChurnError(f"{name} has no version {version!r}; there is: {there}")


def by_tags(name: str, wanted: Mapping[str, str]) -> list[Registered]:
    """The versions that carry all of these tags, newest first."""
    versions = [_registered(version) for version in client().search_model_versions(f"name = '{name}'")]
    versions = [one for one in versions if wanted.items() <= one.tags.items()]
    return sorted(versions, key=lambda one: -int(one.version))


def fetch(model: Registered, folder: str | Path) -> Path:
    """Download the scorer's files of ``model`` into ``folder``. Returns the path to open with ``onnx_scorer.Scorer``.

    Raises ChurnError if the files are missing or damaged in MLflow.
    """
    try:
        files = Path(client().download_artifacts(model.run, FILES, str(folder)))
    except Missing as error:
        raise ChurnError(_lost(model, "its files are gone from")) from error
    noted = checksums.from_line(model.tags.get(CHECKSUMS, ""))
    noted.pop(sklearn_model.FILE, None)  # stored elsewhere
    if unnoted := sorted({path.name for path in files.iterdir()} - noted.keys()):
        _warn(model, ", ".join(unnoted))
    if harmed := checksums.mismatched(files, noted):
        raise ChurnError(_lost(model, f"{', '.join(harmed)} is missing or damaged in"))
    return files


def _warn(model: Registered, what: str) -> None:
    """Warn that an earlier release stored no checksum: the model is used unverified, with this notice each time."""
    again = commands.say("train", VERSION=model.tags.get("data_version", commands.NAME), FORCE="1")
    logger.warning(
        "%s version %s: the release that registered it stored no checksum of its %s, so it cannot be verified; "
        "to store one, train again: %s", model.name, model.version, what, again
    )  # fmt: skip


def _lost(model: Registered, what: str) -> str:
    return (
        f"{model.name} version {model.version}: {what} MLflow's artifact store (run {model.run}, artifact {FILES}); restore "
        f"them from a backup, or make another version champion ({_promoting()}); if there is none, remove the alias "
        f"{CHAMPION!r} in MLflow ({commands.say('mlflow')}) and train again"
    )


def _promoting() -> str:
    return commands.say("promote", DATASET=commands.NAME, VERSION=commands.NUMBER)


def load(model: Registered) -> "Pipeline":
    """Load the registered scikit-learn pipeline: raw columns in, probability out. Loading runs no code from the store.

    Raises ChurnError if it cannot be read or is damaged.
    """
    noted = checksums.from_line(model.tags.get(CHECKSUMS, "")).get(sklearn_model.FILE)
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = sklearn_model.download(f"models:/{model.name}/{model.version}", folder)
        except ChurnError as error:
            raise ChurnError(_lost(model, "its scikit-learn pipeline cannot be read from")) from error
        if noted is None:
            _warn(model, sklearn_model.FILE)
        elif checksums.mismatched(file.parent, {file.name: noted}):
            raise ChurnError(_lost(model, f"{file.name} is damaged in"))
        return sklearn_model.read(file)


def annotate(model: Registered, tags: Mapping[str, str]) -> None:
    """Write tags on the version; text beyond MLflow's limit is truncated."""
    mlflow = client()
    for key, value in tags.items():
        mlflow.set_model_version_tag(model.name, model.version, key, value[:5000])


def promote(model: Registered, evidence: Mapping[str, str], expected: str | None) -> bool:
    """Make ``model`` the champion and the current champion ``previous``, and write the evidence on the version.

    Returns False and changes nothing if the champion is no longer version ``expected`` (None: no champion), with which the model
    was compared. Concurrent processes are serialised.
    """
    mlflow = client()
    with locked(mlflow, model.name) as require_lock:
        champion_move.finish_move(mlflow, model.name)
        former = by_alias(model.name, CHAMPION)
        if (former.version if former is not None else None) not in (expected, model.version):
            return False
        require_lock()
        annotate(model, {key: value for key, value in evidence.items() if key not in VERDICTS})
        tags = {key: value for key, value in evidence.items() if key in VERDICTS}
        if former is not None and former.version == model.version:  # promoted by an earlier attempt
            annotate(model, tags)
            return True
        tags |= {"promoted_at": _now()} | ({REPLACED: former.version} if former is not None else {})
        move = Move(model.version, former.version if former is not None else None, {model.version: tags})
        champion_move.change_champion(mlflow, model.name, move, require_lock)
    return True


def rollback(name: str, reason: str) -> tuple[Registered, Registered]:
    """Make ``previous`` the champion again. Returns the replaced version and the restored one.

    Records the reason on both. ``previous`` becomes the version that the restored champion had replaced, if any.
    """
    mlflow = client()
    with locked(mlflow, name) as require_lock:
        champion_move.finish_move(mlflow, name)
        bad, good = by_alias(name, CHAMPION), by_alias(name, PREVIOUS)
        if bad is None or good is None:
            raise ChurnError(
                f"{name} has no previous champion to go back to; see the versions in MLflow ({commands.say('mlflow')}), and "
                f"promote one: {_promoting()}"
            )
        require_lock()
        text = f"{_now()}: from version {bad.version} back to version {good.version}: {reason}"
        before = _find(mlflow, name, good.tags[REPLACED]) if REPLACED in good.tags else None
        tags = {model.version: {"rollback": text} for model in (bad, good)}
        move = Move(good.version, before.version if before is not None else None, tags)
        champion_move.change_champion(mlflow, name, move, require_lock)
    return bad, good


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
