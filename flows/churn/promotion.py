"""From a judged model to a served champion: gate, registry and Bento, put together."""

import tempfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from churn import evaluation, models, registry, scoring, serving, tracking
from churn.config import TrainConfig
from churn.dataset import Dataset
from churn.evaluation import Evaluation, Gate
from churn.tuning import Candidate
from churn.versioning import Snapshot, load

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

PROOF_ROWS = 500


def judge(found: Evaluation, data: Snapshot, config: TrainConfig) -> Gate:
    """Hold the scores against config's least scores (the data set's own on top), then against the champion's."""
    verdicts = evaluation.gate(found.scores, {**config.gate, **data.dataset.gate})
    champion = registry.by_alias(config.registered_model, registry.CHAMPION)
    if champion is None:
        return Gate(verdicts, None)
    fair = evaluation.unseen(data.holdout, load(champion.tags["data_version"]).train, data.dataset.id)
    with tempfile.TemporaryDirectory() as folder:
        theirs = scoring.Scorer(registry.fetch(champion, folder)).table(data.holdout)
    comparison = evaluation.compare(
        found.outcome[fair], found.probability[fair], theirs[fair], champion.version, config.promotion, config.search.seed
    )
    return Gate(verdicts, comparison)


def manifest(winner: Candidate, found: Evaluation, lineage: Mapping[str, str], dataset: Dataset) -> dict[str, Any]:
    """What travels with the model (see ``scoring.Scorer``)."""
    return {
        **lineage,
        "family": winner.family.name,
        "params": winner.best.params,
        "threshold": found.threshold,
        "scores": found.scores,
        "dataset": dataset.model_dump(mode="json"),
    }


def register(
    config: TrainConfig, run: str, pipeline: "Pipeline", described: Mapping[str, Any], data: Snapshot, verdict: Gate
) -> registry.Registered:
    """Register the model as challenger, prove its ONNX form on the holdout, and promote it if the verdict says so."""
    whole = models.whole(pipeline, data.dataset)
    with tempfile.TemporaryDirectory() as folder:
        scoring.write(folder, pipeline, described)
        scoring.check_parity(scoring.Scorer(folder), whole, data.holdout, config.search.seed)
        tags = {key: str(described[key]) for key in ("data_version", "git_commit", "git_dirty", "metaflow_run", "family")}
        example = data.holdout[list(data.dataset.raw)].head(100)
        made = registry.register(config.registered_model, run, described["metaflow_run"], whole, folder, example, tags)
    tracking.close_run(run, described["params"], described["scores"])
    if verdict.promote:
        registry.promote(made, verdict.evidence())
    return made


def package(config: TrainConfig, data: Callable[[str], Snapshot]) -> tuple[registry.Registered, str, float]:
    """The champion, its Bento's tag, and the largest difference between a served copy's answers and the model's."""
    champion = registry.by_alias(config.registered_model, registry.CHAMPION)
    assert champion is not None  # register() has just seen to it
    tag = serving.package(champion)
    snapshot = data(champion.tags["data_version"])
    rows = snapshot.holdout.head(PROOF_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        expected = scoring.Scorer(registry.fetch(champion, folder)).table(rows)
    return champion, tag, serving.prove(tag, snapshot.dataset, rows, expected)
