"""From an evaluated uplift model to the champion: gate, comparison, and a registered model separate from churn's."""

import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from churn.registry import champion_challenger, holdout_looks, model_registry, tracking
from churn.registry.champion_challenger import Comparison
from churn.registry.gate import Gate, Verdict
from churn.registry.model_registry import Registered
from churn.registry.training_record import Training
from churn.settings.dataset import Dataset
from churn.settings.train import TrainConfig, UpliftRule
from churn.training import estimators, metrics, shapley
from churn.uplift import outcome_rows, ranking_metrics, scorer
from churn.uplift.holdout import UpliftModel
from churn.uplift.outcome_rows import OutcomeRows
from churn.uplift.scorer import UpliftScorer

SUFFIX = "-uplift"


def registered_name(dataset: Dataset) -> str:
    """The name of a data set's registered uplift model."""
    return f"{dataset.model}{SUFFIX}"


def uplift_champion(dataset: Dataset) -> Registered | None:
    """The uplift champion, if there is one."""
    return beside(dataset.model)


def beside(name: str) -> Registered | None:
    """The uplift champion that belongs to the registered churn model ``name``, if there is one."""
    return model_registry.by_alias(f"{name}{SUFFIX}", model_registry.CHAMPION)


def load_uplift(model: Registered) -> UpliftScorer:
    """Load the registered model, ready to score."""
    with tempfile.TemporaryDirectory() as folder:
        return UpliftScorer(model_registry.fetch(model, folder))


def judge_uplift(
    model: UpliftModel | None, outcomes: bytes | None, dataset: Dataset, config: TrainConfig, training: str
) -> Gate | None:
    """Check the bounds of [uplift.gate], and compare with the champion on customers that neither has seen."""
    if model is None or outcomes is None or config.uplift is None:
        return None
    verdicts = tuple(Verdict(name, model.scores[name].value, bound) for name, bound in config.uplift.gate.items())
    rows = outcome_rows.rows_from_bytes(outcomes, dataset)
    return Gate(verdicts, _against_champion(model, rows, dataset, config, training))


def _against_champion(
    model: UpliftModel, rows: OutcomeRows, dataset: Dataset, config: TrainConfig, training: str
) -> Comparison | None:
    current, rule = uplift_champion(dataset), config.uplift
    if current is None:
        return None
    assert rule is not None
    theirs = load_uplift(current)
    ours = rows.held_out(rule.holdout, config.search.seed)
    fair = rows.held_out(theirs.manifest["holdout"], theirs.manifest["seed"])[ours]
    held = rows.of(ours).of(fair)
    if not len(held.kept) or held.fewest() < 2:
        return champion_challenger.nobody(current.version, len(held.kept))
    name, look = registered_name(dataset), f"{training}/{current.version}"
    number = holdout_looks.number(name, look, held.customer)
    return compare_uplift(held, model.uplift[fair], theirs.table(held.table), current.version, config, number)


def compare_uplift(
    held: OutcomeRows, challenger: np.ndarray, champion: np.ndarray, version: str, config: TrainConfig, look: int
) -> Comparison:
    """Whether the gain in the Qini coefficient on the same customers is significant, by a paired bootstrap.

    Its error is that of the resampled differences (Efron & Tibshirani 1993, ch. 16), taken as normal; the required confidence
    rises with every ``look`` (see ``champion_challenger.needed``).
    """
    from scipy.stats import norm

    rule, seed = config.promotion, config.search.seed
    intervals = ranking_metrics.against(held.kept, challenger, champion, held.contacted, seed, rule.resamples)
    gain, required = intervals["qini_over_risk"], champion_challenger.needed(rule, look)
    error = (gain.high - gain.low) / (2 * metrics.Z_95)
    sure = float(norm.cdf((gain.value - rule.margin) / error)) if error else float(gain.value > rule.margin)
    promote = sure >= required
    reason = (
        f"Qini {intervals['qini'].value:.4f} against {intervals['qini_by_risk'].value:.4f} on {len(held.kept):,} customers, gain "
        f"{gain.low:+.4f} to {gain.high:+.4f}: a gain above {rule.margin:g} is {sure:.2%} certain, {required:.2%} is "
        f"{'reached' if promote else 'needed: the champion stays'}"
    ) + (f"; look {look} at these customers" if look > 1 else "")
    return champion_challenger.undecided(version, promote, reason, len(held.kept))


def register_uplift(
    model: UpliftModel | None, verdict: Gate | None, outcomes: bytes | None, training: Training
) -> list[str]:
    """Register the model as challenger unless the gate fails, promote it if the verdict says so, and describe what was done.

    Its ONNX form is verified on the holdout first. Without a model, do nothing and return nothing.
    """
    config, dataset = training.config, training.data.dataset
    if model is None or verdict is None or outcomes is None or config.uplift is None:
        return []
    if not verdict.passed:
        return [f"Uplift: {verdict.summary} It is not registered."]
    lineage, name = training.lineage, registered_name(dataset)
    training_id = f"{lineage['metaflow_run']}/uplift"  # the churn model has the training's id itself
    rows = outcome_rows.rows_from_bytes(outcomes, dataset)
    held = rows.of(rows.held_out(config.uplift.holdout, config.search.seed)).table
    described, pipeline = _manifest(model, rows, dataset, config, lineage), estimators.whole(model.pipeline, dataset)
    run = tracking.open_run(config.experiment, training_id, lineage)
    with tempfile.TemporaryDirectory() as folder:
        scorer.write_uplift(folder, model.pipeline, described)
        scorer.check_uplift_parity(UpliftScorer(folder), pipeline, held, config.search.seed)
        tags = {"family": model.winner.family.name, "dataset": dataset.name}
        tags |= {key: lineage[key] for key in ("data_version", "metaflow_run")}
        example = held[list(dataset.raw)].head(100)
        version = model_registry.register(name, run, training_id, pipeline, folder, example, tags)
    expected = verdict.comparison.champion if verdict.comparison is not None else None
    if not verdict.promote:
        model_registry.annotate(version, verdict.evidence())
    elif not model_registry.promote(version, verdict.evidence(), expected):
        verdict = Gate(
            verdict.verdicts, champion_challenger.undecided(expected or "", False, "there is another by now")
        )
    tracking.close_run(run, described["params"], {key: one.value for key, one in model.scores.items()})
    qini, ahead = model.scores["qini"], model.scores["qini_over_risk"]
    return [
        f"Uplift: {name} version {version.version} ({model.winner.family.name}). Qini {qini.value:.4f} ({qini.low:.4f} to "
        f"{qini.high:.4f}), ahead of ranking by risk by {ahead.value:+.4f} ({ahead.low:+.4f} to {ahead.high:+.4f}). "
        f"{verdict.summary}"
    ]


def _manifest(
    model: UpliftModel, rows: OutcomeRows, dataset: Dataset, config: TrainConfig, lineage: Mapping[str, str]
) -> dict[str, Any]:
    """The model's manifest (see ``scorer.UpliftScorer``)."""
    rule, seed = config.uplift or UpliftRule(), config.search.seed
    train = rows.of(~rows.held_out(rule.holdout, seed)).table
    return {
        **lineage,
        "family": model.winner.family.name,
        "params": model.winner.params,
        "threshold": model.threshold,
        "scores": {name: [one.value, one.low, one.high] for name, one in model.scores.items()},
        "holdout": rule.holdout,
        "seed": seed,
        "dataset": dataset.model_dump(mode="json"),
        shapley.BACKGROUND: shapley.background(dataset, train, seed),
    }
