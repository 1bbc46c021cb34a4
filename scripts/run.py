"""``make run``: from customers to a champion. DataFlow, TrainFlow on its data version, and a summary."""

import argparse
import os
import signal
import subprocess
import sys

import _flows  # noqa: F401 - first: it finds flows/
import base
from churn.data import sources
from churn.registry import synthetic_notice
from churn.settings import core
from churn.settings.data import DataConfig
from churn.settings.dataset import Dataset
from churn.settings.train import TrainConfig
from orchestration import launch


def here(words: list[str]) -> None:
    """Run a command in this terminal. If it fails or is interrupted, exit the same way."""
    interrupted: list[int] = []
    # Ctrl-C also reaches the flow, which then stops its steps: wait for it.
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
    """Run the command."""
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
    os.environ[f"{base.GIVEN}description"] = str(file.resolve())  # for the commands in messages
    with base.stopping():
        dataset = core.load(Dataset, file)
        configured = core.load(DataConfig, base.ROOT / "config" / "data.toml").source
        if options.settings:
            core.load(TrainConfig, options.settings)
        notice = synthetic_notice.sources(
            sources.choose(configured, options.source, dataset, "run"), dataset.name, "run"
        )
    if notice:
        print(notice, flush=True)
    import summary

    data, train = launch.both(here, str(file), options.source, options.settings)
    print("", *summary.lines(data, train), *filter(None, [notice]), sep="\n")


if __name__ == "__main__":
    main()
