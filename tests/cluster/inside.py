"""What the tests do in a pod of the cluster, where they reach the registry, S3 and the service: ``inside.py COMMAND WORD...``"""

import json
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
    print(json.dumps({"another": another, "bad": bad, "tags": tags, "traffic": traffic}[sys.argv[1]](*sys.argv[2:])))
