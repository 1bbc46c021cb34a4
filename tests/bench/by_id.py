"""``make bench-by-id``: a request that holds a customer's id alone beside the plain request with the same customer's columns.

``python -m tests.bench.by_id [--customers 1000000] [--rounds 25] [--seconds 1]``. One worker of the real service; both kinds take
turns, one connection at a time and sixteen, so that a noisy machine is as noisy for each. Prints, never asserts.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import serve  # which moves the state away from the user's own before anything reads where it is

common, load = serve.common, serve.load

SHOP = common.ROOT / "config" / "datasets" / "shop.toml"
FAMILY = "logistic_regression"  # the fastest, beside which a look-up weighs most
SECRET = "of-no-use-outside-of-this-benchmark"  # pragma: allowlist secret
ASKED = 20_000  # different customers, far apart in the file
MOST = 2.0


def champion() -> Any:
    """A model of the shop's synthetic customers, and the customers (DataFrame) that it was trained on."""
    settings = Path(os.environ["CHURNFLOW_HOME"], "by_id.toml")
    settings.write_text(serve.family_settings()[FAMILY])
    common.flow("data_flow", "--config", "description", str(SHOP), "run")
    common.flow("train_flow", "--config", "settings", str(settings), "run", "--force")
    shop = common.load(common.Dataset, SHOP)
    model = common.model_registry.by_alias(shop.model, common.model_registry.CHALLENGER)
    assert model is not None
    return model, common.snapshots.load(model.tags["data_version"]).train


def bodies(model: Any, table: Any, customers: int) -> dict[str, list[bytes]]:
    """The feature file of so many customers, written; and the requests for some of them in both forms."""
    import numpy as np

    scorer = common.batch_scoring.scorer(model)
    places = np.random.default_rng(0).integers(0, len(table), customers)
    rows = table.iloc[places].reset_index(drop=True)
    rows[scorer.dataset.id] = [f"{n:08d}" for n in range(customers)]
    print(*common.batch_scoring.keep_features(scorer, rows))
    asked = rows.sample(min(ASKED, customers), random_state=0)
    plain = common.packaging.json_rows(scorer.dataset, asked)
    ids = asked[scorer.dataset.id].tolist()
    return {
        "plain": [json.dumps(row).encode() for row in plain],
        "by id": [json.dumps({"customer_id": who}).encode() for who in ids],
    }


def compare(url: str, asked: dict[str, list[bytes]], concurrency: int, rounds: int, seconds: float) -> None:
    """Print the quantiles of both kinds, over all requests of all rounds, and the ratios."""
    latencies: dict[str, list[float]] = {kind: [] for kind in asked}
    for each in asked.values():
        load.run(url, each, concurrency, 1)
    for _ in range(rounds):
        for kind, each in asked.items():
            taken = load.run(url, each, concurrency, seconds)
            assert not taken.errors, taken.errors[:3]
            latencies[kind] += taken.latencies
    wholes = {kind: load.Load(latencies=taken) for kind, taken in latencies.items()}
    said = []
    for share in (0.5, 0.99):
        plain, by_id = (1000 * wholes[kind].quantile(share) for kind in ("plain", "by id"))
        said.append(f"p{100 * share:.0f} {plain:.2f} ms plain, {by_id:.2f} ms by id: {by_id / plain:.2f} x")
    counts = " and ".join(f"{len(taken):,}" for taken in latencies.values())
    print(f"{concurrency} at once, {counts} requests: {'; '.join(said)} (p99: <= {MOST:g} x)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=1)
    options = parser.parse_args()
    model, table = champion()
    with tempfile.TemporaryDirectory() as log:
        os.environ |= {"CHURNFLOW_PREDICTIONS": log, common.keyed_ids.KEY: SECRET}
        asked = bodies(model, table, options.customers)
        with common.bento_server.served(common.packaging.build_bento(model)) as url:
            for concurrency in (1, serve.CONCURRENCY):
                compare(f"{url}/predict", asked, concurrency, options.rounds, options.seconds)
            print(f"worker {common.megabytes(url):.0f} MB")


if __name__ == "__main__":
    main()
