"""``make bench-ray``: one family's search on a Ray cluster of two nodes with one CPU each, beside one and two local processes.

Both nodes are on this machine: the figures show what the distribution costs, not what a second machine gains. Prints, never
asserts. ``python tests/bench/ray_nodes.py [--rows 50000]``
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "flows")]

from churn.data import synthetic  # noqa: E402
from churn.settings import core  # noqa: E402
from churn.settings.dataset import Dataset  # noqa: E402
from churn.settings.train import TrainConfig  # noqa: E402
from churn.training import hyperparameter_search  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    options = parser.parse_args()
    telco = core.load(Dataset, ROOT / "config" / "datasets" / "telco.toml")
    settings = core.load(TrainConfig, ROOT / "config" / "train.toml")
    table = synthetic.generate(telco, options.rows, seed=1)
    family = next(one for one in settings.model if one.name == "lightgbm")

    def tuned(backend: str, jobs: int) -> tuple[float, float]:
        started = time.monotonic()
        search = settings.search.model_copy(update={"backend": backend})
        found = hyperparameter_search.tune(family, search, telco, table, jobs)
        return time.monotonic() - started, found.best.scores[search.metric]

    alone, score = tuned("loky", 1)
    print(f"{options.rows:,} rows, {family.name}: one process {alone:.1f} s", flush=True)
    for name, (seconds, same) in (("two processes", tuned("loky", 2)), ("two nodes of Ray", on_ray(tuned))):
        print(f"{name} {seconds:.1f} s, {alone / seconds:.2f} times as fast, same score: {same == score}", flush=True)


def on_ray(tuned: Callable[[str, int], tuple[float, float]]) -> tuple[float, float]:
    """The search on a new cluster, whose start does not count."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        os.environ["RAY_ADDRESS"] = cluster.address
        return tuned("ray", 2)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
