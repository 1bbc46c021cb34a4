"""What is written is for its user alone, temporary files too, and all of it lies below the state's folder."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from churn.settings import environment
from churn.storage import s3
from conftest import ROOT

PROBE = """
import json, os, sys, tempfile
sys.path.insert(0, sys.argv[1])
import churn.settings.environment
from metaflow import metaflow_config
from metaflow.client.filecache import FileCache
folder = tempfile.mkdtemp()
open(f"{folder}/customers", "w").close()
print(json.dumps({"tmp": folder, "s3": metaflow_config.TEMPDIR, "client": FileCache()._cache_dir,
                  "mode": os.stat(f"{folder}/customers").st_mode & 0o777}))
"""


def probe(**environ: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "TMPDIR"))}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(ROOT / "flows")], env={**kept, **environ}, capture_output=True, check=True
    )
    return json.loads(done.stdout)


def test_temporary_files_and_metaflows_client_cache_lie_below_the_state(tmp_path: Path) -> None:
    home = tmp_path / "state"
    found = probe(CHURNFLOW_HOME=str(home))
    assert {name: Path(found[name]).is_relative_to(home) for name in ("tmp", "s3", "client")} == {
        "tmp": True,
        "s3": True,
        "client": True,
    }
    assert found["mode"] == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    found = probe(CHURNFLOW_HOME=str(tmp_path / "state"), TMPDIR=str(tmp_path), METAFLOW_CLIENT_CACHE_PATH="/elsewhere")
    assert Path(found["tmp"]).parent == tmp_path
    assert found["client"] == "/elsewhere"


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    """Of an empty CHURNFLOW_HOME the working directory was made, which `make erase` then searched and rewrote."""
    found = probe(CHURNFLOW_HOME=str(tmp_path / "state"), TMPDIR="", METAFLOW_CLIENT_CACHE_PATH="", METAFLOW_TEMPDIR="")
    assert [Path(found[name]).is_relative_to(tmp_path / "state") for name in ("tmp", "s3", "client")] == [True] * 3
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from churn.settings import environment; print(environment.STATE)"
    )
    environ = {**os.environ, "CHURNFLOW_HOME": "", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "flows")], env=environ, cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == str(ROOT / ".churnflow")


def test_what_killed_processes_left_behind_is_swept_a_day_later(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "train.parquet").touch()
    (tmp_path / "file").touch()
    for left in (old, tmp_path / "file"):
        os.utime(left, (time.time() - 2 * s3.DAY,) * 2)
    s3.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_make_clean_removes_the_state_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "a state"
    (home / "tmp").mkdir(parents=True)
    words = ["make", "-s", "-C", str(ROOT), "clean"]
    environ = {**os.environ, "CHURNFLOW_HOME": str(home)}
    kept = subprocess.run(words, env=environ, input="n\n", capture_output=True, text=True, check=True)
    assert kept.stdout.strip() == "kept"
    assert home.is_dir()
    subprocess.run(words, env=environ, input="y\n", capture_output=True, text=True, check=True)
    assert list(tmp_path.iterdir()) == []


def test_the_telemetry_of_libraries_is_off_in_flows_and_images() -> None:
    assert environment.TELEMETRY_OFF.items() <= environment.DEFAULTS.items()
    assert environment.TELEMETRY_OFF["ORT_DISABLE_TELEMETRY"] == "1"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1", "in the tests"
    assert "ORT_DISABLE_TELEMETRY=1" in (ROOT / "Dockerfile").read_text().partition("AS base")[2]
