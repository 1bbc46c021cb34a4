"""``make bench-score``: ScoreFlow on a CSV file beside its floor, one process that scores and sorts the same customers by hand.
Prints, never asserts. ``python tests/bench/score.py [--rows 1000000] [--rounds 1]``

The floor (``tests/bench/score_floor.py``) reads the file, scores it with the same model, sorts it and writes a list; it makes no
checks, gives no reasons, logs nothing, and has no steps to resume at.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from data import ROOT, timed

MOST = 500_000  # rows generated at once
GENERATE = """
import sys
sys.path.insert(0, "flows")
from churn.data import synthetic
from churn.settings import core
from churn.settings.dataset import Dataset
from pyarrow import Table, csv, string
telco = core.load(Dataset, "config/datasets/telco.toml")
rows, target, most, writer = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), None
for start in range(0, rows, most):
    part = synthetic.generate(telco, min(most, rows - start), seed=start).drop(columns=telco.target)
    part[telco.id] = [f"C{number:09d}" for number in range(start, start + len(part))]
    table = Table.from_pandas(part, preserve_index=False).replace_schema_metadata(None)
    writer = writer or csv.CSVWriter(target, table.schema)
    writer.write_table(table)
writer.close()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    flow, floor = [], []
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "CHURNFLOW_HOME": f"{folder}/state"}
        _champion(environ, Path(folder))
        source = f"{folder}/customers.csv"
        timed(environ, "-c", GENERATE, str(options.rows), source, str(MOST))
        for number in range(options.rounds):
            floor.append(timed(environ, "tests/bench/score_floor.py", source, folder))
            flow.append(timed(environ, "flows/score_flow.py", "run", "--source", source))
            said = [f"{name} {seconds:.1f} s, {megabytes:.0f} MB" for name, (seconds, megabytes) in
                    (("ScoreFlow", flow[-1]), ("floor", floor[-1]))]  # fmt: skip
            print(f"round {number + 1}: {'; '.join(said)}", flush=True)
    ours, least = (statistics.median(seconds for seconds, _ in found) for found in (flow, floor))
    most, bare = (max(megabytes for _, megabytes in found) for found in (flow, floor))
    speed = f"{options.rows / ours:,.0f} a second"
    print(f"{options.rows:,} customers, medians: ScoreFlow {ours:.1f} s ({speed}), floor {least:.1f} s, "
          f"ratio {ours / least:.2f}; largest process {most:.0f} MB, floor {bare:.0f} MB")  # fmt: skip


def _champion(environ: dict[str, str], folder: Path) -> None:
    """A model to score with, of one family."""
    settings = folder / "train.toml"
    settings.write_text("[[model]]".join((ROOT / "tests" / "quick_train.toml").read_text().split("[[model]]")[:2]))
    timed(environ, "flows/data_flow.py", "run")
    timed(environ, "flows/train_flow.py", "--config", "settings", str(settings), "run")


if __name__ == "__main__":
    main()
