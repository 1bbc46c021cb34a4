"""``make serve`` and ``make mlflow``: become the server, with this project's defaults in the environment."""

import argparse
import os
import sys

import base
from churn import promotion, stores
from churn.config import load
from churn.dataset import Dataset


def champion_tag(dataset: str) -> str:
    """The tag of the champion's Bento for a data set (see ``base.dataset_file``), built if it is not there yet."""
    from churn import serving

    return serving.package(promotion.champion(load(Dataset, base.dataset_file(dataset))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--dataset", default="telco")
    parser.add_argument("--build", action="store_true", help="build the Bento, print its tag, and stop")
    parser.add_argument("--mlflow", action="store_true", help="serve MLflow's pages instead")
    options = parser.parse_args()
    try:
        stores.check()
        if options.build:
            print(champion_tag(options.dataset))
            return
        words = (
            _mlflow()
            if options.mlflow
            else ["bentoml", "serve", champion_tag(options.dataset), "--port", str(options.port)]
        )
    except base.ChurnError as error:
        sys.exit(str(error))
    os.execv(sys.executable, [sys.executable, "-m", *words])


def _mlflow() -> list[str]:
    uri = os.environ["MLFLOW_TRACKING_URI"]
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # 13 processes and 2 GB otherwise
    return ["mlflow", "server", "--backend-store-uri", uri, "--port", "5000"]


if __name__ == "__main__":
    main()
