"""A run on events that is killed, or whose disk is full, leaves nothing half-written and says what to do."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from churn.data.events import engine, on_duckdb, staging, synthetic
from churn.errors import ChurnError
from churn.settings import core
from churn.settings.dataset import Dataset
from conftest import ROOT

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    for name, table in synthetic.generate(300, 1).tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture
def dataset() -> Dataset:
    return core.load(Dataset, ROOT / "config" / "datasets" / "shop.toml")


def test_too_little_memory_is_said_with_the_way_out(
    shop: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(on_duckdb.MEMORY, "1MB")
    with pytest.raises(ChurnError, match=rf"raise {on_duckdb.MEMORY} \(now 1MB\), or free space on the disk of TMPDIR"):
        engine.customers(dataset, staging.given(dataset, str(shop)))


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("mount") is None, reason="needs a small disk of its own")
def test_a_full_disk_stops_the_run_and_leaves_nothing(
    shop: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        monkeypatch.setattr(engine.tempfile, "tempdir", str(tmp_path))
        with pytest.raises(ChurnError, match="TMPDIR"):
            engine.customers(dataset, staging.given(dataset, str(shop)))
        assert not list(tmp_path.iterdir())
    finally:
        monkeypatch.undo()
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.slow
def test_a_killed_run_leaves_no_data_version_and_the_next_one_is_whole(shop: Path, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "flows/data_flow.py",
        "--config",
        "description",
        "config/datasets/shop.toml",
        "run",
        "--source",
        str(shop),
    ]
    environ = {
        **os.environ,
        "CHURNFLOW_HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path),
        "METAFLOW_USER": "tests",
    }
    for name in ("METAFLOW_DATASTORE_SYSROOT_LOCAL", "BENTOML_HOME", "DVC_SITE_CACHE_DIR"):
        environ.pop(name, None)
    child = subprocess.Popen(
        words,
        cwd=ROOT,
        env=environ,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    said = next(line for line in child.stdout if "/ingest/" in line and "starting" in line)
    time.sleep(1.0)  # while DuckDB works
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not list((tmp_path / "home" / "dvc-remote").rglob("*.dir")), said
    whole = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "Data version" in whole.stdout
