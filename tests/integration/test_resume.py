"""A killed run, resumed, ends as an undisturbed one would; and the same data gives the same metrics to the last digit."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from churn.registry import model_registry
from churn.registry.tracking import FAMILY, TRAINING, client
from churn.settings.environment import STATE
from conftest import ROOT, flow

pytestmark = pytest.mark.long


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
    assert resumed.training_id in next(iter(made))
    assert _families_in_mlflow(resumed) == sorted(c.family.name for c in resumed.board)


def _families_in_mlflow(last: Any) -> list[str]:
    mlflow = client()
    parent = mlflow.get_run(last.mlflow_run)
    runs = mlflow.search_runs([parent.info.experiment_id], f"tags.`{TRAINING}` = '{last.training_id}'")
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
        "churn-classifier",
        trained.train.mlflow_run,
        trained.train.training_id,
        whole,
        onnx_scorer.MODEL,
        data.holdout,
        {},
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

    assert "continues with the settings" not in flow("train_flow", "resume").stdout.splitlines()[0], (
        "nothing has changed"
    )
    settings.write_text(good)
    done = flow("train_flow", "resume")
    assert re.match(
        rf"Run \d+ continues with the settings it started with, but \[gate\] in {settings} changed since\. "
        rf"To use the new ones: \S+ flows/train_flow\.py {again}\n",
        done.stdout,
    )
    assert "roc_auc 0.8" in done.stdout, "it was judged by the former bound"
    assert done.returncode != 0


def test_a_run_that_is_not_there_cannot_be_resumed(trained: SimpleNamespace) -> None:
    done = flow("train_flow", "resume", "--origin-run-id", "12")
    assert re.fullmatch(r"there is no run TrainFlow/12 to resume; the newest is \d+\n", done.stdout)


def test_a_run_of_a_release_with_other_artifacts_is_begun_again(trained: SimpleNamespace) -> None:
    code = "import sys; sys.path.insert(0, 'flows'); import base; base.ARTIFACTS += 1; import runpy; "
    code += "sys.argv[0] = 'flows/data_flow.py'; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, "resume", "--origin-run-id", trained.data_run.id]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert re.fullmatch(
        rf"run {trained.data_run.id} was started by another release, whose steps this one cannot resume; "
        r"start it again: \S+ flows/data_flow\.py run --source \S+\n",
        done.stdout,
    )


def _killed(at: Callable[["subprocess.Popen[bytes]"], bool], *words: str, **environ: str) -> None:
    """Run a flow, and kill it with all of its processes once ``at`` says so."""
    command = [sys.executable, str(ROOT / "flows" / words[0]), *words[1:]]
    run = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not at(run):
        assert run.poll() is None, "it has ended"
        assert time.monotonic() < until
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def test_a_resume_says_which_run_and_refuses_one_that_is_not_the_newest(
    trained: SimpleNamespace, customers_csv: Path
) -> None:
    home, words = Path(os.environ["CHURNFLOW_HOME"]), ("score_flow.py", "run", "--source", str(customers_csv))
    note = home / "started" / "score_flow"
    done = flow("score_flow", "run", "--source", str(customers_csv) + ".gone")
    assert done.returncode != 0
    done = flow("score_flow", *words[1:])
    latest = home / "metaflow" / ".metaflow" / "ScoreFlow" / "latest_run"
    older = latest.read_text()
    assert not note.exists(), "a run that has ended leaves no note"

    _killed(lambda _: note.exists(), *words)
    said = flow("score_flow", "resume").stdout
    assert re.fullmatch(
        rf"ScoreFlow/{older} is not the newest run to resume: another one was started after it and killed before its first step; "
        rf"start that one again with (\S+ flows/score_flow\.py) run, or resume the older one: "
        rf"\1 resume --origin-run-id {older}\n",
        said,
    )
    note.unlink()
    killed = latest.parent / str(int(older) + 1)  # Metaflow knows of it, and that is all
    (killed / "_meta").mkdir(parents=True)
    about = (latest.parent / older / "_meta" / "_self.json").read_text()
    (killed / "_meta" / "_self.json").write_text(about.replace(older, killed.name))
    latest.write_text(killed.name)
    said = flow("score_flow", "resume").stdout
    assert re.fullmatch(
        rf"ScoreFlow/{killed.name} was killed before its first step; start it again with \S+ flows/score_flow\.py run\n",
        said,
    )
    said = flow("score_flow", "resume", "--origin-run-id", older).stdout
    assert re.match(rf"Resuming run ScoreFlow/{older}, which began 20\d\d-\d\d-\d\d ", said)
    shutil.rmtree(killed)


def _scored_once(folder: Path, customers: Path, at: Callable[["subprocess.Popen[bytes]"], bool]) -> None:
    """Kill ScoreFlow, resume it or begin it again, and look at its log: every customer is in it once."""
    import pyarrow.dataset

    places = {"CHURNFLOW_PREDICTIONS": str(folder / "log"), "CHURNFLOW_SCORES": str(folder / "scores")}
    _killed(at, "score_flow.py", "run", "--source", str(customers), **places)
    done = flow("score_flow", "resume", **places)
    if "before its first step" in done.stdout:
        assert not (folder / "log").exists()
        done = flow("score_flow", "run", "--source", str(customers), **places)
    assert done.returncode == 0, done.stdout
    rows = pyarrow.dataset.dataset(str(folder / "log" / "predictions"), partitioning=None).to_table()
    assert len(rows) == len(customers.read_text().splitlines()) - 1
    assert len(set(rows["prediction_id"].to_pylist())) == len(rows)
    assert len(list((folder / "scores").glob("*.csv"))) == 1


def test_scoring_that_is_killed_after_it_logged_logs_nobody_twice(
    trained: SimpleNamespace, customers_csv: Path, tmp_path: Path
) -> None:
    _scored_once(tmp_path, customers_csv, lambda _: any(tmp_path.rglob("part-*.parquet")))


def _written(folder: Path, before: set[Path]) -> int:
    """The files of runs of ScoreFlow that were not there ``before``, of the log and the lists, and the note that it has begun."""
    runs = set((STATE / "metaflow" / ".metaflow" / "ScoreFlow").glob("[0-9]*")) - before
    return (STATE / "started" / "score_flow").exists() + sum(
        path.is_file() for place in (*runs, folder) for path in place.rglob("*")
    )


@pytest.mark.slow
def test_scoring_killed_at_forty_moments_logs_everybody_once(
    trained: SimpleNamespace, customers_csv: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"
    few.write_text("".join(customers_csv.read_text().splitlines(keepends=True)[:201]))
    runs, whole = STATE / "metaflow" / ".metaflow" / "ScoreFlow", tmp_path / "whole"
    before, places = set(runs.glob("[0-9]*")), {"CHURNFLOW_PREDICTIONS": str(whole), "CHURNFLOW_SCORES": str(whole)}
    assert flow("score_flow", "run", "--source", str(few), **places).returncode == 0
    files = _written(whole, before)
    for moment in range(40):
        before, folder = set(runs.glob("[0-9]*")), tmp_path / str(moment)
        written = partial(_written, folder, before)
        _scored_once(folder, few, partial(_reached, written, 1 + files * moment // 40))


def _reached(written: Callable[[], int], least: int, run: "subprocess.Popen[bytes]") -> bool:
    return run.poll() is not None or written() >= least
