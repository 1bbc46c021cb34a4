"""One customer in the files kept beside models.

These are the holdout's rows, the background of explanations that older releases took from customers, and the Bentos that
contain it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from churn.privacy import data_versions, written_files
from churn.privacy.data_versions import Version
from churn.privacy.subject import Subject, without
from churn.privacy.trace import Trace, damaged_file
from churn.registry import model_registry
from churn.registry.mlflow_store import client
from churn.registry.model_registry import CHECKSUMS, FILES, Registered
from churn.serving import bento_store, packaging, prediction_log
from churn.settings import commands
from churn.storage import checksums, s3
from churn.storage.places import Place
from churn.training import onnx_scorer, shapley

STORE = "model"
ERASED = "erased"  # tag of a version: the data version from which customers have since been removed


def sweep(subject: Subject, remove: bool) -> Iterator[Trace]:
    """The customer's rows beside every registered model, and the models that one may want to retrain."""
    versions = {version.name: version for version in data_versions.holding(subject)}
    for model in _all():
        version = versions.get(model.tags.get("data_version", "")) or versions.get(_now(model))
        if version is not None:
            yield from _model(model, version, remove)
    for folder in _artifact_folders():
        yield from _artifacts(folder, subject, remove)


def _all() -> list[Registered]:
    versions = client().search_model_versions()
    return [model_registry.by_version(one.name, str(one.version)) for one in versions]


def _now(model: Registered) -> str:
    from churn.data import snapshots

    return snapshots.current(model.tags["data_version"]) if "data_version" in model.tags else ""


def _model(model: Registered, version: Version, remove: bool) -> Iterator[Trace]:
    """The files beside one model. Each is written whole, before its checksum, which is absent from the tag meanwhile."""
    files, noted = _files(model), checksums.from_line(model.tags.get(CHECKSUMS, ""))
    there = {name: files.read(name) for name in (prediction_log.HOLDOUT, onnx_scorer.MANIFEST)}
    for name, content in there.items():
        if content is not None and not _whole(name, content, noted):
            yield damaged_file(STORE, files.at(name))
            there[name] = None  # never record the checksum of a damaged file
    changed = {}
    holdout, text = there.values()
    if holdout is not None and version.holdout.any() and _rows(holdout) == len(version.holdout):
        changed[prediction_log.HOLDOUT] = without(holdout, version.holdout)
    background = _without_customer(json.loads(text), data_versions.rows(version)) if text is not None else None
    if background is not None:
        changed[onnx_scorer.MANIFEST] = background
    unnoted = {name: content for name, content in there.items() if noted and content is not None and name not in noted}
    if remove and (changed or unnoted):  # unnoted: an earlier attempt ended before recording it
        _write(model, files, noted, {**unnoted, **changed})
    if remove and background is not None:
        _drop_bentos(model)
    trained = int(version.train.sum())
    todo = _advice(model, version) if trained else ""
    if remove:
        model_registry.annotate(model, {ERASED: f"customers of data version {version.name}, since it was trained"})
    what = [f"trained on {trained} rows"] * bool(trained)
    what += ["a row of its holdout"] * (prediction_log.HOLDOUT in changed) + ["a row of its background"] * bool(
        background
    )
    if what:
        yield Trace(STORE, f"{model.name} version {model.version}", ", ".join(what), todo)
    if background is not None:
        command = commands.say("bento", DATASET=version.dataset.name)
        yield Trace(
            STORE,
            f"Bentos of version {model.version}",
            "a row of the background",
            f"build and roll out anew: {command}",
        )


def _whole(name: str, content: bytes, noted: Mapping[str, str]) -> bool:
    """Whether a file is as registered; an older release's can only be checked for readability."""
    if name in noted:
        return checksums.sha256(content).startswith(noted[name])
    try:
        return bool(json.loads(content) if name == onnx_scorer.MANIFEST else _rows(content))
    except (ValueError, OSError):  # Arrow's errors derive from these
        return False


def _advice(model: Registered, version: Version) -> str:
    """Advice on retraining: a model keeps no rows, but a served one should not stay trained on erased ones."""
    champion = model_registry.by_alias(model.name, model_registry.CHAMPION)
    if champion is None or champion.version != model.version:
        return "trained with the customer, not champion: no need to retrain; do not promote it again"
    again = commands.say("train", VERSION=version.name, FORCE="1")
    return f"champion, trained with the customer: retrain, now or with the next data: {again}"


def _write(model: Registered, files: Place, noted: dict[str, str], changed: dict[str, bytes]) -> None:
    mlflow = client()

    def note(hashes: dict[str, str]) -> None:
        if noted:
            mlflow.set_model_version_tag(model.name, model.version, CHECKSUMS, checksums.to_line(hashes))

    note({name: checksum for name, checksum in noted.items() if name not in changed})
    for name, content in changed.items():
        if files.address.startswith("mlflow-artifacts:"):
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, name).write_bytes(content)
                mlflow.log_artifact(model.run, str(Path(folder, name)), FILES)
        else:
            files.write(name, content)
    length = max(map(len, noted.values()), default=0)
    note(noted | {name: checksums.sha256(content)[:length] for name, content in changed.items()})


class _Served(Place):
    """A model's files behind an MLflow server, read through it."""

    def read(self, name: str) -> bytes | None:
        run = self.address.removeprefix("mlflow-artifacts:")
        with tempfile.TemporaryDirectory() as folder:
            there = [one.path for one in client().list_artifacts(run, FILES)]
            if f"{FILES}/{name}" not in there:
                return None
            return Path(client().download_artifacts(run, f"{FILES}/{name}", folder)).read_bytes()


def _files(model: Registered) -> Place:
    uri = str(client().get_run(model.run).info.artifact_uri)
    return (
        _Served(f"mlflow-artifacts:{model.run}") if uri.startswith("mlflow-artifacts:") else Place.of(f"{uri}/{FILES}")
    )


def _rows(parquet: bytes) -> int:
    import io

    import pyarrow.parquet as pq

    return int(pq.read_metadata(io.BytesIO(parquet)).num_rows)


def _without_customer(manifest: dict[str, Any], rows: Sequence[dict[str, Any]]) -> bytes | None:
    """The manifest without the customer's background rows; None if there are none."""
    before = manifest.get(shapley.BACKGROUND, [])
    kept = [row for row in before if row not in rows]
    if len(kept) == len(before):
        return None
    return json.dumps(manifest | {shapley.BACKGROUND: kept or [dict.fromkeys(before[0])]}, indent=1).encode()


def _drop_bentos(model: Registered) -> None:
    """Remove the model from BentoML's store, and the Bentos built from it, also where they were published."""
    home = Path(os.environ["BENTOML_HOME"])
    tag = f"v{model.version}-{model.run[:8]}"
    for folder in (*home.glob(f"models/{packaging.MODEL}/{tag}*"), *home.glob(f"bentos/{packaging.SERVICE}/{tag}*")):
        shutil.rmtree(folder)
    if address := bento_store.ADDRESS.match(model.tags.get(bento_store.TAG, "")):
        bucket, key = s3.split(address[1])
        with s3.explained(bucket, address[1]):
            s3.client().delete_object(Bucket=bucket, Key=key)
        client().delete_model_version_tag(model.name, model.version, bento_store.TAG)


def _artifact_folders() -> list[Place]:
    """The experiments' artifact folders that this process can reach directly."""
    uris = {str(one.artifact_location) for one in client().search_experiments()}
    return [Place.of(uri) for uri in sorted(uris) if uri.startswith(("file:", "s3:", "/"))]


def _artifacts(place: Place, subject: Subject, remove: bool) -> Iterator[Trace]:
    """Any other artifact that names the customer: tables, texts, cards."""
    for entry in place.entries():
        content = place.read(entry.name)
        if content is not None:
            yield from written_files.clean("MLflow artifact", place, entry.name, content, subject, remove)


def tags(subject: Subject, remove: bool) -> Iterator[Trace]:
    """The id in tags of runs and versions, such as reasons, on an MLflow server (a database file is searched as a whole)."""
    mlflow = client()
    if not os.environ["MLFLOW_TRACKING_URI"].startswith("http"):
        return
    experiments = [one.experiment_id for one in mlflow.search_experiments()]
    for run in mlflow.search_runs(experiments, max_results=50_000):
        for name, text in run.data.tags.items():
            if subject.named_in(text):
                if remove:
                    mlflow.set_tag(run.info.run_id, name, subject.redacted(text.encode()).decode())
                yield Trace("MLflow", f"run {run.info.run_id}", f"the id in tag {name}")
    for model in _all():
        for name, text in model.tags.items():
            if subject.named_in(text):
                if remove:
                    mlflow.set_model_version_tag(
                        model.name, model.version, name, subject.redacted(text.encode()).decode()
                    )
                yield Trace("MLflow", f"{model.name} version {model.version}", f"the id in tag {name}")
