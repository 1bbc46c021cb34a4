"""MLflow runs: one parent per TrainFlow run, one child per model family, one grandchild per trial."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from churn.errors import ChurnError
from churn.registry import mlflow_store
from churn.registry.mlflow_store import Taken, client
from churn.settings import commands
from churn.settings.environment import ROOT
from churn.training.evaluation import Baseline
from churn.training.hyperparameter_search import Candidate

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRAINING = "churnflow.training"  # the training's id: the same before and after a resume
FAMILY = "churnflow.family"


def git_state() -> dict[str, str]:
    """The commit of the code, and whether files differ from it; 'unknown' outside a git checkout.

    In a pod, those of the deployed checkout, which Metaflow passes on as METAFLOW_VERSION.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        return {"git_commit": commit, "git_dirty": str(bool(_git("status", "--porcelain"))).lower()}
    except (OSError, subprocess.CalledProcessError):
        deployed = json.loads(os.environ.get("METAFLOW_VERSION", "{}"))
        commit, dirty = deployed.get("commit_sha", "unknown"), deployed.get("has_uncommitted_changes", "unknown")
        return {"git_commit": commit, "git_dirty": str(dirty).lower()}


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout.strip()


def open_run(experiment: str, training: str, tags: Mapping[str, str]) -> str:
    """Open the parent run of this training, or find the one that a previous attempt opened. Returns its id."""
    mlflow = client()
    location = f"{os.environ['MLFLOW_ARTIFACTS']}/{experiment}" if _embedded() else None
    while (stored := mlflow.get_experiment_by_name(experiment)) is None:
        with suppress(Taken):  # created by another training just now
            mlflow.create_experiment(experiment, location)
    if stored.lifecycle_stage == "deleted":
        uri, number = shlex.quote(mlflow_store.tracking_uri()), stored.experiment_id
        restore = f"{commands.python()} -m mlflow experiments restore --experiment-id {number}"
        raise ChurnError(
            f"the experiment {experiment!r} was deleted in MLflow; restore it: MLFLOW_TRACKING_URI={uri} {restore}, or give "
            "another name to 'experiment' in config/train.toml"
        )
    mine = f"tags.`{TRAINING}` = '{training}' and attributes.`run_name` = '{training}'"
    for opened in mlflow.search_runs([stored.experiment_id], mine, max_results=1):
        return opened.info.run_id
    return mlflow.create_run(stored.experiment_id, run_name=training, tags={TRAINING: training, **tags}).info.run_id


def _embedded() -> bool:
    return os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")


def log_board(parent: str, board: Iterable[Candidate], metric: str) -> None:
    """Log every family and its trials under ``parent``; only after training, so that an unavailable store costs no work."""
    for candidate in board:
        log_family(parent, candidate, metric)


def log_family(parent: str, candidate: Candidate, metric: str) -> None:
    """Log a family and its trials under ``parent``, replacing those of an interrupted attempt."""
    mlflow, name = client(), candidate.family.name
    child, experiment, tags = _child(mlflow, parent, name)
    low, high = candidate.interval
    _log(
        mlflow,
        child,
        candidate.best.params,
        {**candidate.best.scores, f"{metric}_low": low, f"{metric}_high": high, "seconds": candidate.seconds},
    )
    for number, trial in enumerate(candidate.trials):
        nested = {**tags, "mlflow.parentRunId": child}
        grandchild = mlflow.create_run(experiment, run_name=f"{name}-{number}", tags=nested).info.run_id
        _log(
            mlflow,
            grandchild,
            trial.params,
            {**trial.scores, "share_of_rows": trial.share, "folds": len(trial.by_fold)},
        )


def log_baselines(parent: str, baselines: Iterable[Baseline]) -> None:
    """Log the baselines under ``parent`` like the families: on the leaderboard's folds and on the holdout."""
    mlflow = client()
    for one in baselines:
        child, _, _ = _child(mlflow, parent, f"{one.name} (baseline)")
        mean = {"roc_auc": float(np.mean(one.by_fold))} if one.by_fold else {}
        scores = {
            "holdout_roc_auc": one.auc,
            "gain": one.gain,
            "gain_low": one.gain_interval[0],
            "gain_high": one.gain_interval[1],
        }
        _log(mlflow, child, {}, mean | scores)


def _child(mlflow: "MlflowClient", parent: str, name: str) -> tuple[str, str, dict[str, str]]:
    """Create a run for ``name`` under ``parent``, replacing an earlier attempt's; also the experiment and its children's tags."""
    run = mlflow.get_run(parent)
    training, experiment = run.data.tags[TRAINING], run.info.experiment_id
    for left in mlflow.search_runs([experiment], f"tags.`{TRAINING}` = '{training}' and tags.`{FAMILY}` = '{name}'"):
        mlflow.delete_run(left.info.run_id)
    inherited = {k: v for k, v in run.data.tags.items() if k.startswith(("data_", "git_", "metaflow_"))}
    tags = {TRAINING: training, FAMILY: name, **inherited}
    child = mlflow.create_run(experiment, run_name=name, tags={**tags, "mlflow.parentRunId": parent})
    return child.info.run_id, experiment, tags


def _log(mlflow: "MlflowClient", run: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    mlflow.log_batch(
        run,
        [Metric(name, value, now, 0) for name, value in metrics.items()],
        [Param(name, str(value)) for name, value in params.items()],
    )
    mlflow.set_terminated(run)


def log_texts(run: str, texts: Mapping[str, str]) -> None:
    """Log each text as an artifact of the run under its name."""
    mlflow = client()
    for name, text in texts.items():
        mlflow.log_text(run, text, name)


def close_run(run: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Log the chosen model's parameters and holdout scores on the parent run and end it."""
    _log(client(), run, params, metrics)
