"""Packaging the champion as a Bento, and proving that the Bento answers as the model did."""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from churn import registry, scoring
from churn.dataset import Dataset
from churn.environment import FLOWS, ROOT
from churn.errors import ChurnError

if TYPE_CHECKING:
    import pandas as pd

MODEL, SERVICE = "churn_model", "churn_service"
MODEL_TAG = "model.txt"  # in the Bento, beside service.py: which model it serves
REQUIREMENTS = ("bentoml", "httptools", "numpy", "onnxruntime", "prometheus-client", "pydantic", "uvloop")


def package(champion: registry.Registered) -> str:
    """Build the Bento of a registered model; its tag. One that exists already is kept: a version's files never change."""
    import bentoml

    tag = f"{SERVICE}:v{champion.version}-{champion.run[:8]}"
    if _stored(bentoml.get, tag):
        return tag
    with tempfile.TemporaryDirectory() as folder:
        model_tag = _store_model(champion, Path(folder))
        context = _context(Path(folder, "context"), model_tag)
        built = bentoml.build(
            "service:ChurnService",
            version=tag.split(":")[1],
            build_ctx=str(context),
            include=["*.py", "churn/*.py", MODEL_TAG],
            labels={"model_version": champion.version, "data_version": champion.tags["data_version"]},
            models=[model_tag],
            python={
                "packages": [f"{package}=={version(package)}" for package in REQUIREMENTS],
                "lock_packages": False,
            },
        )
    return str(built.tag)


def _store_model(champion: registry.Registered, folder: Path) -> str:
    """The scorer's files in BentoML's model store, with the registry version written into the manifest."""
    import bentoml

    files = registry.fetch(champion, folder)
    manifest = json.loads((files / scoring.MANIFEST).read_text(encoding="utf-8"))
    manifest["model_version"] = champion.version
    tag = f"{MODEL}:v{champion.version}-{champion.run[:8]}"
    if _stored(bentoml.models.get, tag):
        return tag
    with bentoml.models.create(tag, labels={"model_version": champion.version}) as model:
        shutil.copy(files / scoring.MODEL, model.path_of(scoring.MODEL))
        Path(model.path_of(scoring.MANIFEST)).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return tag


def _stored(get: Callable[[str], Any], tag: str) -> bool:
    import bentoml

    try:
        get(tag)
    except bentoml.exceptions.NotFound:
        return False
    return True


def _context(folder: Path, model_tag: str) -> Path:
    shutil.copytree(ROOT / "bento", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(FLOWS / "churn", folder / "churn", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / MODEL_TAG).write_text(model_tag, encoding="utf-8")
    return folder


@contextmanager
def served(tag: str, seconds: float = 60) -> Iterator[str]:
    """A real ``bentoml serve`` of the Bento on a free loopback port: its URL once it is ready. Stopped at the end.

    Raises ChurnError with the server's own output if it is not ready within ``seconds``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + seconds
            while not _ready(url):
                if process.poll() is not None or time.monotonic() > until:
                    output.seek(0)
                    said = output.read().decode(errors="replace")[-2000:]
                    raise ChurnError(f"{tag}: the service did not start; its output ends:\n{said}")
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def post(url: str, body: Any) -> Any:
    """The JSON answer to a JSON body."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def prove(tag: str, dataset: Dataset, table: "pd.DataFrame", expected: np.ndarray) -> float:
    """Serve the Bento, ask for the table's rows, and compare with ``expected``: the largest difference.

    Raises ChurnError above ``scoring.PARITY``.
    """
    rows = json_rows(dataset, table)
    with served(tag) as url:
        answers = post(f"{url}/predict_batch", {"rows": rows})
        single = post(f"{url}/predict", rows[0])
    found = np.array([answer["probability"] for answer in answers])
    worst = float(max(np.abs(found - expected).max(), abs(single["probability"] - expected[0])))
    if worst > scoring.PARITY:
        raise ChurnError(f"{tag}: answers differ from the model's by {worst:.1e} (allowed: {scoring.PARITY:.0e})")
    return worst


def json_rows(dataset: Dataset, table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The table's rows as the service takes them: None for missing, integers without a point."""
    rows = json.loads(table[list(dataset.raw)].to_json(orient="records", double_precision=15))
    whole = [name for name, column in dataset.raw.items() if column.type == "integer"]
    for row in rows:
        row.update({name: int(row[name]) for name in whole if row[name] is not None})
    return rows
