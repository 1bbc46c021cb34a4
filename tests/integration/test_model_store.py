"""What lies in MLflow's artifact store is used only if it is what was registered, and runs no code here."""

import contextlib
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import skops.io
from churn.data import features, synthetic, tables
from churn.errors import ChurnError
from churn.registry import champion_move, mlflow_store, model_registry, sklearn_model
from churn.serving import prediction_log
from churn.settings.dataset import Dataset
from churn.settings.train import Family
from churn.storage import checksums
from churn.training import estimators, onnx_scorer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

FAMILY = Family(name="lr", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True)


@pytest.fixture(scope="module")
def made(telco: Dataset, empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A registered model: ``model``, the ``whole`` pipeline, its ``rows`` and ``answers``, and the ``files`` in the store."""
    folder = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copy(empty_database, folder / 'mlflow.db')}")
        table = synthetic.generate(telco, 300, 1)
        pipeline = estimators.build_pipeline(FAMILY, telco, 0, {"max_iter": 200})
        pipeline.fit(features.frame(telco, table), features.outcome(telco, table))
        whole, rows = estimators.whole(pipeline, telco), table[list(telco.raw)].head(50)
        onnx_scorer.write(folder / "files", pipeline, {"dataset": telco.model_dump(mode="json"), "threshold": 0.5})
        (folder / "files" / prediction_log.HOLDOUT).write_bytes(tables.to_bytes(table))
        mlflow = mlflow_store.client()
        run = mlflow.create_run(mlflow.create_experiment("e", f"file://{folder}/store")).info.run_id
        model = model_registry.register("churn", run, "t/1", whole, str(folder / "files"), rows, {"data_version": "d"})
        files = {path.name: path for path in (folder / "store").rglob("*") if path.is_file()}
        answers = whole.predict_proba(rows)[:, 1]
        yield SimpleNamespace(
            model=model, whole=whole, rows=rows, answers=answers, files=files, run=run, given=str(folder / "files")
        )


@pytest.fixture(autouse=True)
def _as_before(made: SimpleNamespace, tmp_path: Path) -> Iterator[None]:
    """The store's files are put back."""
    kept = {path: path.read_bytes() for path in made.files.values()}
    yield
    for path, content in kept.items():
        path.write_bytes(content)


def _answers(made: SimpleNamespace) -> Any:
    return model_registry.load(made.model).predict_proba(made.rows)[:, 1]


def test_every_file_that_is_read_has_its_checksum_in_the_registry(made: SimpleNamespace) -> None:
    noted = checksums.from_line(made.model.tags[model_registry.CHECKSUMS])
    assert sorted(noted) == ["holdout.parquet", "manifest.json", "model.onnx", "model.skops"]
    assert all(checksums.file_sha256(made.files[name]) == checksum for name, checksum in noted.items())
    np.testing.assert_array_equal(_answers(made), made.answers)


class Hostile:
    """What runs when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def _plant_in_mlmodel(made: SimpleNamespace, mark: Path) -> None:
    """MLflow's own loader would now run three codes: a pickle, a module of the model's, and a type that it trusts."""
    place = made.files["MLmodel"].parent
    (place / "model.pkl").write_bytes(pickle.dumps(Hostile(mark)))
    text = made.files["MLmodel"].read_text()
    text = text.replace("serialization_format: skops", "serialization_format: cloudpickle")
    text = text.replace("pickled_model: model.skops", "pickled_model: model.pkl")
    text = text.replace("model_path: model.skops", "model_path: model.pkl")
    made.files["MLmodel"].write_text(text)
    for module in (place / "code" / "churn").rglob("*.py"):
        module.write_text(f"import os; os.system('touch {mark}')")


def test_nothing_that_the_stores_mlmodel_says_is_believed(made: SimpleNamespace, tmp_path: Path) -> None:
    mark = tmp_path / "run"
    code = made.files["MLmodel"].parent / "code"
    shutil.copytree(code, tmp_path / "code")
    _plant_in_mlmodel(made, mark)
    np.testing.assert_array_equal(_answers(made), made.answers)
    assert not mark.exists()
    (made.files["MLmodel"].parent / "model.pkl").unlink()
    shutil.copytree(tmp_path / "code", code, dirs_exist_ok=True)


def _hostile_skops(made: SimpleNamespace) -> bytes:
    """A pipeline in skops' form that calls what it should not when it is asked."""
    step = FunctionTransformer(func=os.system, validate=False)
    return skops.io.dumps(Pipeline([("run", step), *made.whole.steps]))


def test_an_exchanged_pipeline_is_refused_by_its_checksum(made: SimpleNamespace) -> None:
    made.files[sklearn_model.FILE].write_bytes(_hostile_skops(made))
    with pytest.raises(ChurnError, match=r"churn version 1: model\.skops is damaged in MLflow's artifact store"):
        model_registry.load(made.model)


def test_where_no_checksum_is_noted_only_types_of_ours_are_loaded_and_it_is_said(
    made: SimpleNamespace, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """As of an older release."""
    old = model_registry.Registered("churn", "1", made.run, {"data_version": "d"})
    np.testing.assert_array_equal(model_registry.load(old).predict_proba(made.rows)[:, 1], made.answers)
    assert "stored no checksum of its model.skops" in caplog.text
    made.files[sklearn_model.FILE].write_bytes(_hostile_skops(made))
    with pytest.raises(
        ChurnError, match=r"model\.skops: it contains (nt|posix)\.system, which Churnflow.s models do not use"
    ):
        model_registry.load(old)
    with zipfile.ZipFile(made.files[sklearn_model.FILE], "w") as archive:
        archive.writestr("schema.json", json.dumps({"__class__": "eval", "__module__": "builtins", "__loader__": "x"}))
    with pytest.raises(ChurnError, match=r"^model\.skops: "):
        model_registry.load(old)
    caplog.clear()
    model_registry.fetch(old, tmp_path)
    assert (
        "churn version 1: the release that registered it stored no checksum of its holdout.parquet, manifest.json, model.onnx"
        in caplog.text
    )


def _flips(made: SimpleNamespace, folder: Path, number: int, names: tuple[str, ...]) -> None:
    """Each time one bit of a file in the store: an error that names the file."""
    rng = random.Random(number)
    for turn in range(number):
        file = made.files[rng.choice(names)]
        content = file.read_bytes()
        changed, bit = bytearray(content), rng.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        with pytest.raises(ChurnError, match=f"churn version 1: {file.name} is .*damaged in MLflow's artifact store"):
            model_registry.load(made.model) if file.name == sklearn_model.FILE else model_registry.fetch(
                made.model, folder / str(turn)
            )
        file.write_bytes(content)


FETCHED = ("model.onnx", "manifest.json", prediction_log.HOLDOUT)


def test_no_flipped_bit_of_the_store_is_used(made: SimpleNamespace, tmp_path: Path) -> None:
    _flips(made, tmp_path, 20, (*FETCHED, sklearn_model.FILE))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FETCHED, sklearn_model.FILE])
def test_none_of_five_hundred_flipped_bits_is_used(made: SimpleNamespace, tmp_path: Path, name: str) -> None:
    _flips(made, tmp_path, 500, (name,))


def _flips_of_the_database(folder: Path, number: int, patch: pytest.MonkeyPatch) -> None:
    """Each time one bit of MLflow's database: the same champion with the same tags, or our own error."""
    whole = Path(shutil.copy(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"), folder / "whole.db"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{whole}")
    model_registry.promote(model_registry.by_version("churn", "1"), {"verdict": "first"}, None)
    champion, content = model_registry.by_alias("churn", champion_move.CHAMPION), whole.read_bytes()
    assert champion is not None
    rng = random.Random(number)
    for turn in range(number):
        changed, bit = bytearray(content), rng.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
        copy = folder / f"{turn}.db"  # MLflow keeps an engine for each address
        copy.write_bytes(changed)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{copy}")
        with contextlib.suppress(ChurnError):
            assert model_registry.by_alias("churn", champion_move.CHAMPION) == champion, bit
        copy.unlink(missing_ok=True)


def test_no_flipped_bit_of_the_database_makes_another_champion(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _flips_of_the_database(tmp_path, 20, monkeypatch)


@pytest.mark.slow
def test_none_of_five_hundred_flipped_bits_of_the_database_makes_another_champion(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _flips_of_the_database(tmp_path, 500, monkeypatch)


def test_an_answer_that_is_lost_registers_nothing_twice(made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client asks again when the server's answer does not arrive, and the server makes another version."""
    real = mlflow_store.client()

    class Lossy:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def create_model_version(self, *words: Any, **named: Any) -> Any:
            real.create_model_version(*words, **named)
            return real.create_model_version(*words, **named)

    monkeypatch.setattr(model_registry, "client", Lossy)
    monkeypatch.setattr(sklearn_model, "log_pipeline", lambda *_: ("file:///nowhere", "0"))
    twice = model_registry.register("churn", made.run, "t/2", made.whole, made.given, made.rows, {})
    versions = [v for v in real.search_model_versions("name = 'churn'") if v.tags["churnflow.training"] == "t/2"]
    assert [str(v.version) for v in versions] == [twice.version] == ["2"]
    again = model_registry.register("churn", made.run, "t/2", made.whole, made.given, made.rows, {})
    assert again.version == "2"


def test_a_pipeline_that_the_store_gives_back_otherwise_is_not_registered(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / sklearn_model.FILE
    turned = estimators.build_pipeline(FAMILY, onnx_scorer.Scorer(made.given).dataset, 0, {"C": 1e-4})
    dataset = onnx_scorer.Scorer(made.given).dataset
    table = synthetic.generate(dataset, 100, 2)
    turned.fit(features.frame(dataset, table), features.outcome(dataset, table))
    other.write_bytes(skops.io.dumps(estimators.whole(turned, dataset)))
    monkeypatch.setattr(sklearn_model, "download", lambda *_: other)
    with pytest.raises(ChurnError, match="predicts differently from the model"):
        sklearn_model.log_pipeline(made.run, made.whole, made.rows)
