"""A real S3 server (SeaweedFS) on loopback, that tests can kill and bring back on the same port."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUCKET = "churnflow"
DATA = """
[[source]]
kind = "synthetic"
rows = 1000
seed = 42
"""
TRAIN = """
[search]
folds = 3
cpus = 1
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
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port")


def alone(home: Path, *words: str, **environ: str) -> dict[str, Any]:
    """``python WORDS`` with the state folder ``home`` and nothing else of this session, as the arguments of
    ``subprocess.run`` or ``Popen``; output and errors in one pipe."""
    kept = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home), "CHURNFLOW_HOME": str(home)}
    return {
        "args": [sys.executable, *words],
        "cwd": ROOT,
        "env": {**kept, **environ},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
    }


class Server:
    """``environ`` is what a client needs. The data lives in ``folder``; keys are random for each server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: _free() for name in _PORTS} | {f"{name}.grpc": _free() for name in _PORTS}
        self._process: subprocess.Popen[bytes] | None = None
        access, secret = secrets.token_hex(8), secrets.token_hex(16)
        self.endpoint = f"http://127.0.0.1:{self._ports['s3.port']}"
        self.environ = {
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "CHURNFLOW_BUCKET": BUCKET,
            "CHURNFLOW_PROFILE": "cluster",
        }
        folder.mkdir(parents=True, exist_ok=True)
        keys = {"accessKey": access, "secretKey": secret}
        who = {"name": "tests", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [who]}))

    def start(self) -> "Server":
        """Start it, or bring it back; ready when this returns."""
        command = [str(Path(sys.executable).with_name("weed")), "mini", f"-dir={self._folder}", f"-bucket={BUCKET}"]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={self._folder / 's3.json'}", "-webdav=false"]
        command += ["-admin.ui=false", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{name}={port}" for name, port in self._ports.items()]
        if shutil.which("setpriv"):  # it ends with the process that started it, however that ends
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        until = time.monotonic() + 30
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            threading.Event().wait(0.2)  # not time.sleep, which a test may replace
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: clients get connection refused from now on."""
        self.stop()

    def stop(self) -> None:
        """The end of it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def run(self, home: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """``python WORDS`` with nothing in its environment but what a user of the cluster profile sets."""
        return subprocess.run(**self.command(home, *words, **environ))

    def command(self, home: Path, *words: str, **environ: str) -> dict[str, Any]:
        """The same, as the arguments of ``subprocess.run`` or ``Popen``."""
        return alone(home, *words, **{**self.environ, **environ})

    def client(self):
        """boto3's client for a test's own look into the bucket."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environ["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )

    def keys(self, prefix: str) -> list[str]:
        """All keys below a prefix of the bucket."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def _ready(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client().put_object(Bucket=BUCKET, Key="ready", Body=b"")
        except (BotoCoreError, ClientError):
            return False
        return True


class Given(Server):
    """The server at CHURNFLOW_TEST_S3 (MinIO, say) with the keys of AWS_*; it has an empty bucket BUCKET. A test that would
    kill it is skipped."""

    def __init__(self) -> None:
        self.endpoint = os.environ["CHURNFLOW_TEST_S3"]
        keys = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self.environ = {
            **keys,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "CHURNFLOW_BUCKET": BUCKET,
            "CHURNFLOW_PROFILE": "cluster",
        }

    def start(self) -> "Server":
        return self

    def stop(self) -> None:
        pass

    @property
    def pid(self) -> int:
        pytest.skip("a server that is given is not killed")

    def kill(self) -> None:
        pytest.skip("a server that is given is not killed")


def running(folder: Path) -> Server:
    """The server that the environment names, else one of our own in ``folder``."""
    return Given() if "CHURNFLOW_TEST_S3" in os.environ else Server(folder).start()


def _free() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
