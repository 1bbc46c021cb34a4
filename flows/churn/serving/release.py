"""From an evaluated model to a served champion: combines gate, registry and Bento."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from churn import format_version
from churn.data import customer_keys
from churn.data.snapshots import Snapshot, load
from churn.errors import ChurnError
from churn.registry import (
    champion_challenger,
    gate,
    holdout_looks,
    model_registry,
    sklearn_model,
    synthetic_notice,
    tracking,
)
from churn.registry.gate import Gate
from churn.registry.training_record import Training
from churn.serving import bento_server, bento_store, packaging, prediction_log, reference_data
from churn.settings import commands
from churn.settings.core import Strict
from churn.settings.dataset import Dataset
from churn.settings.train import BLEND, TrainConfig
from churn.storage import checksums
from churn.training import estimators, expected_profit, onnx_scorer, shapley
from churn.training.evaluation import Evaluation
from churn.uplift import registration
from churn.validation import leakage

PROOF_ROWS = 500
RECORD, RECORD_FORMAT = "promotion.json", 1
RECORD_CHECKSUM = f"{model_registry.CHECKSUMS}.{RECORD}"  # tag of a version


def fingerprint(*settings: Strict) -> str:
    """A twelve-digit hash of all settings."""
    text = json.dumps([one.model_dump(mode="json") for one in settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def lineage(data_version: str, training: str, config: TrainConfig, outcomes: bytes | None = None) -> dict[str, str]:
    """A model's lineage: data, config (including the campaign ``outcomes`` that it learns from), code, run and packages."""
    checksum = checksums.sha256(outcomes)[:12] if outcomes is not None else ""
    return {
        "data_version": data_version,
        "metaflow_run": training,
        "config_hash": fingerprint(config) + checksum,
        **tracking.git_state(),
        "packages": " ".join(sklearn_model.packages(*estimators.libraries(config))),
    }


def unchanged(dataset: Dataset, lineage: Mapping[str, str]) -> model_registry.Registered | None:
    """The version already trained on the same data version with the same config, if there is one.

    It may be the champion or a challenger that lost. None if there is no such version, or no champion yet.
    """
    same = {key: lineage[key] for key in ("data_version", "config_hash")}
    judged = [one for one in model_registry.by_tags(dataset.model, same) if gate.SUMMARY in one.tags]
    current = model_registry.by_alias(dataset.model, model_registry.CHAMPION)
    if not judged or current is None:
        return None
    return current if current in judged else judged[0]


def start_run(
    data: Snapshot, config: TrainConfig, lineage: Mapping[str, str], force: bool
) -> tuple[model_registry.Registered | None, str]:
    """The version that makes this training unnecessary (see ``unchanged``), or None and the id of a new MLflow run."""
    registered = None if force else unchanged(data.dataset, lineage)
    return registered, "" if registered else tracking.open_run(config.experiment, lineage["metaflow_run"], lineage)


def parameters(data: Snapshot, config: TrainConfig) -> dict[str, Any]:
    """The parameters of the champion's models, as FAMILY.NAME, from which the search starts.

    Empty without a champion, if one of champion and data is synthetic and the other real, and if config disables it.
    """
    current = model_registry.by_alias(data.dataset.model, model_registry.CHAMPION) if config.search.warm_start else None
    if current is None or data.synthetic != synthetic_notice.learned_from_synthetic(current):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        described = onnx_scorer.manifest(model_registry.fetch(current, folder))
    prefix = "" if described["family"] == BLEND else f"{described['family']}."
    return {f"{prefix}{name}": value for name, value in described["params"].items()}


def check_before_training(data: Snapshot, config: TrainConfig) -> None:
    """Raise ChurnError early for problems that would stop the training at its end, or spoil it.

    These are a bound in the environment that is not from 0 to 1, a missing margin column, a column that leaks the outcome, and a
    column with the name of a prediction log column.
    """
    dataset = data.dataset
    gate.bounds()
    numbers = tuple(name for name, column in dataset.raw.items() if column.numeric)
    if (worth := config.value or dataset.value) is not None:
        expected_profit.check(worth, numbers, dataset.name)
        expected_profit.settle(worth, data.train, dataset)
    prediction_log.schema(dataset)
    leakage.require_none(dataset, data.train, config.leakage)


def judge(evaluation: Evaluation, data: Snapshot, config: TrainConfig, training: str) -> Gate:
    """Check the scores and groups against their bounds, and compare the model with the champion.

    The bounds come from config, overridden by the data set's, and then by the environment's.
    """
    verdicts = gate.verdicts(evaluation.scores, gate.bounds(config.gate, data.dataset.gate))
    verdicts += gate.slice_verdicts(evaluation.slices, config.slices.least)
    warnings = tuple(f"{s.column}={s.group}: {text}" for s in evaluation.slices for text in s.warnings)
    warnings += tuple(
        f"it does not surely beat {one.name} alone (ROC-AUC {one.auc:.4f}): gain {one.gain:+.4f}, 95 % interval "
        f"{one.gain_interval[0]:+.4f} to {one.gain_interval[1]:+.4f}"
        for one in evaluation.baselines
        if not one.beaten
    )
    return Gate(verdicts, against_champion(evaluation, data, config, training), warnings)


def against_champion(
    evaluation: Evaluation, data: Snapshot, config: TrainConfig, training: str
) -> champion_challenger.Comparison | None:
    """Compare with the champion on rows that neither model has seen; None if there is no champion.

    Counts as a look of ``training`` at these rows, even if the gate is closed.
    """
    dataset, current = data.dataset, model_registry.by_alias(data.dataset.model, model_registry.CHAMPION)
    if current is None:
        return None
    if data.synthetic != synthetic_notice.learned_from_synthetic(current):
        return champion_challenger.not_comparable(current.version, data.synthetic)
    theirs = load(current.tags["data_version"]).train
    fair = champion_challenger.unseen(data.holdout[customer_keys.columns(dataset)], theirs, dataset.id)
    rows, outcome = data.holdout[fair], evaluation.outcome[fair]
    customer = customer_keys.keys(rows, dataset.id, dataset.raw)
    if not champion_challenger.comparable(outcome, customer):
        return champion_challenger.nobody(current.version, len(rows))
    look = holdout_looks.number(dataset.model, f"{training}/{current.version}", customer_keys.row_keys(rows, dataset))
    with tempfile.TemporaryDirectory() as folder:
        champions = onnx_scorer.Scorer(model_registry.fetch(current, folder)).table(rows)
    ours, rule, seed = evaluation.probability[fair], config.promotion, config.search.seed
    return champion_challenger.compare(outcome, ours, champions, current.version, rule, seed, look, customer)


def build_manifest(training: Training) -> dict[str, Any]:
    """The manifest stored with the model (see ``onnx_scorer.Scorer``)."""
    data, evaluation = training.data, training.evaluation
    return {
        **training.lineage,
        "family": training.winner.family.name,
        "params": training.winner.best.params,
        "calibrated": training.chosen.calibration.used,
        "threshold": evaluation.threshold,
        "scores": evaluation.scores,
        "intervals": evaluation.intervals,
        "value": training.value.model_dump(mode="json") if training.value is not None else None,
        "training_seconds": round(training.seconds, 1),
        "dataset": data.dataset.model_dump(mode="json"),
        shapley.BACKGROUND: shapley.background(data.dataset, data.train, training.config.search.seed),
    }


def register(training: Training, run: str) -> tuple[model_registry.Registered, Gate]:
    """Verify the model's ONNX form on the holdout, register it as challenger, and promote it if the verdict says so.

    If another training has promoted a champion since the verdict, the model is compared with that one first. Returns the version
    and the result that counted, which is stored as RECORD next to the model.
    """
    from pyarrow import parquet

    data, config, evaluation, gate_result = training.data, training.config, training.evaluation, training.gate
    pipeline, described = training.chosen.pipeline, build_manifest(training)
    full_pipeline = estimators.whole(pipeline, data.dataset)
    with tempfile.TemporaryDirectory() as folder:
        onnx_scorer.write(folder, pipeline, described)
        scorer = onnx_scorer.Scorer(folder)
        onnx_scorer.check_parity(scorer, full_pipeline, data.holdout, config.search.seed)
        parquet.write_table(reference_data.holdout(scorer, data.holdout), Path(folder, prediction_log.HOLDOUT))
        example = data.holdout[list(data.dataset.raw)].head(100)
        version = model_registry.register(
            data.dataset.model, run, described["metaflow_run"], full_pipeline, folder, example, _tags(described, data)
        )
    while True:
        if not gate_result.promote:
            model_registry.annotate(version, gate_result.evidence())
            break
        expected = gate_result.comparison.champion if gate_result.comparison is not None else None
        if model_registry.promote(version, gate_result.evidence(), expected):
            break
        compared = against_champion(evaluation, data, config, described["metaflow_run"])
        gate_result = Gate(gate_result.verdicts, compared, gate_result.warnings)
    content = {"version": version.version, **training.record(), **gate_result.record()}
    record = json.dumps(format_version.stamped(content, RECORD_FORMAT), indent=1)
    model_registry.annotate(version, {RECORD_CHECKSUM: checksums.sha256(record.encode())})
    tracking.log_texts(run, {RECORD: record})
    tracking.close_run(run, described["params"], described["scores"])
    return version, gate_result


def _tags(described: Mapping[str, Any], data: Snapshot) -> dict[str, str]:
    keys = ("data_version", "git_commit", "git_dirty", "metaflow_run", "config_hash", "packages", "family", "threshold")
    tags = {key: str(described[key]) for key in (*keys, "training_seconds")} | {"synthetic": str(data.synthetic)}
    tags["dataset"] = data.dataset.name
    return tags | {f"score.{name}": f"{value:.6f}" for name, value in described["scores"].items()}


def champion(dataset: Dataset) -> model_registry.Registered:
    """The champion. Raises ChurnError if there is none yet."""
    registered = model_registry.by_alias(dataset.model, model_registry.CHAMPION)
    if registered is None:
        source = "" if dataset.synthetic else commands.FILE
        first = commands.say("run", DATASET=dataset.name, SOURCE=source)
        raise ChurnError(f"{dataset.model} has no champion yet; train one with: {first}")
    return registered


def champions(dataset: Dataset) -> tuple[model_registry.Registered, model_registry.Registered | None]:
    """The champion, and the uplift champion if there is one. Raises ChurnError if there is no champion yet."""
    return champion(dataset), registration.uplift_champion(dataset)


def package_champion(dataset: Dataset) -> tuple[model_registry.Registered, str, float]:
    """Package the champion: returns it, its Bento's tag, and the largest difference of the served probabilities.

    A served copy predicts PROOF_ROWS holdout rows. They are compared with the probabilities that ``register`` stored next to the
    model: the scikit-learn pipeline itself may not load in a newer release.
    """
    model = champion(dataset)
    tag = packaging.build_bento(model)
    kept = reference_data.load(model)
    rows = kept.table.head(PROOF_ROWS)
    worst = bento_server.prove(tag, kept.dataset, rows, rows["probability"].to_numpy())
    publish(model)
    return model, tag, worst


def publish(model: model_registry.Registered) -> str | None:
    """Publish the version's Bento to S3, and tag the version with its address; None if Bentos are not kept in S3."""
    if not os.environ.get("CHURNFLOW_BENTOS"):
        return None
    address = bento_store.publish(packaging.build_bento(model))
    assert address is not None
    model_registry.annotate(model, {bento_store.TAG: address})
    return address


def record(model: model_registry.Registered) -> dict[str, Any]:
    """The RECORD of a registry version: the verdict and, except for earlier releases, ``Training.record``.

    Raises ChurnError if it is damaged.
    """
    which = f"{RECORD} of {model.name} version {model.version}"
    with tempfile.TemporaryDirectory() as folder:
        content = Path(model_registry.client().download_artifacts(model.run, RECORD, folder)).read_bytes()
    noted = model_registry.by_version(model.name, model.version).tags.get(RECORD_CHECKSUM)
    if noted not in (None, checksums.sha256(content)):  # None: an earlier release
        raise ChurnError(f"{which}: damaged in MLflow's artifact store (run {model.run}); restore it from a backup")
    return format_version.opened(json.loads(content), RECORD_FORMAT, which)
