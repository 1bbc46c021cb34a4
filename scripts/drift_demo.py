"""``make drift-demo``: serve the champion, send it ordinary and then shifted customers, and analyse both with MonitorFlow.

Prices rise by 30 % and more customers have a month-to-month contract. The predictions go to a separate log, so that synthetic
customers never reach yours. With --retrain a model is trained on customers like the shifted ones, and becomes champion if it
is better; the champion must then itself be trained on synthetic customers.
"""

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import _flows  # noqa: F401 - first: it finds flows/
import base
import numpy as np
from churn.data import synthetic
from churn.errors import ChurnError
from churn.registry import model_registry, synthetic_notice
from churn.serving import bento_server, client, packaging, release
from churn.settings import commands
from churn.settings.core import load
from churn.settings.dataset import Dataset
from orchestration import launch, retraining

if TYPE_CHECKING:
    import pandas as pd

ROWS, BATCH, SEEDS = 3000, 1000, (1001, 1002)
NOTICE = (
    "A demonstration: these customers are synthetic - or, for a champion of real ones, drawn from its holdout and changed -, "
    "none of yours."
)
DESCRIPTION = base.ROOT / "config" / "datasets" / "telco.toml"
PRICE, CONTRACT = "MonthlyCharges", "Contract"
RAISE, MOVED, MONTHLY = 1.3, 0.6, "Month-to-month"


def shifted(text: str) -> str:
    """The description of the Telco data set with its [synthetic] expressions for price and contract changed."""
    lines = []
    for line in text.splitlines():
        name, _, value = line.partition(" = ")
        if name == PRICE and value.startswith('"'):
            line = f'{name} = "round({RAISE} * ({value[1:-1]}), 2)"'
        elif name == CONTRACT and value.startswith('"'):
            line = f"{name} = \"where(bernoulli({MOVED}), '{MONTHLY}', {value[1:-1]})\""
        lines.append(line)
    return "\n".join(lines) + "\n"


def customers(champion: model_registry.Registered, folder: Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Ordinary and shifted customers: synthetic or, for a champion trained on real ones, drawn from its holdout."""
    described = load(Dataset, DESCRIPTION)
    if synthetic_notice.learned_from_synthetic(champion):
        return synthetic.generate(described, ROWS, SEEDS[0]), synthetic.generate(
            load(Dataset, folder / "shifted.toml"), ROWS, SEEDS[1]
        )
    from churn.monitoring import assessment

    holdout = assessment.compared(described).table[list(described.raw)]
    ordinary, changed = (holdout.sample(ROWS, replace=True, random_state=seed, ignore_index=True) for seed in SEEDS)
    monthly = changed[CONTRACT].mask(np.random.default_rng(SEEDS[1]).random(ROWS) < MOVED, MONTHLY)
    return ordinary, changed.assign(**{PRICE: (changed[PRICE] * RAISE).round(2), CONTRACT: monthly})


def send(tag: str, log: str, groups: "tuple[pd.DataFrame, ...]") -> list[str]:
    """Serve the Bento and request predictions for each group; return the time (UTC) at which each was answered."""
    described, moments = load(Dataset, DESCRIPTION), []
    with bento_server.served(tag, CHURNFLOW_PREDICTIONS=log) as url:  # its log is complete once it stops
        for group in groups:
            rows = packaging.json_rows(described, group)
            for start in range(0, len(rows), BATCH):
                client.ask(
                    f"{url}/predict_batch",
                    {"rows": rows[start : start + BATCH]},
                    os.environ.get("CHURNFLOW_API_KEY", ""),
                )
            moments.append(datetime.now(UTC).isoformat())
            time.sleep(0.1)
    return moments


def monitor(log: str, model: model_registry.Registered, description: Path, *words: str) -> None:
    """Run MonitorFlow on the model's answers, in windows of a third of a group, and print its last step's output."""
    cut = ["run", "--model-version", model.version, "--rows", str(ROWS // 3), *words]
    script = str(base.ROOT / "flows" / "monitor_flow.py")
    retraining.flow(
        [sys.executable, script, "--config", "description", str(description), *cut], CHURNFLOW_PREDICTIONS=log
    )


def demo(retrain: bool) -> None:
    """Run the whole demonstration. Raises ChurnError."""
    described = load(Dataset, DESCRIPTION)
    if model_registry.by_alias(described.model, model_registry.CHAMPION) is None:
        print("There is no champion yet: DataFlow and TrainFlow run first.", flush=True)
        launch.both(retraining.flow, str(DESCRIPTION))
    champion = release.champion(described)
    if retrain and not synthetic_notice.learned_from_synthetic(champion):
        raise ChurnError(
            f"version {champion.version} learned from real customers, and synthetic ones must not replace it; try the "
            f"retraining in a separate folder: CHURNFLOW_HOME=/tmp/drift {commands.say('drift-demo', RETRAIN='1')}"
        )
    if synthetic_notice.learned_from_synthetic(champion) and not described.synthetic:
        raise ChurnError(
            f"{DESCRIPTION}: no longer has a [synthetic] table, which synthetic customers need; restore it"
        )
    with tempfile.TemporaryDirectory(prefix="drift-demo-") as name:
        folder, log = Path(name), str(Path(name, "log"))
        description = folder / "shifted.toml"
        description.write_text(shifted(DESCRIPTION.read_text(encoding="utf-8")), encoding="utf-8")
        print(
            f"Version {champion.version} is served, and predicts for {ROWS:,} ordinary and {ROWS:,} shifted customers.",
            flush=True,
        )
        between, _ = send(packaging.build_bento(champion), log, customers(champion, folder))
        print(f"\nMonitorFlow after the ordinary customers ({ROWS // 3:,} to a window):", flush=True)
        monitor(log, champion, DESCRIPTION, "--until", between)
        print("\nMonitorFlow after the shifted customers:", flush=True)
        if retrain:
            monitor(log, champion, description, "--retrain")
        else:
            monitor(log, champion, DESCRIPTION)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--retrain", action="store_true", help="train on shifted customers after the alert")
    options, started = parser.parse_args(), time.monotonic()
    print(NOTICE, flush=True)
    with base.stopping():
        demo(options.retrain)
    print(f"\n{time.monotonic() - started:.0f} seconds", NOTICE, sep="\n")


if __name__ == "__main__":
    main()
