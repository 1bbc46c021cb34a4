"""What ``make bench-drift`` runs in a process of its own: ``make``, ``scipy`` or ``monitor``, in a folder with two files."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flows"))

from churn.data import synthetic, tables  # noqa: E402
from churn.settings import core  # noqa: E402
from churn.settings.dataset import Dataset  # noqa: E402

TELCO = ROOT / "config" / "datasets" / "telco.toml"


REFERENCE, ANALYSIS = "reference.parquet", "analysis.parquet"


def make(folder: Path, dataset: Dataset, rows: int) -> None:
    """A reference of a tenth of the rows, and the rows; probabilities are close to the generator's own."""

    def answered(count: int, seed: int) -> pd.DataFrame:
        made = synthetic.generate(dataset, count, seed)
        z = (
            0.75 * (made.Contract == "Month-to-month")
            + 0.95 * (made.InternetService == "Fiber optic")
            - 0.035 * made.tenure
        )
        probability = 1 / (1 + np.exp(1.03 - z))
        return made.assign(probability=probability, decision=probability >= 0.3, outcome=made.Churn == "Yes")

    kept = [*dataset.raw, "probability", "decision", "outcome"]
    (folder / REFERENCE).write_bytes(tables.to_bytes(answered(rows // 10, 0)[kept]))
    parts = [answered(rows // 4, seed)[[*dataset.raw, "probability", "Churn"]] for seed in range(1, 5)]
    (folder / ANALYSIS).write_bytes(tables.to_bytes(pd.concat(parts)))


def plain(folder: Path, dataset: Dataset) -> str:
    """The floor: one test per column, by scipy."""
    from scipy import stats

    before, now = (pd.read_parquet(folder / name) for name in (REFERENCE, ANALYSIS))
    for name, column in dataset.raw.items():
        if column.numeric:
            stats.ks_2samp(before[name].dropna(), now[name].dropna(), method="asymp")
        else:
            counts = pd.concat([side[name].value_counts() for side in (before, now)], axis=1).fillna(0)
            stats.chi2_contingency(counts)
    return "Kolmogorov-Smirnov or chi-square of each column"


def monitor(folder: Path, dataset: Dataset) -> str:
    """What the flow's steps do: windows, drift, performance with all outcomes known, verdict and card."""
    from churn.cards import monitoring_card
    from churn.monitoring import assessment
    from churn.serving.reference_data import Reference
    from churn.settings.monitor import MonitorConfig

    settings = core.load(MonitorConfig, ROOT / "config" / "monitor.toml")
    table = tables.typed((folder / REFERENCE).read_bytes(), dataset)
    model = SimpleNamespace(name="bench", version="1", tags={"data_version": "none"})
    known, laps, started = Reference(model, dataset, 0.3, table), [], time.monotonic()

    def lap(name: str) -> None:
        laps.append(f"{name} {time.monotonic() - started - sum(float(said.split()[-1]) for said in laps):.1f}")

    found = assessment.collect(known, settings, str(folder / ANALYSIS), "", "")
    lap("collect")
    distances = assessment.drift(known, found, settings)
    lap("drift")
    measured = assessment.performance(known, found, settings)
    lap("performance")
    results, assessed = assessment.conclude(found, distances, *measured, settings)
    monitoring_card.parts(known, found, results, measured[1], measured[2], assessed, "")
    lap("card")
    return f"{assessed.severity}; seconds: {', '.join(laps)}"


def main() -> None:
    word, folder, *rest = sys.argv[1:]
    dataset = core.load(Dataset, TELCO)
    if word == "make":
        make(Path(folder), dataset, int(rest[0]))
    else:
        print({"scipy": plain, "monitor": monitor}[word](Path(folder), dataset))


if __name__ == "__main__":
    main()
