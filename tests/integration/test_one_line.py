"""What a person gets when something outside is wrong: one line with the name, the place and the way out, and with --debug the
traceback as well."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT, flow

from tests.bench import common


def said(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """The lines, without Metaflow's first one, its headline, and make's last."""
    assert done.returncode != 0, done.stdout
    frame = r"Metaflow 2|Churnflow stopped:|make: \*\*\*|Project: |$"
    return [line for line in map(str.strip, done.stdout.splitlines()) if not re.match(frame, line)]


def make(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = ["make", "-s", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, **pipes)


def test_a_data_set_that_is_not_there() -> None:
    line = (
        "config/datasets/nope.toml: no such data set; there are: cdnow, shop, telco. Describe a new one with: make dataset "
        "SOURCE=FILE NAME=nope"
    )
    for words in (["run"], ["score"], ["monitor"], ["serve"], ["lineage", "VERSION=1"]):
        assert said(make(*words, "DATASET=nope")) == [line]


def test_debug_shows_the_traceback_of_the_cause_too() -> None:
    missing = ("--config", "settings", "nowhere.toml", "run")
    shown = [
        flow("data_flow", *missing, "--debug").stdout,
        flow("models", "--dataset", "nope", "lineage", "1", "--debug").stdout,
        make("serve", "DATASET=nope", "DEBUG=1").stdout,
    ]
    for text in shown:
        assert text.count("Traceback (most recent call last):") == 2
        assert "FileNotFoundError" in text
        assert "churn.errors.ChurnError" in text
    assert len(said(flow("data_flow", *missing))) == 1


def test_debug_reaches_the_steps(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    words = ("data_flow", "run", "--source", str(tmp_path / "empty.csv"))
    assert "Traceback" not in flow(*words).stdout
    assert "churn.errors.ChurnError" in flow(*words, CHURNFLOW_DEBUG="1").stdout


def test_a_config_file_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "data.toml"
    file.write_text("# \u00e4\n", encoding="latin-1")
    assert said(flow("data_flow", "--config", "settings", str(file), "run")) == [
        f"{file}: not UTF-8 (byte 3); save it as UTF-8"
    ]
    assert said(flow("data_flow", "--config", "settings", str(tmp_path), "run")) == [
        f"{tmp_path}: cannot be read: Is a directory"
    ]


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for target, again in (("serve", "serve DATASET=telco"), ("mlflow", "mlflow")):
            assert said(make(target, f"PORT={port}")) == [
                f"port {port} is taken by process {os.getpid()} (python); stop it, or use another port: "
                f"make {again} PORT={port + 1}"
            ]


def test_a_state_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / "file"
    assert said(flow("data_flow", "run", CHURNFLOW_HOME=str(home)))[-1] == (
        f"CHURNFLOW_HOME={home}: cannot be written to (File exists); make it a folder that you can write to, or name "
        "another one"
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)]).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_under_metaflow(small_disk: Path, customers_csv: Path) -> None:
    assert "only 0 MB are free on its disk, and a run needs 64 or more" in said(
        flow("data_flow", "run", CHURNFLOW_HOME=str(small_disk))
    )[-1]  # fmt: skip
    environ = {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(small_disk)}
    done = flow("data_flow", "run", "--source", str(customers_csv), **environ)
    assert (
        "No space left on device; free space there, or on the disk of TMPDIR and CHURNFLOW_HOME (df -h)"
        in said(done)[-1]
    )
    assert "Traceback" not in done.stdout
    assert "Traceback" in flow("data_flow", "run", "--source", str(customers_csv), "--debug", **environ).stdout


def test_the_champions_files_are_gone(trained: SimpleNamespace) -> None:
    (kept,) = Path(os.environ["CHURNFLOW_HOME"], "mlartifacts").glob(
        f"*/{trained.train.challenger.run}/artifacts/scorer"
    )
    aside = kept.with_name("aside")
    kept.rename(aside)
    version = trained.train.challenger.version
    try:
        (line,) = said(make("compare", f"A={version}", f"B={version}"))
    finally:
        aside.rename(kept)
    assert line.startswith(f"churn-classifier version {version}: its files are gone from MLflow's artifact store (run ")


def test_what_is_damaged_in_bentomls_store_is_built_again(trained: SimpleNamespace, tmp_path: Path) -> None:
    name, version = trained.train.bento.split(":")
    home = tmp_path / "bentoml"
    shutil.copytree(os.environ["BENTOML_HOME"], home)
    bento = home / "bentos" / name / version
    (tag,) = (one["tag"] for one in yaml.safe_load((bento / "bento.yaml").read_text())["models"])
    model = home / "models" / Path(*tag.split(":"))
    os.truncate(model / "model.onnx", 300)
    (bento / "bento.yaml").unlink()
    built = flow("serve", "--build", BENTOML_HOME=str(home)).stdout.splitlines()
    assert built == [
        f"churn_model:{model.name} is damaged in BentoML's store (its files have changed); it is built again",
        f"{trained.train.bento} is damaged in BentoML's store (Failed to load bento because it does not contain a 'bento.yaml'); "
        "it is built again",
        trained.train.bento,
    ]
    (bento / "src" / "bento" / "app.py").write_text("# nothing\n")
    assert "its files have changed" in flow("serve", "--build", BENTOML_HOME=str(home)).stdout
    assert flow("serve", "--build", BENTOML_HOME=str(home)).stdout.split() == [trained.train.bento]


@pytest.mark.long
def test_make_serve_listens_on_this_machine_alone_unless_told(trained: SimpleNamespace, tmp_path: Path) -> None:
    import psutil

    for words, address, warned in (((), "127.0.0.1", False), (("--host", "0.0.0.0"), "0.0.0.0", True)):
        port = common.free_port()
        command = [sys.executable, "scripts/serve.py", "--port", str(port), *words]
        environ = {**os.environ, "CHURNFLOW_PREDICTIONS": str(tmp_path), "HOST": "0.0.0.0"}
        with (tmp_path / "said").open("w") as out:
            server = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=out)
        try:
            end = time.monotonic() + 60
            while not common.answers(f"http://127.0.0.1:{port}/readyz"):
                assert time.monotonic() < end, (tmp_path / "said").read_text()
                time.sleep(0.1)
            found = {c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN"}
        finally:
            server.terminate()
            server.wait(30)
        assert found == {address}
        assert ("it requires no key; set CHURNFLOW_API_KEYS" in (tmp_path / "said").read_text()) == warned
