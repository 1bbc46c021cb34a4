"""Everything in a real S3 server, and what would be sent to Argo Workflows, without a cluster."""

import filecmp
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from s3 import Server

SMALL = """
[[source]]
kind = "generate"
rows = 1000
seed = 42
"""
QUICK = """
[search]
folds = 3
[[model]]
name = "logistic_regression"
estimator = "sklearn.linear_model.LogisticRegression"
iterations = 2
impute = true
scale = true
[model.search]
C = { low = 0.001, high = 10.0, log = true }
[[model]]
name = "gradient_boosting"
estimator = "sklearn.ensemble.HistGradientBoostingClassifier"
iterations = 2
[model.search]
max_iter = { low = 20, high = 40, integer = true }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An S3 server for this module."""
    started = Server(tmp_path_factory.mktemp("s3")).start()
    yield started
    started.kill()


def _run(server: Server, home: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command of the flows with nothing in its environment but what a user of the cluster profile sets."""
    kept = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home), "CHURNFLOW_HOME": str(home)}
    env = {**kept, **server.environ, **environ}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


WRONG = {
    "secret": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "refuses the keys"),
    "key": ({"AWS_ACCESS_KEY_ID": "wrong"}, "refuses the keys"),
    "bucket": ({"CHURNFLOW_BUCKET": "typo"}, "there is no bucket 'typo'"),
    "endpoint": ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "no S3 server answers at http://127.0.0.1:9"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_named_within_ten_seconds(server: Server, tmp_path: Path, case: str) -> None:
    environ, said = WRONG[case]
    start = time.monotonic()
    done = _run(server, tmp_path, "flows/data_flow.py", "run", **environ)
    assert time.monotonic() - start < 10
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout


@pytest.fixture(scope="module")
def in_s3(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a DataFlow and a TrainFlow that kept everything in S3."""
    home = tmp_path_factory.mktemp("home")
    for flow, text in (("data", SMALL), ("train", QUICK)):
        settings = home / f"{flow}.toml"
        settings.write_text(text)
        done = _run(server, home, f"flows/{flow}_flow.py", "--config", "settings", str(settings), "run")
        assert done.returncode == 0, done.stdout
    return home


def test_artifacts_cards_snapshots_models_and_bentos_are_in_the_bucket(server: Server, in_s3: Path) -> None:
    for prefix in ("metaflow/DataFlow/", "metaflow/TrainFlow/", "metaflow/mf.cards/", "dvc/", "mlflow/", "bentos/"):
        assert server.keys(prefix), prefix
    for left in ("metaflow/DataFlow/data", "dvc-remote", "mlartifacts"):
        assert not (in_s3 / left).exists(), left


def test_the_bento_of_an_empty_pod_is_the_published_one(server: Server, in_s3: Path, tmp_path: Path) -> None:
    (key,) = server.keys("bentos/")
    checksum = server.client().head_object(Bucket="churnflow", Key=key)["Metadata"]["sha256"]
    address = f"s3://churnflow/{key}@sha256:{checksum}"
    environ = {"PYTHONPATH": str(ROOT / "flows"), "BENTOML_HOME": str(tmp_path / "bentoml")}
    done = _run(server, tmp_path, "-m", "churn.bentos", **environ, CHURNFLOW_BENTO=address)
    assert done.returncode == 0, done.stdout
    assert list((tmp_path / "bentoml" / "bentos" / "churn_service").glob("v1-*/bento.yaml"))
    forged = address[:-1] + ("0" if address[-1] != "0" else "1")
    done = _run(server, tmp_path, "-m", "churn.bentos", **environ, CHURNFLOW_BENTO=forged)
    assert done.returncode != 0
    assert "checksum" in done.stdout


@pytest.fixture(scope="module")
def exported(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of every flow."""
    home = tmp_path_factory.mktemp("export")
    done = _run(server, home, "flows/export.py", "--production", "--out", str(home / "one"))
    assert done.returncode == 0, done.stdout
    return home


def test_a_second_export_is_the_first_one(server: Server, exported: Path) -> None:
    done = _run(server, exported, "flows/export.py", "--production", "--out", str(exported / "two"))
    assert done.returncode == 0, done.stdout
    names = sorted(path.name for path in (exported / "one").iterdir())
    assert filecmp.cmpfiles(exported / "one", exported / "two", names, shallow=False) == (names, [], [])


def test_what_starts_a_flow_is_exported(exported: Path) -> None:
    one = exported / "one"
    cron = yaml.safe_load((one / "data.cronworkflow.yaml").read_text())
    assert cron["spec"]["schedules"] == ["0 2 * * *"]
    assert "churn-drift" in (one / "data.sensor.yaml").read_text()
    assert "metaflow.churnflow.prod.DataFlow.end" in (one / "train.sensor.yaml").read_text()


def test_exported_pods_ask_for_what_deploy_toml_says(exported: Path) -> None:
    template = yaml.safe_load((exported / "one" / "train.workflowtemplate.yaml").read_text())
    pods = {t["name"]: t for t in template["spec"]["templates"] if "container" in t}
    assert pods["tune"]["container"]["resources"]["requests"]["memory"] == "4096.0M"
    assert pods["tune"]["retryStrategy"]["limit"] == 2
    assert pods["gate"].get("retryStrategy", {}).get("limit", 0) == 0
    assert all(pod["container"]["image"] == "churnflow/flows:0.1.0" for pod in pods.values())
    text = (exported / "one" / "train.workflowtemplate.yaml").read_text()
    assert str(ROOT) not in text
    assert str(exported) not in text
