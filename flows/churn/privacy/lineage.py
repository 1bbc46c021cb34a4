"""The origins of champions, their predecessors and challengers, which are never pruned."""

from dataclasses import dataclass

from churn.registry import model_registry
from churn.registry.mlflow_store import client
from churn.registry.tracking import TRAINING
from churn.serving import bento_store


@dataclass(frozen=True)
class Lineage:
    """Data ``versions``, ids of ``trainings``, TrainFlow's ``runs``, tags of ``bentos`` and ``addresses`` of published ones."""

    versions: frozenset[str]
    trainings: frozenset[str]
    runs: frozenset[str]
    bentos: frozenset[str]
    addresses: frozenset[str]


def known() -> Lineage:
    """The lineage of all registered models."""
    models = []
    for model in client().search_registered_models():
        aliases = client().get_registered_model(model.name).aliases
        for alias in model_registry.STAGES:
            if alias in aliases and (one := model_registry.by_alias(model.name, alias)) is not None:
                models.append(one)
    addresses = (bento_store.ADDRESS.match(one.tags.get(bento_store.TAG, "")) for one in models)
    return Lineage(
        frozenset(one.tags["data_version"] for one in models if "data_version" in one.tags),
        frozenset(one.tags[TRAINING] for one in models if TRAINING in one.tags),
        frozenset(one.tags["metaflow_run"] for one in models if "metaflow_run" in one.tags),
        frozenset(f"v{one.version}-{one.run[:8]}" for one in models),
        frozenset(address[1] for address in addresses if address is not None),
    )
