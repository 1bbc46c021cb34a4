"""The registry under trainings that finish at once, promotions by hand and rollbacks, and MLflow going away."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from churn.registry import model_registry, tracking
from conftest import ROOT, flow

NAME = "race"
PROMOTE = """
import sys
sys.path.insert(0, "flows")
from churn.registry import model_registry
model = model_registry.by_version("race", sys.argv[1])
while True:
    former = model_registry.by_alias("race", "champion")
    if model_registry.promote(model, {"gate.promotion": "race"}, former.version if former else None):
        break
"""


@pytest.fixture(scope="module")
def versions(trained: SimpleNamespace) -> list[str]:
    """Four versions of a registered model without files: what counts here are aliases and stages."""
    mlflow = tracking.client()
    mlflow.create_registered_model(NAME)
    made = [mlflow.create_model_version(NAME, "file:///nowhere", trained.train.mlflow_run) for _ in range(4)]
    return [str(version.version) for version in made]


def test_trainings_that_finish_at_once_leave_exactly_one_champion(versions: list[str]) -> None:
    racing = [subprocess.Popen([sys.executable, "-c", PROMOTE, version], cwd=ROOT) for version in versions[:3]]
    assert [process.wait(120) for process in racing] == [0, 0, 0]
    champion, previous = (
        model_registry.by_alias(NAME, alias) for alias in (model_registry.CHAMPION, model_registry.PREVIOUS)
    )
    assert champion is not None
    assert previous is not None
    assert champion.tags[model_registry.REPLACED] == previous.version != champion.version
    stages = [v.current_stage for v in tracking.client().search_model_versions(f"name = '{NAME}'")]
    assert stages.count("Production") == 1
    assert not tracking.client().search_registered_models(f"name = '{NAME}.lock'"), "the lock is released"


def test_a_promotion_decided_against_another_champion_changes_nothing(versions: list[str]) -> None:
    before = model_registry.by_alias(NAME, model_registry.CHAMPION)
    assert before is not None
    assert not model_registry.promote(model_registry.by_version(NAME, versions[3]), {}, expected=versions[3])
    after = model_registry.by_alias(NAME, model_registry.CHAMPION)
    assert after is not None
    assert after.version == before.version


def test_rollbacks_walk_back_and_say_why(versions: list[str]) -> None:
    bad, good = model_registry.rollback(NAME, "calls about wrong offers")
    champion = model_registry.by_alias(NAME, model_registry.CHAMPION)
    assert champion is not None
    assert champion.version == good.version != bad.version
    assert champion.tags["rollback"].endswith("calls about wrong offers")
    assert model_registry.by_version(NAME, bad.version).tags["rollback"] == champion.tags["rollback"]
    previous = model_registry.by_alias(NAME, model_registry.PREVIOUS)
    assert (previous.version if previous else None) == good.tags.get(model_registry.REPLACED)


def _make(*words: str) -> str:
    done = subprocess.run(
        ["make", "-s", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def test_the_commands_a_person_types(trained: SimpleNamespace) -> None:
    version = trained.train.champion.version
    said = _make("lineage", f"VERSION={version}")
    assert f"churn-classifier version {version}" in said
    for key in (
        "data_version",
        "git_commit",
        "git_dirty",
        "metaflow_run",
        "config_hash",
        "packages",
        "training_seconds",
    ):
        assert re.search(rf"^  {key} +\S", said, re.MULTILINE), key
    assert f"make data-pull VERSION={trained.data.data_version}" in said
    assert re.search(r"roc_auc +(\S+) +\1 +\+0\.0000", _make("compare", f"A={version}", f"B={version}"))
    assert "has no version '77'; there is: " in _make("promote", "VERSION=77")


def test_the_card_and_the_verdict_are_kept_beside_the_model(trained: SimpleNamespace, tmp_path: Path) -> None:
    mlflow = tracking.client()
    run = trained.train.mlflow_run
    record = json.loads(Path(mlflow.download_artifacts(run, "promotion.json", str(tmp_path))).read_text())
    assert record["promote"]
    assert record["version"] == trained.train.challenger.version
    card = Path(mlflow.download_artifacts(run, "model_card.md", str(tmp_path))).read_text()
    for heading in ("Intended use", "Data", "Scores on the holdout", "Groups", "Limits", "Lineage"):
        assert f"## {heading}\n" in card
    assert trained.data.data_version in card
    page = Path(mlflow.download_artifacts(run, "model_card.html", str(tmp_path))).read_text()
    assert "<table>" in page
    assert "src=" not in page


def test_the_same_data_and_config_again_is_nothing_to_train(trained: SimpleNamespace, quick_settings: str) -> None:
    done = flow(
        "train_flow", "--config", "settings", quick_settings, "run", "--data-version", trained.data.data_version
    )
    assert done.returncode == 0, done.stdout
    again = f"flows/train_flow.py --config settings tests/quick_train.toml run --data-version {trained.data.data_version} --force"
    assert "nothing to train: same data and config as version 1; to train anyway: " in done.stdout
    assert again in done.stdout


@contextmanager
def _mlflow_server(folder: Path, port: int) -> Iterator[None]:
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        *store,
    ]
    environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 90
        while not _answers(port):
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < until, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.long
def test_mlflow_down_at_the_start_and_at_the_end(trained: SimpleNamespace, quick_settings: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    text = Path(quick_settings).read_text()
    one_family = tmp_path / "train.toml"
    one_family.write_text(text[: text.index("[[model]]", text.index("[[model]]") + 1)])
    words = ("--config", "settings", str(one_family), "run", "--data-version", trained.data.data_version)

    done = flow("train_flow", *words, MLFLOW_TRACKING_URI=uri)
    assert done.returncode != 0
    assert f"MLflow does not answer at {uri}" in done.stdout
    assert "/tune/" not in done.stdout, "nothing was trained"

    log = tmp_path / "log"
    with _mlflow_server(tmp_path, port), log.open("wb") as output:
        command = [sys.executable, str(ROOT / "flows" / "train_flow.py"), *words]
        run = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "MLFLOW_TRACKING_URI": uri}, stdout=output, stderr=subprocess.STDOUT
        )
        until = time.monotonic() + 120
        while "/tune/" not in log.read_text():
            assert run.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
    assert run.wait(240) != 0
    said = log.read_text()
    assert "evaluate" in said
    assert f"MLflow does not answer at {uri}" in said

    with _mlflow_server(tmp_path, port):
        done = flow("train_flow", "resume", MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Cloning previously run task \d+/tune/", done.stdout), "the search was not done again"
    assert "Champion: version 1" in done.stdout
