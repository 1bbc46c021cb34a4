"""A killed run, resumed, ends as an undisturbed one would; and the same data gives the same metrics to the last digit."""

import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from churn.registry import model_registry
from churn.registry.tracking import FAMILY, TRAINING, client
from conftest import ROOT, flow


def _kill_in_the_foreach(settings: str, version: str, log: Path) -> None:
    """Start TrainFlow and SIGKILL it once a first branch has finished; the other branches' processes live on, as orphans."""
    command = [
        sys.executable,
        str(ROOT / "flows" / "train_flow.py"),
        "--config",
        "settings",
        settings,
        "run",
        "--force",
        "--data-version",
        version,
    ]
    with log.open("wb") as output:
        run = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    until = time.monotonic() + 120
    while not _a_branch_has_finished(log):
        assert run.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    run.kill()
    run.wait()


def _a_branch_has_finished(log: Path) -> bool:
    return any("/tune/" in line and "finished successfully" in line for line in log.read_text().splitlines())


def test_a_run_killed_in_the_foreach_resumes_to_the_same_result(
    trained: SimpleNamespace, quick_settings: str, tmp_path: Path
) -> None:
    before = _versions()
    _kill_in_the_foreach(quick_settings, trained.data.data_version, tmp_path / "log")
    assert _versions() == before
    done = flow("train_flow", "resume")
    assert done.returncode == 0, done.stdout

    from metaflow import Flow

    resumed = Flow("TrainFlow").latest_successful_run.data
    assert resumed.evaluation.scores == trained.train.evaluation.scores
    assert resumed.threshold == trained.train.threshold
    assert [(c.family.name, c.best) for c in resumed.board] == [(c.family.name, c.best) for c in trained.train.board]
    assert resumed.champion.version == trained.train.champion.version
    made = _versions() - before
    assert len(made) == 1
    assert resumed.training in next(iter(made))
    assert _families_in_mlflow(resumed) == sorted(c.family.name for c in resumed.board)


def _families_in_mlflow(last: Any) -> list[str]:
    mlflow = client()
    parent = mlflow.get_run(last.mlflow_run)
    runs = mlflow.search_runs([parent.info.experiment_id], f"tags.`{TRAINING}` = '{last.training}'")
    return sorted(r.data.tags[FAMILY] for r in runs if r.data.tags.get("mlflow.parentRunId") == last.mlflow_run)


def _versions() -> set[tuple[str, str]]:
    found = client().search_model_versions("name = 'churn-classifier'")
    return {(version.version, version.tags[TRAINING]) for version in found}


def test_a_second_registration_of_the_same_training_is_the_first_one(trained: SimpleNamespace) -> None:
    from churn.data import snapshots
    from churn.training import estimators, onnx_scorer

    data = snapshots.load(trained.data.data_version)
    whole = estimators.whole(trained.train.pipeline, data.dataset)
    before = _versions()
    again = model_registry.register(
        "churn-classifier", trained.train.mlflow_run, trained.train.training, whole, onnx_scorer.MODEL, data.holdout, {}
    )
    assert again.version == trained.train.challenger.version
    assert _versions() == before


def test_a_resume_says_that_it_keeps_the_former_settings(
    trained: SimpleNamespace, one_family: str, tmp_path: Path
) -> None:
    settings, version = tmp_path / "own train.toml", trained.data.data_version
    good = Path(one_family).read_text()
    settings.write_text(good.replace("roc_auc = 0.6", "roc_auc = 0.99"))
    done = flow("train_flow", "--config", "settings", str(settings), "run", "--data-version", version)
    assert done.returncode != 0
    again = f"--config settings '{settings}' run --data-version {version}"
    assert re.search(
        rf"change roc_auc in \[gate\] of {settings}, and then: \S+ flows/train_flow\.py {again}", done.stdout
    )

    assert "goes on with the settings" not in flow("train_flow", "resume").stdout.splitlines()[0], "nothing has changed"
    settings.write_text(good)
    done = flow("train_flow", "resume")
    assert re.match(
        rf"Run \d+ goes on with the settings it began with, but \[gate\] in {settings} changed since\. "
        rf"To take the new ones: \S+ flows/train_flow\.py {again}\n",
        done.stdout,
    )
    assert "roc_auc 0.8" in done.stdout, "it was judged by the former bound"
    assert done.returncode != 0


def test_a_run_that_is_not_there_cannot_be_resumed(trained: SimpleNamespace) -> None:
    done = flow("train_flow", "resume", "--origin-run-id", "12")
    assert re.fullmatch(r"there is no run TrainFlow/12 to resume; the newest is \d+\n", done.stdout)
