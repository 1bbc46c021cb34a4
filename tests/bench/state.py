"""What daily runs leave behind, and that pruning keeps it under a bound: ``make bench-state DAYS=20 ROWS=1000000``.

Each day other customers go through DataFlow and ScoreFlow, every TRAIN days TrainFlow trains one family, and ``make prune``
with KEEP follows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_STATE = tempfile.TemporaryDirectory(prefix="churnflow-bench-")
os.environ |= {"MIN_ACCURACY": "0", "MIN_F1_SCORE": "0"}
os.environ["CHURNFLOW_HOME"] = _STATE.name  # before churn is imported: nothing of this may touch the user's own state

from tests.bench import common  # noqa: E402
from tests.bench.common import ROOT  # noqa: E402

SLACK = 1.3  # a day's rows are not packed as tightly as another's


def size() -> int:
    """Bytes below the state folder."""
    return sum(file.stat().st_size for file in Path(_STATE.name).rglob("*") if file.is_file())


def day(number: int, rows: int, folder: Path, trained: bool) -> None:
    """One day's flows on customers of its own."""
    source, settings = folder / "customers.parquet", folder / "train.toml"
    dataset = common.load(common.Dataset, common.TELCO)
    common.synthetic.generate(dataset, rows, seed=number).to_parquet(source)
    settings.write_text("[[model]]".join((ROOT / "tests" / "quick_train.toml").read_text().split("[[model]]")[:2]))
    common.flow("data_flow", "run", "--source", str(source))
    if trained:
        common.flow("train_flow", "--config", "settings", str(settings), "run")
    common.flow("score_flow", "run", "--source", str(source))


def prune(keep: int) -> None:
    """``make prune KEEP=... CONFIRM=1``."""
    words = [sys.executable, str(ROOT / "scripts" / "privacy.py"), "prune", "--keep", str(keep), "--confirm"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--keep", type=int, default=2)
    parser.add_argument("--train", type=int, default=1, help="days from one training to the next")
    options = parser.parse_args()
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.days):
            day(number, options.rows, Path(folder), trained=number % options.train == 0)
            before = size()
            prune(options.keep)
            sizes.append(size())
            print(
                f"day {number + 1:>2}: {before / 1e6:8.1f} MB, {sizes[-1] / 1e6:8.1f} MB after make prune KEEP={options.keep}"
            )
    each, grown = sizes[0], _growing()
    bound = SLACK * ((options.keep + 2) * each + grown)  # the newest, the champion's and its predecessor's
    print(f"bound: {SLACK} x ({options.keep} + 2 days of {each / 1e6:.1f} MB, {grown / 1e6:.1f} MB of models and log)")
    print(f"{sizes[-1] / 1e6:.1f} MB of {bound / 1e6:.1f} MB")
    sys.exit(f"above the bound: {sizes[-1] / 1e6:.1f} MB" if sizes[-1] > bound else 0)


def _growing() -> int:
    """Bytes of what is not counted by KEEP."""
    places = [Path(_STATE.name, name) for name in ("mlartifacts", "log", "mlflow.db")]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    main()
