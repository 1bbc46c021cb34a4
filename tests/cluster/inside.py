"""What the tests do in a pod of the cluster, where they reach the registry, S3 and the service: ``inside.py COMMAND WORD...``"""

import json
import os
import sys
import time

sys.path[:0] = ["flows", ".", "tests"]
from churn.registry import model_registry
from churn.serving import bento_store, packaging, release
from churn.settings.core import load
from churn.settings.dataset import Dataset

URL = "http://churn-service:3000"


def champion() -> model_registry.Registered:
    return release.champion(load(Dataset, "config/datasets/telco.toml"))


def another() -> str:
    """A version with the champion's files and another number; its number."""
    first, mlflow = champion(), model_registry.client()
    source = mlflow.get_model_version(first.name, first.version).source
    tags = {key: value for key, value in first.tags.items() if key != bento_store.TAG and not key.startswith("deploy.")}
    named = {"model_id": source.removeprefix("models:/")}  # a server refuses the source without it
    made = mlflow.create_model_version(first.name, source, first.run, tags=tags, await_creation_for=0, **named)
    release.publish(model_registry.by_version(first.name, str(made.version)))
    return str(made.version)


def bad(version: str, how: str) -> str:
    """The address of a Bento of the version that ``how``."""
    import bad_bentos

    tag = packaging.build_bento(model_registry.by_version(champion().name, version))
    if how == "has another checksum":
        place, _, checksum = str(bento_store.publish(tag)).rpartition(":")
        return f"{place}:{checksum[::-1]}"
    return str(bento_store.publish(bad_bentos.bad(tag, how)))


def tags(version: str) -> dict[str, str]:
    found = model_registry.by_version(champion().name, version).tags
    return {key.removeprefix("deploy."): value for key, value in found.items() if key.startswith("deploy.")}


def kept() -> dict[str, int]:
    """What a flow may add to: versions and trainings in MLflow, rows in the logs, verdicts, and what is there twice."""
    from datetime import UTC, datetime

    from churn.campaigns import campaign_log, verdicts
    from churn.registry import tracking
    from churn.serving import prediction_log

    dataset, mlflow = load(Dataset, "config/datasets/telco.toml"), model_registry.client()
    experiments = [one.experiment_id for one in mlflow.search_experiments()]
    runs = mlflow.search_runs(experiments, max_results=50_000)
    top = [run.data.tags[tracking.TRAINING] for run in runs if "mlflow.parentRunId" not in run.data.tags]
    ever = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    log = prediction_log.read(dataset, *ever)
    chosen = prediction_log.rows_between(
        campaign_log.CAMPAIGNS, campaign_log.log_columns(dataset), *ever, prediction_log.root(), set()
    )
    return {
        "campaigns": chosen["campaign"].nunique(),
        "assigned twice": int(chosen.duplicated(["campaign", str(dataset.id)]).sum()),
        "campaigns judged": len(verdicts.kept_verdicts(dataset)),
        "versions": len(mlflow.search_model_versions(f"name = '{champion().name}'")),
        "trainings": len(top),
        "trainings twice": len(top) - len(set(top)),
        "logged": int((~log["prediction_id"].duplicated()).sum()),
        "logged twice": int(log["prediction_id"].duplicated().sum()),
    }


def customers(rows: str, seed: str, outcome: str = "") -> str:
    """The address of a file of customers in the bucket, with their outcome or without."""
    import boto3
    from churn.data.synthetic import generate

    table = generate(load(Dataset, "config/datasets/telco.toml"), int(rows), int(seed))
    body = table if outcome else table.drop(columns="Churn")
    bucket, key = os.environ["CHURNFLOW_BUCKET"], f"tests/customers-{rows}-{seed}{outcome}.csv"
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body.to_csv(index=False))
    return f"s3://{bucket}/{key}"


def servers() -> dict[str, str]:
    """The addresses of what the flows' pods are told to use."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or "https://s3.amazonaws.com"
    return {"AWS_ENDPOINT_URL_S3": endpoint, "MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"]}


def traffic(seconds: str, rate: str) -> dict[str, object]:
    """Callers of the Service, for so long or until the file ``stop`` is there."""
    from pathlib import Path

    from traffic import calling

    stop, until = Path("stop"), time.monotonic() + float(seconds)
    stop.unlink(missing_ok=True)
    with calling(URL, packaging.examples(load(Dataset, "config/datasets/telco.toml"))[0], float(rate)) as found:
        while time.monotonic() < until and not stop.exists():
            time.sleep(0.2)
    p99 = sorted(found.seconds)[int(0.99 * (len(found.seconds) - 1))]
    return {"requests": len(found.seconds), "lost": found.lost, "versions": dict(found.versions), "p99": p99}


if __name__ == "__main__":
    commands = {one.__name__: one for one in (another, bad, tags, kept, customers, servers, traffic)}
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
