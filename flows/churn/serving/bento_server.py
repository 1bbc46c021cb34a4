"""Serve a packaged Bento temporarily, and compare it with the model that it was built from."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from churn.errors import ChurnError
from churn.serving import packaging
from churn.settings.dataset import Dataset
from churn.training import onnx_scorer

if TYPE_CHECKING:
    import pandas as pd

TRIES = 3  # to start a server while others start


@contextmanager
def served(tag: str, seconds: float = 60, **environ: str) -> Iterator[str]:
    """Run ``bentoml serve`` for the Bento on a free loopback port. Yields its URL once it is ready.

    ``environ`` is added to this process's environment. Raises ChurnError with the server's output if it is not ready within
    ``seconds``.
    """
    with tempfile.TemporaryFile() as output:
        process, url = _start(tag, seconds, environ, output)
        try:
            yield url
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()  # not kill, which its workers would survive
    process.wait(30)


def _start(
    tag: str, seconds: float, environ: dict[str, str], output: IO[bytes]
) -> "tuple[subprocess.Popen[bytes], str]":
    for left in reversed(range(TRIES)):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environ})
        until = time.monotonic() + seconds
        ready = False
        try:
            while not ready and process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
                ready = _ready(url)
        finally:
            if not ready:
                _stop(process)
        if ready:
            return process, url
        output.seek(0)
        output_end = output.read().decode(errors="replace")[-2000:]
        # BentoML picks free ports itself, which another starting server may take first.
        if "Address already in use" not in output_end or not left:
            break
        output.truncate(0)
    raise ChurnError(f"{tag}: the service did not start; its output ends:\n{output_end}")


def _ready(url: str) -> bool:
    """Whether the service is ready. Raises ChurnError with the reason if it reports that it never will be."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # nosec B310 - loopback
            return True
    except urllib.error.HTTPError as error:
        raise ChurnError(f"the service is not ready: {json.load(error)['error']}") from error
    except (urllib.error.URLError, OSError):
        return False


def post_json(url: str, body: Any) -> Any:
    """Post a JSON body; returns the JSON answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:  # nosec B310 - loopback
        return json.load(answer)


def prove(tag: str, dataset: Dataset, table: "pd.DataFrame", expected: np.ndarray) -> float:
    """Serve the Bento, predict the table's rows, and return the largest difference from ``expected``.

    Raises ChurnError above ``scoring.PARITY``.
    """
    with (
        tempfile.TemporaryDirectory() as log,  # these requests are not customers
        served(tag, CHURNFLOW_PREDICTIONS=log, CHURNFLOW_API_KEYS="") as url,  # the flows may hold the callers' keys
    ):
        worst = differ(url, packaging.json_rows(dataset, table), expected)
    if worst > onnx_scorer.PARITY:
        raise ChurnError(f"{tag}: answers differ from the model's by {worst:.1e} (allowed: {onnx_scorer.PARITY:.0e})")
    return worst


def differ(url: str, rows: list[dict[str, Any]], expected: np.ndarray) -> float:
    """The largest difference of the service's probabilities from ``expected``, both in one batch and one by one."""
    answers = post_json(f"{url}/predict_batch", {"rows": rows})
    single = post_json(f"{url}/predict", rows[0])
    probabilities = np.array([answer["probability"] for answer in answers])
    return float(max(np.abs(probabilities - expected).max(), abs(single["probability"] - expected[0])))
