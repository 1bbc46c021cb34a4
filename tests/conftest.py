"""One real run of both flows for the whole session, in a state folder of its own; many assertions look at its artifacts."""

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TELCO = ROOT.parent / "shared" / "data" / "telco_churn.csv"
CDNOW = TELCO.with_name("cdnow_transactions.txt")

# Before metaflow, mlflow or bentoml read their settings: nothing of a test may touch the user's own state.
_STATE = tempfile.TemporaryDirectory(prefix="churnflow-tests-")
os.environ["CHURNFLOW_HOME"] = _STATE.name
os.environ.setdefault("TMPDIR", tempfile.gettempdir())  # pytest's own folders outlive the state's
for _name in (
    "METAFLOW_DATASTORE_SYSROOT_LOCAL",
    "DVC_SITE_CACHE_DIR",
    "MLFLOW_ARTIFACTS",
    "MLFLOW_TRACKING_URI",
    "BENTOML_HOME",
    "CHURNFLOW_DVC_REMOTE",
    "CHURNFLOW_PROFILE",
    *("CHURNFLOW_CALLER", "CHURNFLOW_DEBUG", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"),  # of the make that runs the tests
):
    os.environ.pop(_name, None)

import s3  # noqa: E402
from churn.data import synthetic  # noqa: E402
from churn.settings import core, dataset, environment  # noqa: E402, F401
from on_cluster import cluster  # noqa: E402, F401
from s3 import Server, alone  # noqa: E402, F401
from workers import (  # noqa: E402, F401
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_collectstart,
    pytest_sessionfinish,
    pytest_xdist_make_scheduler,
)

TIMED = """
name = "timed"
[columns.customer]
role = "id"
[columns.at]
role = "time"
type = "timestamp"
[columns.x]
type = "number"
[columns.left]
role = "target"
values = ["0", "1"]
positive = "1"
"""
NARROW = {
    *("customerID", "SeniorCitizen", "tenure", "Contract", "MonthlyCharges", "TotalCharges", "Churn"),
    *("tenure_group", "average_monthly_spend"),
}
NARROW_SYNTHETIC = {
    "SeniorCitizen": "bernoulli(0.16)",
    "tenure": "floor(72 * beta(0.6, 0.8))",
    "Contract": "choice('Month-to-month', 2, 'One year', 1, 'Two year', 1)",
    "MonthlyCharges": "round(20 + 90 * beta(1, 1), 2)",
    "TotalCharges": "where(tenure == 0, nan, round(MonthlyCharges * tenure, 2))",
    "Churn": "bernoulli(sigmoid(0.4 * (Contract == 'Month-to-month') - 0.05 * tenure + 0.02 * (MonthlyCharges - 65)))",
}
Command = Callable[..., subprocess.CompletedProcess[str]]
Connection = tuple[str, int]  # address and port


def flow(
    name: str, *words: str, cwd: Path = ROOT, root: Path = ROOT, **environ: str
) -> subprocess.CompletedProcess[str]:
    """``python flows/NAME.py WORDS`` as a person types it, or one of scripts/; output and errors in ``stdout``."""
    folder = "flows" if name.endswith("_flow") else "scripts"
    command = [sys.executable, str(root / folder / f"{name}.py"), *words]
    return _run(command, cwd, environ)


def watched(name: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same as ``flow`` under strace, where there is one: whom its processes spoke to goes to ``CONNECTED``."""
    folder = "flows" if name.endswith("_flow") else "scripts"
    done, connected = traced([sys.executable, str(ROOT / folder / f"{name}.py"), *words], **environ)
    CONNECTED.update(connected)
    return done


def traced(command: list[str], **environ: str) -> tuple[subprocess.CompletedProcess[str], set[Connection]]:
    """The command run under strace, where there is one, and whom its processes spoke to."""
    global WATCHED
    with tempfile.NamedTemporaryFile("r") as calls:
        trace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmmsg", "-o", calls.name]
        WATCHED = WATCHED and shutil.which(trace[0]) is not None and subprocess.run([*trace, "true"]).returncode == 0
        done = _run([*trace, *command] if WATCHED else command, ROOT, environ)
        return done, {(address or address6, int(port)) for port, address, address6 in PLACE.findall(calls.read())}


def outside(connected: set[Connection]) -> set[Connection]:
    """Names looked up, and machines beyond this one."""
    return {(at, port) for at, port in connected if port == 53 or not ipaddress.ip_address(at).is_loopback}


WATCHED = True  # until a machine turns out to have no strace, or to allow none
CONNECTED: set[Connection] = set()
PLACE = re.compile(r'sin6?_port=htons\((\d+)\), (?:sin_addr=inet_addr\("([^"]+)"\)|.*?inet_pton\(AF_INET6, "([^"]+)")')


def _run(command: list[str], cwd: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="session")
def telco() -> dataset.Dataset:
    """The description of the Telco data set."""
    return core.load(dataset.Dataset, ROOT / "config" / "datasets" / "telco.toml")


@pytest.fixture(scope="session")
def narrow(telco: dataset.Dataset) -> dataset.Dataset:
    """A column and a derived feature of each kind, for tests that take their time per column."""
    described = telco.model_dump(mode="json") | {"slices": [], "synthetic": NARROW_SYNTHETIC}
    kept = {
        table: {name: one for name, one in described[table].items() if name in NARROW}
        for table in ("columns", "features")
    }
    return dataset.from_dump(described | kept)


@pytest.fixture(scope="session")
def timed() -> dataset.Dataset:
    """A data set whose rows have a moment: a customer may be in it several times."""
    return core.parse(dataset.Dataset, TIMED, "timed.toml")


@pytest.fixture(scope="session")
def telco_file() -> Path:
    """The real Telco file; the test is skipped where it is not at hand."""
    if not TELCO.is_file():
        pytest.skip(f"{TELCO.name} is not at hand")
    return TELCO


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again without a wait."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def hook() -> Iterator[SimpleNamespace]:
    """A web server at ``url`` that takes every POST; their JSON ``bodies``."""
    bodies: list[Any] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", bodies=bodies)
        server.shutdown()


@pytest.fixture(scope="session")
def customers_csv(telco: dataset.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 synthetic customers as a CSV file."""
    path = tmp_path_factory.mktemp("data") / "customers.csv"
    synthetic.generate(telco, 1500, seed=7).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with MLflow's tables, which take seconds to make; to be copied."""
    from churn.storage import mlflow_database

    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    mlflow_database.prepare(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real S3 server: the one that the environment names, else one of our own."""
    started = s3.running(tmp_path_factory.mktemp("s3"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def quick_settings() -> str:
    """A train config with the four families and a short search."""
    return str(ROOT / "tests" / "quick_train.toml")


@pytest.fixture(scope="session")
def one_family(quick_settings: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with the first family only, which so becomes the champion: no blend of its trials does."""
    path = tmp_path_factory.mktemp("settings") / "one family.toml"
    short = "[[model]]".join(Path(quick_settings).read_text().split("[[model]]")[:2])
    path.write_text(short.replace("\nblend = true", "\nblend = false"))
    return str(path)


@pytest.fixture(scope="session")
def trained(customers_csv: Path, quick_settings: str) -> Iterator[SimpleNamespace]:
    """DataFlow and TrainFlow, really run on ``customers_csv``: ``data`` and ``train`` are the runs' artifacts."""
    done = watched("data_flow", "run", "--source", str(customers_csv))
    assert done.returncode == 0, done.stdout
    done = watched("train_flow", "--config", "settings", quick_settings, "run")
    assert done.returncode == 0, done.stdout
    from metaflow import Flow, namespace

    namespace(None)
    runs = {name: Flow(name).latest_successful_run for name in ("DataFlow", "TrainFlow")}
    return SimpleNamespace(
        data_run=runs["DataFlow"],
        train_run=runs["TrainFlow"],
        data=runs["DataFlow"].data,
        train=runs["TrainFlow"].data,
    )


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A service on a data set unlike Telco (see ``other_service``)."""
    import other_service

    with other_service.served(tmp_path_factory.mktemp("other")) as service:
        yield service
