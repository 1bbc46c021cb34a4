"""Registry operations for people: promote a version, compare two versions, trace a version back to its data."""

import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from churn.data import customer_keys, features, snapshots
from churn.errors import ChurnError
from churn.registry import champion_challenger, holdout_looks, model_registry
from churn.registry.model_registry import CHALLENGER, CHAMPION, Registered
from churn.settings import commands
from churn.settings.train import Promotion
from churn.training import metrics, onnx_scorer

if TYPE_CHECKING:
    import pandas as pd

TARGETS = {CHALLENGER: CHALLENGER, "Staging": CHALLENGER, CHAMPION: CHAMPION, "Production": CHAMPION}


def promote(name: str, version: str, target: str, reason: str) -> list[str]:
    """Set the alias of ``target`` (an alias or stage name in TARGETS) on the version. Returns a message.

    This is not a look at a holdout: the training or ``compare`` that it is based on has been counted.
    """
    model = model_registry.by_version(name, version)
    if TARGETS[target] == CHALLENGER:
        model_registry.challenge(model)
        return [f"Challenger: version {version}"]
    former = model_registry.by_alias(name, CHAMPION)
    if former is not None and former.version == version:
        return [f"Champion: version {version} already"]
    if not model_registry.promote(model, {"promotion": reason}, former.version if former is not None else None):
        raise ChurnError(
            f"{name}: another process has just changed the champion; check it, then repeat the command if you still want to"
        )
    instead = f", instead of version {former.version}" if former is not None else ""
    return [f"Champion: version {version}{instead}"]


def compare(a: Registered, b: Registered, rule: Promotion) -> Iterator[str]:
    """Score both versions on the holdout rows of b's data that neither was trained on, with the gain of b over a.

    The result may decide a promotion, so it counts as a look at these customers (see ``holdout_looks``), unless b's training
    already compared b with a.
    """
    ours, theirs = (snapshots.load(model.tags["data_version"]) for model in (b, a))
    customers = ours.holdout[customer_keys.columns(ours.dataset)]
    fair = np.all(
        [champion_challenger.unseen(customers, data.train, ours.dataset.id) for data in (ours, theirs)], axis=0
    )
    rows = ours.holdout[fair]
    outcome = features.outcome(ours.dataset, rows)
    customer = customer_keys.keys(rows, ours.dataset.id, ours.dataset.raw)
    if not champion_challenger.comparable(outcome, customer):
        raise ChurnError(f"versions {a.version} and {b.version}: no rows of both outcomes that neither has trained on")
    (first, yes_a), (second, yes_b) = (_score(model, rows) for model in (a, b))
    pair = f"{b.tags.get('metaflow_run', b.version)}/{a.version}"
    look = holdout_looks.number(b.name, pair, customer_keys.row_keys(rows, ours.dataset))
    yield f"{len(rows):,} customers of data version {ours.version} that neither has trained on; look {look} at them"
    yield f"{'':<10} {f'version {a.version}':>12} {f'version {b.version}':>12} {'difference':>12}"
    left, right = metrics.decided(outcome, first, yes_a), metrics.decided(outcome, second, yes_b)
    for metric in left:
        yield f"{metric:<10} {left[metric]:>12.4f} {right[metric]:>12.4f} {right[metric] - left[metric]:>+12.4f}"
    comparison = champion_challenger.compare(outcome, second, first, a.version, rule, seed=0, customer=customer)
    yield f"Gain in ROC-AUC: {comparison.gain_low:+.4f} to {comparison.gain_high:+.4f} (95 %, paired bootstrap)"


def _score(model: Registered, rows: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions."""
    with tempfile.TemporaryDirectory() as folder:
        scorer = onnx_scorer.Scorer(model_registry.fetch(model, folder))
    raw = features.from_frame(scorer.dataset, rows)
    probability = scorer.probability(raw).astype(np.float64)
    return probability, scorer.decide(raw, probability)


def lineage(model: Registered) -> Iterator[str]:
    """The version's tags, and the commands that lead to its code, its run and its rows."""
    aliases = [
        alias
        for alias in model_registry.STAGES
        if (holder := model_registry.by_alias(model.name, alias)) and holder == model
    ]
    yield f"{model.name} version {model.version}" + (f" ({', '.join(aliases)})" if aliases else "")
    for key, value in sorted(model.tags.items()):
        yield f"  {key:<22} {value}"
    yield f"  {'mlflow_run':<22} {model.run}"
    if (now := snapshots.current(model.tags["data_version"])) != model.tags["data_version"]:
        yield f"  {'data_version now':<22} {now}, since customers were erased"
    yield "To reproduce it:"
    yield f"  code   git show {model.tags['git_commit']}" + (
        "   (files differed from this commit)" if model.tags["git_dirty"] == "true" else ""
    )
    yield f"  rows   {commands.say('data-pull', VERSION=model.tags['data_version'])}"
    yield f"  again  {commands.say('train', VERSION=model.tags['data_version'], FORCE='1')}"
