"""joblib's backend ray, on a Ray of this machine's own; CI installs it."""

import os
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from ipaddress import ip_address

import psutil
import pytest
from churn.data import synthetic
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.train import Search, TrainConfig
from churn.training import hyperparameter_search
from conftest import ROOT

pytestmark = pytest.mark.long


def _listening() -> set[str]:
    """The addresses that this process and those below it listen on."""
    this, sockets = psutil.Process(), []
    for process in [this, *this.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # one of Ray's that has ended since the list was made
            sockets += process.net_connections("tcp")
    addresses = [ip_address(socket.laddr.ip) for socket in sockets if socket.status == "LISTEN"]
    return {str(getattr(address, "ipv4_mapped", None) or address) for address in addresses}


@pytest.mark.skipif(not find_spec("ray"), reason="the extra is not installed: make install EXTRA=ray")
def test_a_local_ray_finds_what_threads_find() -> None:
    """In a process of its own, as a step is: where Ray listens is decided when it is first imported."""
    code = "from integration import test_ray; test_ray.compare()"
    path = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "flows", "."))
    environ = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def compare() -> None:
    telco = core.load(Dataset, ROOT / "config" / "datasets" / "telco.toml")
    train = synthetic.generate(telco, 600, seed=3)
    family = core.load(TrainConfig, ROOT / "tests" / "quick_train.toml").model[0]
    here = hyperparameter_search.tune(family, Search(folds=3, backend="threading"), telco, train)
    there = hyperparameter_search.tune(family, Search(folds=3, backend="ray"), telco, train, jobs=2)
    import ray

    try:
        assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
        assert _listening() == {"127.0.0.1"}, "nobody else can reach it"
    finally:
        ray.shutdown()
    assert there.trials == here.trials
