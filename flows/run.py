"""``make run``: from customers to a champion. DataFlow, TrainFlow on the data version that it made, and what there is now."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import base
import deploying
import launch
import runs
from churn.data import sources
from churn.registry import made_up
from churn.settings import core
from churn.settings.data import DataConfig
from churn.settings.dataset import Dataset
from churn.settings.train import TrainConfig


def both(start: Callable[[list[str]], None], description: str = "", source: str = "", settings: str = "") -> list[str]:
    """Run DataFlow, TrainFlow on its version and, where that data set is served, DeployFlow; the ids of the first two runs.

    What other runs do meanwhile makes no difference. ``start`` runs a command and raises if it fails.
    Empty are the usual ``description`` of the data set, the ``source`` of
    config/data.toml and the ``settings`` of config/train.toml.
    """
    with tempfile.TemporaryDirectory() as folder:
        known = {name: Path(folder, name) for name in ("data", "train")}
        described = ["--config", "description", description] if description else []
        start(_flow("data", described, ["--source", source] if source else [], known["data"]))
        version = runs.one("DataFlow", known["data"].read_text()).data.data_version
        trained = ["--config", "settings", settings] if settings else []
        start(_flow("train", trained, ["--data-version", version], known["train"]))
        deploying.champion(core.load(Dataset, base.dataset_file(description or "telco")), start)
        return [path.read_text() for path in known.values()]


def _flow(name: str, given: list[str], parameters: list[str], number: Path) -> list[str]:
    script = str(Path(__file__).with_name(f"{name}_flow.py"))
    return [sys.executable, script, *given, "run", *parameters, "--run-id-file", str(number)]


def here(words: list[str]) -> None:
    """Run a command in this terminal. If it fails or is interrupted, this one ends as it did."""
    interrupted: list[int] = []
    # Ctrl-C reaches the flow as well, which then winds up its steps: wait for it.
    usual = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    child = subprocess.Popen(words, env={**os.environ, launch.PART: "1"})
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    code = child.wait()
    signal.signal(signal.SIGINT, usual)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if interrupted or code < 0:
        sys.exit(128 + (interrupted[0] if interrupted else -code))
    if code:
        sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--dataset", default="telco", help="a data set of config/datasets, or a file that describes one"
    )
    parser.add_argument(
        "--source", default="", help="file or folder to read instead of the sources in config/data.toml"
    )
    parser.add_argument("--settings", default="", help="file to train by instead of config/train.toml")
    options = parser.parse_args()
    file = base.dataset_file(options.dataset)
    os.environ[f"{base.GIVEN}description"] = str(file.resolve())  # for the commands that are named on the way
    with base.stopping():
        dataset = core.load(Dataset, file)
        configured = core.load(DataConfig, base.ROOT / "config" / "data.toml").source
        if options.settings:
            core.load(TrainConfig, options.settings)
        notice = made_up.sources(sources.choose(configured, options.source, dataset, "run"), dataset.name, "run")
    if notice:
        print(notice, flush=True)
    import summary

    data, train = both(here, str(file), options.source, options.settings)
    print("", *summary.lines(data, train), *filter(None, [notice]), sep="\n")


if __name__ == "__main__":
    main()
