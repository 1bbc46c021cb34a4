"""Everything in a real S3 server."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import s3
import yaml
from churn.data import synthetic
from churn.serving import bento_server, packaging, prediction_log
from churn.settings import dataset
from conftest import ROOT
from s3 import Server

SERVING = ROOT / "argo" / "base" / "serving.yaml"

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
    done = server.run(tmp_path, "flows/data_flow.py", "run", **environ)
    assert time.monotonic() - start < 10
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout


COMMANDS = {
    "train": ["flows/train_flow.py", "run"],
    "score": ["flows/score_flow.py", "run"],
    "monitor": ["flows/monitor_flow.py", "run"],
    "deploy": ["flows/train_flow.py", "argo-workflows", "create", "--only-json"],
    "serve": ["scripts/serve.py"],
    "rollback": ["scripts/models.py", "rollback", "--reason", "complaints"],
    "pull": ["scripts/data.py", "pull", "0" * 32],
    "fetch": ["-m", "churn.serving.bento_store"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_names_a_dead_endpoint_within_ten_seconds(server: Server, tmp_path: Path, command: str) -> None:
    environ, said = WRONG["endpoint"]
    bento = {"CHURNFLOW_BENTO": f"s3://churnflow/bentos/x.bento@sha256:{'0' * 64}", "PYTHONPATH": str(ROOT / "flows")}
    start = time.monotonic()
    done = server.run(tmp_path, *COMMANDS[command], **environ, **bento)
    assert time.monotonic() - start < 10
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(("case", "said"), [("secret", "SIGNATURE|ACCESS_DENIED"), ("endpoint", "NETWORK_CONNECTION")])
def test_the_prediction_log_says_what_is_wrong_within_ten_seconds(
    server: Server, monkeypatch: pytest.MonkeyPatch, case: str, said: str
) -> None:
    """The service must not stop for its log: it goes on, and this is what its own log says."""
    for name, value in {**server.environ, **WRONG[case][0]}.items():
        monkeypatch.setenv(name, value)
    start = time.monotonic()
    with pytest.raises(OSError, match=said):
        prediction_log.store("s3://churnflow/log", "predictions/day=2026-11-25/part-1.parquet", b"")
    assert time.monotonic() - start < 10


@pytest.fixture(scope="module")
def in_s3(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a DataFlow and a TrainFlow that kept everything in S3."""
    home = tmp_path_factory.mktemp("home")
    for flow, text in (("data", s3.DATA), ("train", s3.TRAIN)):
        settings = home / f"{flow}.toml"
        settings.write_text(text)
        done = server.run(home, f"flows/{flow}_flow.py", "--config", "settings", str(settings), "run")
        assert done.returncode == 0, done.stdout
    return home


def test_artifacts_cards_snapshots_models_and_bentos_are_in_the_bucket(server: Server, in_s3: Path) -> None:
    for prefix in ("metaflow/DataFlow/", "metaflow/TrainFlow/", "metaflow/mf.cards/", "dvc/", "mlflow/", "bentos/"):
        assert server.keys(prefix), prefix
    for left in ("metaflow/DataFlow/data", "dvc-remote", "mlartifacts"):
        assert not (in_s3 / left).exists(), left


def _champion(home: Path) -> Any:
    from mlflow import MlflowClient

    found = MlflowClient(f"sqlite:///{home}/mlflow.db", f"sqlite:///{home}/mlflow.db")
    (model,) = found.search_registered_models()
    return found.get_model_version_by_alias(model.name, "champion")


def test_what_the_manifest_fetches_is_served(
    server: Server, in_s3: Path, tmp_path: Path, telco: dataset.Dataset
) -> None:
    """The init container's command and the image's, as argo/base/serving.yaml has them, in an empty home; twice, as after
    a restart of the node. The prediction log comes to the bucket."""
    (deployment,) = (one for one in yaml.safe_load_all(SERVING.read_text()) if one["kind"] == "Deployment")
    (fetch,) = deployment["spec"]["template"]["spec"]["initContainers"]
    environ = {
        "PYTHONPATH": str(ROOT / "flows"),
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "CHURNFLOW_BENTO": _champion(in_s3).tags["bento"],
        "CHURNFLOW_PREDICTIONS": "s3://churnflow/served",
    }
    for _ in range(2):
        done = server.run(tmp_path, *fetch["command"][1:], **environ)
        assert done.returncode == 0, done.stdout
    customers = packaging.json_rows(telco, synthetic.generate(telco, 3, seed=1))
    with bento_server.served("churn_service", **{**server.environ, **environ, "PYTHONPATH": ""}) as url:
        answers = bento_server.post_json(f"{url}/predict_batch", {"rows": customers})
    assert len(answers) == 3
    assert server.keys("served/predictions/day=")


@pytest.mark.parametrize("change", ["address", "archive"])
def test_a_bento_with_another_checksum_is_refused(server: Server, in_s3: Path, tmp_path: Path, change: str) -> None:
    address = _champion(in_s3).tags["bento"]
    place, checksum = address.removeprefix("s3://churnflow/").split("@sha256:")
    if change == "address":
        checksum = checksum[::-1]
    else:
        content = bytearray(server.client().get_object(Bucket=s3.BUCKET, Key=place)["Body"].read())
        content[len(content) // 2] ^= 1
        place = "bentos/damaged.bento"
        server.client().put_object(Bucket=s3.BUCKET, Key=place, Body=bytes(content))
    environ = {"PYTHONPATH": str(ROOT / "flows"), "BENTOML_HOME": str(tmp_path / "bentoml")}
    forged = f"s3://churnflow/{place}@sha256:{checksum}"
    done = server.run(tmp_path, "-m", "churn.serving.bento_store", **environ, CHURNFLOW_BENTO=forged)
    assert done.returncode != 0
    assert "its checksum is not" in done.stdout
    assert not list(tmp_path.glob("bentoml/bentos/*"))


@contextmanager
def _interrupted(server: Server, home: Path, **environ: str) -> Iterator[Callable[[], tuple[int, str]]]:
    """A TrainFlow whose S3 server is killed once a first branch has finished; called, the end and what was said."""
    settings, log = str(home / "train.toml"), home / "interrupted.log"
    words = ("flows/train_flow.py", "--config", "settings", settings, "run", "--force")
    with log.open("w") as output:
        run = subprocess.Popen(**{**server.command(home, *words, **environ), "stdout": output})
    until = time.monotonic() + 120
    while not re.search(r"/tune/.*finished successfully", log.read_text()):
        assert run.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    server.kill()
    try:
        yield lambda: (run.wait(300), log.read_text())
    finally:
        run.kill()


@pytest.mark.long
def test_a_store_that_is_away_for_twenty_seconds_is_waited_for(server: Server, in_s3: Path) -> None:
    before = int(_champion(in_s3).version)
    with _interrupted(server, in_s3) as end:
        time.sleep(20)
        server.start()
        code, said = end()
    assert code == 0, said
    assert int(_champion(in_s3).version) >= before


@pytest.mark.long
def test_a_store_that_stays_away_is_named_and_resume_finishes_when_it_is_back(server: Server, in_s3: Path) -> None:
    soon = {"AWS_MAX_ATTEMPTS": "2", "METAFLOW_S3_RETRY_COUNT": "1", "METAFLOW_S3_TRANSIENT_RETRY_COUNT": "1"}
    with _interrupted(server, in_s3, **soon) as end:
        code, said = end()
    server.start()
    assert code != 0
    assert server.endpoint in said, said
    done = server.run(in_s3, "flows/train_flow.py", "resume")
    assert done.returncode == 0, done.stdout
    assert "Champion: version" in done.stdout


@pytest.mark.long
def test_a_customer_is_found_and_erased_in_the_bucket(server: Server, in_s3: Path) -> None:
    """Last: it changes what the others look at."""
    import unpacked

    def naming(customer: str) -> list[str]:
        client = server.client()
        return [
            key
            for key in server.keys("")
            if unpacked.stands(customer, client.get_object(Bucket=s3.BUCKET, Key=key)["Body"].read())
        ]

    customer = "C000000042"
    before = naming(customer)
    assert {key.split("/")[0] for key in before} >= {"dvc", "metaflow"}
    said = server.run(in_s3, "scripts/privacy.py", "find", customer).stdout
    assert "To do afterwards" in said, said
    done = server.run(in_s3, "scripts/privacy.py", "erase", customer)
    assert done.returncode == 0, done.stdout
    assert naming(customer) == []
    assert "To be removed: 0 bytes" in server.run(in_s3, "scripts/privacy.py", "prune").stdout
