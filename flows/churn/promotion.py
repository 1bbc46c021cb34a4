"""From a judged model to a served champion: gate, registry and Bento, put together."""

import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from churn import evaluation, models, registry, scoring, serving, tracking
from churn.config import TrainConfig
from churn.dataset import Dataset
from churn.errors import ChurnError
from churn.evaluation import Evaluation, Gate
from churn.tuning import Candidate
from churn.versioning import Snapshot, load

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

PROOF_ROWS = 500


def judge(found: Evaluation, data: Snapshot, config: TrainConfig) -> Gate:
    """Hold the scores against config's least scores (the data set's own on top), then against the champion's."""
    verdicts = evaluation.gate(found.scores, {**config.gate, **data.dataset.gate})
    current = registry.by_alias(data.dataset.model, registry.CHAMPION)
    if current is None:
        return Gate(verdicts, None)
    if data.made_up != (current.tags["made_up"] == "True"):
        return Gate(verdicts, evaluation.not_comparable(current.version, data.made_up))
    fair = evaluation.unseen(data.holdout, load(current.tags["data_version"]).train, data.dataset.id)
    with tempfile.TemporaryDirectory() as folder:
        theirs = scoring.Scorer(registry.fetch(current, folder)).table(data.holdout)
    comparison = evaluation.compare(
        found.outcome[fair],
        found.probability[fair],
        theirs[fair],
        current.version,
        config.promotion,
        config.search.seed,
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
    config: TrainConfig,
    run: str,
    pipeline: "Pipeline",
    described: Mapping[str, Any],
    data: Snapshot,
    verdict: Gate,
) -> registry.Registered:
    """Register the model as challenger, prove its ONNX form on the holdout, and promote it if the verdict says so."""
    whole = models.whole(pipeline, data.dataset)
    with tempfile.TemporaryDirectory() as folder:
        scoring.write(folder, pipeline, described)
        scoring.check_parity(scoring.Scorer(folder), whole, data.holdout, config.search.seed)
        tags = {
            key: str(described[key]) for key in ("data_version", "git_commit", "git_dirty", "metaflow_run", "family")
        }
        tags["made_up"] = str(data.made_up)
        example = data.holdout[list(data.dataset.raw)].head(100)
        made = registry.register(data.dataset.model, run, described["metaflow_run"], whole, folder, example, tags)
    tracking.close_run(run, described["params"], described["scores"])
    if verdict.promote:
        registry.promote(made, verdict.evidence())
    return made


def champion(dataset: Dataset) -> registry.Registered:
    """The champion; ChurnError if there is none yet."""
    found = registry.by_alias(dataset.model, registry.CHAMPION)
    if found is None:
        raise ChurnError(f"{dataset.model} has no champion yet; train one with: make run")
    return found


def package(dataset: Dataset) -> tuple[registry.Registered, str, float]:
    """The champion, its Bento's tag, and the largest difference between a served copy's answers and the registered
    scikit-learn pipeline's on PROOF_ROWS holdout rows."""
    model = champion(dataset)
    tag = serving.package(model)
    data = load(model.tags["data_version"])
    rows = data.holdout.head(PROOF_ROWS)
    expected = registry.load(model).predict_proba(rows[list(data.dataset.raw)])[:, 1]
    return model, tag, serving.prove(tag, data.dataset, rows, expected)
