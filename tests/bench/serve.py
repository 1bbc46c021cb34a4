"""``make bench-serve``: the champion's service beside its rivals, for every model family of config/train.toml at the
largest size that its search allows. Prints, never asserts.

``python -m tests.bench.serve [--families xgboost ...] [--rounds 3] [--seconds 4]``. Each service has one worker; all of
them are up at once and are loaded in turn, so that a noisy machine is as noisy for each. The load comes from this process.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

_STATE = tempfile.TemporaryDirectory(prefix="churnflow-bench-")
os.environ |= {"MIN_ACCURACY": "0", "MIN_F1_SCORE": "0"}  # the slow end of a search space is not its best
os.environ["CHURNFLOW_HOME"] = _STATE.name  # before churn is imported: nothing of this may touch the user's own state

from tests.bench import common, load  # noqa: E402
from tests.bench.common import ROOT  # noqa: E402

CONCURRENCY, BATCH = 16, 1000
RIVALS = {"mlflow": 20.0, "fastapi": 15.0, "constant": 1.2}  # our rate over theirs, at least
FLOORS = ("uvicorn", "granian")  # servers of a constant by Starlette, without a model or a service around it
FLOOR = "tests.bench.floor:app"
GRANIAN = "granian==2.8.9"  # in an environment of its own


@dataclass
class Target:
    """A service under load: where it answers, what it is sent, and what came of each round."""

    url: str
    bodies: list[bytes]
    ready: float
    rounds: list[load.Load] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median requests a second."""
        return statistics.median(one.rate for one in self.rounds)


def family_settings() -> dict[str, str]:
    """A train.toml for each family: one trial at the slow end of its search space."""
    shipped = (ROOT / "config" / "train.toml").read_text().replace("folds = 5", "folds = 2")
    head, *families = re.split(r"^\[\[model\]\]", shipped, flags=re.MULTILINE)
    slow = {}
    for text in families:
        text = re.sub(r"iterations = \d+", "iterations = 1", text)
        text = re.sub(r"(?ms)^start = \[.*?\]$", "", text)
        text = re.sub(r"^(min_\w+) = \{ low = ([\d.]+),.*\}", r"\1 = [\2]", text, flags=re.MULTILINE)
        text = re.sub(r"^(\w+) = \{ low = .*high = ([\d.]+).*\}", r"\1 = [\2]", text, flags=re.MULTILINE)
        slow[re.findall(r'name = "(\w+)"', text)[0]] = f"{head}[[model]]{text}"
    return slow


def train(name: str, settings: str) -> Any:
    """A registered version of one family, through TrainFlow."""
    file = Path(_STATE.name, f"{name}.toml")
    file.write_text(settings)
    common.flow("train_flow", "--config", "settings", str(file), "run", "--force")
    telco = common.load(common.Dataset, common.TELCO)
    return common.model_registry.by_alias(telco.model, common.model_registry.CHALLENGER)


@contextmanager
def started(command: list[str], port: int, path: str) -> Iterator[tuple[str, float]]:
    """A server's URL, and the seconds until it answered at ``path``."""
    url, begun = f"http://127.0.0.1:{port}", time.monotonic()
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # mlflow calls uvicorn by name
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environ, stdout=output, stderr=output)
        try:
            while not common.answers(url + path):
                if process.poll() is not None or time.monotonic() - begun > 90:
                    output.seek(0)
                    sys.exit(output.read()[-3000:])
                time.sleep(0.05)
            yield url, time.monotonic() - begun
        finally:
            process.terminate()
            process.wait(30)


def targets(stack: ExitStack, model: Any) -> dict[str, Target]:
    """Ours and the rivals, started one after the other."""
    registered, log = f"models:/{model.name}/{model.version}", stack.enter_context(tempfile.TemporaryDirectory())
    begun = time.monotonic()
    ours = stack.enter_context(
        common.bento_server.served(common.packaging.build_bento(model), CHURNFLOW_PREDICTIONS=log)
    )
    ready = time.monotonic() - begun
    customers = common.get(f"{ours}/model")["examples"]
    flat = [json.dumps(customer).encode() for customer in customers]
    records = [json.dumps({"dataframe_records": [customer]}).encode() for customer in customers]
    serve = ["-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", registered, "-h", "127.0.0.1", "-p"]
    commands: dict[str, tuple[Callable[[int], list[str]], str, str, list[bytes]]] = {
        "mlflow": (lambda port: [*serve, str(port)], "/ping", "/invocations", records),
        "fastapi": (lambda port: ["-m", "tests.bench.rivals", "fastapi", registered, str(port)], "/readyz", "/predict", flat),
        "constant": (
            lambda port: ["-m", "bentoml", "serve", "tests.bench.rivals:Constant", "--host", "127.0.0.1", "--port", str(port)],
            "/readyz", "/predict", flat,
        ),
        "uvicorn": (
            lambda port: ["-m", "uvicorn", FLOOR, "--port", str(port), "--no-access-log"],
            "/readyz", "/predict", flat,
        ),
        "granian": (
            lambda port: ["-m", "uv", "tool", "run", "--with", f"starlette=={version('starlette')}", "--with", "uvloop", GRANIAN,
                          "--interface", "asgi", "--port", str(port), "--no-ws", "--loop", "uvloop", FLOOR],
            "/readyz", "/predict", flat,
        ),
    }  # fmt: skip
    found = {"ours": Target(f"{ours}/predict", flat, ready)}
    for name, (command, probe, path, bodies) in commands.items():
        port = common.free_port()
        url, ready = stack.enter_context(started(command(port), port, probe))
        found[name] = Target(url + path, bodies, ready)
    return found


def measure(name: str, model: Any, rounds: int, seconds: float) -> None:
    """Print what one family's service reaches beside its rivals."""
    common.packaging.build_bento(model)  # built here, so that the start is only a start
    with ExitStack() as stack:
        found = targets(stack, model)
        ours = found["ours"]
        for target in found.values():
            load.run(target.url, target.bodies, CONCURRENCY, 1)
        own = time.process_time()
        for _ in range(rounds):
            for target in found.values():
                target.rounds.append(load.run(target.url, target.bodies, CONCURRENCY, seconds))
        own = (time.process_time() - own) / sum(one.seconds for t in found.values() for one in t.rounds)
        assert not [error for t in found.values() for one in t.rounds for error in one.errors]
        print(f"{name}: " + ", ".join(f"{rival} {t.rate:.0f}" for rival, t in found.items()) + " requests/s")
        ratios = [f"{ours.rate / found[rival].rate:.2f}x {rival} (>= {least:g}x)" for rival, least in RIVALS.items()]
        ratios += [f"{ours.rate / found[floor].rate:.2f}x {floor}" for floor in FLOORS]
        print("  " + ", ".join(ratios))
        tails = [one.quantile(0.99) / one.quantile(0.5) for one in ours.rounds]
        p50, p99 = (1000 * statistics.median(one.quantile(q) for one in ours.rounds) for q in (0.5, 0.99))
        megabytes = common.megabytes(ours.url.removesuffix("/predict"))
        print(f"  p50 {p50:.1f} ms, p99 {p99:.1f} ms: {statistics.median(tails):.1f}x (<= 3x); "
              f"ready after {ours.ready:.1f} s (<= 6 s), worker {megabytes:.0f} MB (<= 250 MB); "
              f"the load itself took {100 * own:.0f} % of a core")  # fmt: skip
        batch(ours.url.removesuffix("/predict"), model)


def batch(url: str, model: Any) -> None:
    """Print what 1,000 rows cost: in process, part by part, and through HTTP in both forms."""
    with tempfile.TemporaryDirectory() as folder:
        scorer = common.onnx_scorer.Scorer(common.model_registry.fetch(model, folder), common.cpus.cpus())
    dataset = scorer.dataset
    by_row, by_column = bodies(dataset, BATCH)
    batches = common.columns.Batches(common.request.Reader(dataset, common.request.InputSettings(), BATCH))
    given = batches.read(by_column).values
    columns = common.features.from_lists(dataset, given)
    parts = best({
        "parse": lambda: batches.read(by_row),
        "parse columns": lambda: batches.read(by_column),
        "columns": lambda: common.features.from_lists(dataset, given),
        "model": lambda: scorer.probability(columns),
    })  # fmt: skip
    model_part = parts["columns"] + parts["model"]
    print(f"  {BATCH} rows: parsing and validation {1000 * parts['parse']:.1f} ms by row, "
          f"{1000 * parts['parse columns']:.1f} by column, model {1000 * model_part:.1f} ms "
          f"(columns {1000 * parts['columns']:.1f}): {BATCH / model_part:,.0f} rows/s (>= 100,000), "
          f"parsing {parts['parse'] / model_part:.2f}x the model (<= 3x)")  # fmt: skip
    for rows in (BATCH, 10 * BATCH):
        print("  " + forms(url, scorer, rows))


def bodies(dataset: Any, rows: int) -> tuple[bytes, bytes]:
    """The same synthetic customers as a batch by row and by column."""
    customers = common.packaging.json_rows(dataset, common.synthetic.generate(dataset, rows, seed=1))
    columns = {name: [customer[name] for customer in customers] for name in dataset.raw}
    return json.dumps({"rows": customers}).encode(), json.dumps({"columns": columns}).encode()


def forms(url: str, scorer: Any, rows: int, rounds: int = 5) -> str:
    """Rows a second of the model alone and of predict_batch in both forms, which take turns; and their shares of the model's."""
    by_row, by_column = bodies(scorer.dataset, rows)
    reader = common.request.Reader(scorer.dataset, common.request.InputSettings(), rows)
    given = common.columns.Batches(reader).read(by_column).values
    found: dict[str, list[float]] = {"the model alone": [], "by row": [], "by column": []}
    for _ in range(rounds):
        found["the model alone"].append(
            rows * how_often(lambda: scorer.probability(common.features.from_lists(scorer.dataset, given)))
        )
        for name, body in (("by row", by_row), ("by column", by_column)):
            http = load.run(f"{url}/predict_batch", [body], 1, 1)
            assert not http.errors, http.errors[0]
            found[name].append(rows * http.rate)
    rates = {name: statistics.median(each) for name, each in found.items()}
    alone, *_ = rates.values()
    shares = ", ".join(f"{name} {rate:,.0f} ({rate / alone:.2f})" for name, rate in rates.items())
    return f"predict_batch of {rows} rows by HTTP, rows/s: {shares}"


def how_often(work: Callable[[], Any], seconds: float = 1) -> float:
    """How often ``work`` is done in a second: on a busy machine as much slower than at its best as a service is."""
    begun, times = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        work()
        times += 1
    return times / passed


def best(parts: Mapping[str, Callable[[], Any]], rounds: int = 30) -> dict[str, float]:
    """The least seconds of each part; they take turns."""
    least = dict.fromkeys(parts, float("inf"))
    for _ in range(rounds):
        for name, part in parts.items():
            begun = time.perf_counter()
            part()
            least[name] = min(least[name], time.perf_counter() - begun)
    return least


def main() -> None:
    settings = family_settings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="*", choices=list(settings), default=list(settings))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    common.flow("data_flow", "run")
    models = {name: train(name, settings[name]) for name in options.families}
    for name, model in models.items():
        measure(name, model, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
