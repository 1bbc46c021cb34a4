"""The prediction log where it really goes: S3 from several workers, S3 that dies and returns, a disk that is full."""

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import s3
from churn.serving import bento_server, client, prediction_log
from churn.settings.dataset import Dataset
from conftest import ROOT

from tests.bench import common

pytestmark = pytest.mark.long

AGES = (datetime.now(UTC) - timedelta(days=2), datetime.now(UTC) + timedelta(days=2))


def settings(folder: Path, **changed: float) -> str:
    """config/serve.toml with other values of these keys, as a file in ``folder``."""
    lines = (ROOT / "config" / "serve.toml").read_text().splitlines()
    lines = [f"{key} = {changed[key]}" if (key := line.partition(" = ")[0]) in changed else line for line in lines]
    (folder / "serve.toml").write_text("\n".join(lines))
    return str(folder / "serve.toml")


def until(done: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def total(url: str, name: str) -> float:
    lines = urllib.request.urlopen(f"{url}/metrics").read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def ask(url: str, times: int) -> set[str]:
    """Predict over 8 connections: the prediction ids answered."""
    customer = common.get(f"{url}/model")["examples"][0]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: client.ask(f"{url}/predict", customer), range(times))
        return {answer["prediction_id"] for answer in answers}


def test_several_workers_log_to_s3_which_dies_and_returns(
    trained: SimpleNamespace, telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = s3.Server(tmp_path / "s3").start()
    try:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(name, server.environ[name])
        at = f"s3://{s3.BUCKET}/log"
        file = settings(tmp_path, workers=2, part_seconds=0.3)

        def logged() -> set[str]:
            return set(prediction_log.read(telco, *AGES, at).prediction_id)

        with bento_server.served(trained.train.bento, CHURNFLOW_PREDICTIONS=at, CHURNFLOW_SERVE_CONFIG=file) as url:
            assert len(common.workers(url)) == 2
            asked = ask(url, 300)
            until(lambda: logged() == asked)
            server.kill()
            asked |= ask(url, 50)  # answered all the same
            until(lambda: total(url, "prediction_log_queue_rows") == 50)
            server.start()
            until(lambda: total(url, "prediction_log_queue_rows") == 0, 60)
            assert total(url, 'predictions_total{decision="') == len(asked) == 350
            assert total(url, 'service_requests_total{endpoint="/predict",status="200"}') == 350
            assert total(url, "prediction_probability_count{") == 350
            assert total(url, "service_model_info") == 1
            assert total(url, "prediction_log_dropped_total") == 0
        assert logged() == asked
    finally:
        server.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_fails_no_prediction_and_what_is_dropped_is_counted(
    trained: SimpleNamespace, telco: Dataset, tmp_path: Path, small_disk: Path
) -> None:
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(2**21))
    file, log = settings(tmp_path, part_seconds=0.2, queue_rows=5), str(small_disk / "log")
    with bento_server.served(trained.train.bento, CHURNFLOW_PREDICTIONS=log, CHURNFLOW_SERVE_CONFIG=file) as url:
        asked = ask(url, 20)
        assert total(url, 'prediction_log_dropped_total{kind="predictions"}') == 15
        filler.unlink()
        until(lambda: total(url, 'prediction_log_queue_rows{kind="predictions"') == 0)
    found = set(prediction_log.read(telco, *AGES, log).prediction_id)
    assert len(found) == 5
    assert found <= asked
    assert [path.name for path in Path(log).rglob("*") if path.is_file() and path.suffix != ".parquet"] == []
