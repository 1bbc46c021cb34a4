"""What the service's load tests share: the champion's Bento, its example customers, and a look at its workers."""

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flows"))

from churn.data import features, snapshots, synthetic  # noqa: E402, F401
from churn.registry import model_registry  # noqa: E402, F401
from churn.serving import batch_scoring, bento_server, packaging, release, request  # noqa: E402, F401
from churn.serving.batches import columns  # noqa: E402, F401
from churn.settings import cpus, environment  # noqa: E402, F401
from churn.settings.core import load  # noqa: E402
from churn.settings.dataset import Dataset  # noqa: E402
from churn.storage import keyed_ids  # noqa: E402, F401
from churn.training import onnx_scorer  # noqa: E402, F401

TELCO = ROOT / "config" / "datasets" / "telco.toml"


def champion_tag() -> str:
    """The champion's Bento, built if it is not there yet."""
    return packaging.build_bento(release.champion(load(Dataset, TELCO)))


def flow(name: str, *words: str) -> None:
    """Run a flow; its output ends this process if it fails."""
    command = [sys.executable, str(ROOT / "flows" / f"{name}.py"), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a GET is answered 200."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def get(url: str) -> Any:
    """The JSON answer to a GET."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def workers(url: str) -> list[Any]:
    """The processes (psutil) that hold a connection of the server at ``url``: BentoML's workers, without their parent."""
    import psutil

    port = int(url.rsplit(":", 1)[1])
    parents = [
        p
        for p in psutil.process_iter(["cmdline"])
        if (p.info["cmdline"] or [])[1:4] == ["-m", "bentoml", "serve"] and str(port) in p.info["cmdline"]
    ]
    return [
        c
        for parent in parents
        for c in parent.children(recursive=True)
        if "_bentoml_impl.worker.service" in c.cmdline()
    ]


def megabytes(url: str) -> float:
    """Resident memory of the largest worker."""
    return max(worker.memory_info().rss for worker in workers(url)) / 1e6
