"""The log does not know whose rows it keeps, and files with customers are their owner's alone."""

import hashlib
import hmac
import json
import logging
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from churn.data import features, synthetic
from churn.errors import ChurnError
from churn.monitoring import labels
from churn.serving import packaging, prediction_log
from churn.settings.dataset import Dataset
from churn.settings.train import Family
from churn.storage import keyed_ids
from churn.training import estimators, onnx_scorer, shapley
from churn.validation import ingestion

from bento.endpoints import Endpoints
from bento.settings import ServeConfig, load_settings

SECRET = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def scorer(telco: Dataset, tmp_path_factory: pytest.TempPathFactory) -> onnx_scorer.Scorer:
    folder, table = tmp_path_factory.mktemp("model"), synthetic.generate(telco, 300, seed=5)
    family = Family(name="linear", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True)
    pipeline = estimators.build_pipeline(family, telco, 0, {}).fit(
        features.frame(telco, table), features.outcome(telco, table)
    )
    manifest = {
        "dataset": telco.model_dump(mode="json"), "threshold": 0.3, "model_version": "1", "data_version": "d",
        "family": "linear", "scores": {}, "params": {}, shapley.BACKGROUND: shapley.background(telco, table, 0),
        "examples": packaging.json_rows(telco, synthetic.generate(telco, 2, 0)),
    }  # fmt: skip
    onnx_scorer.write(folder, pipeline, manifest)
    return onnx_scorer.Scorer(folder)


def _logged(scorer: onnx_scorer.Scorer, how: bool | str, at: Path, form: str) -> pd.DataFrame:
    """What the log holds of two customers, one of whom says who it is."""
    endpoints = Endpoints(scorer, ServeConfig.model_validate({"log": {"customer_id": how}}))
    example = scorer.manifest["examples"][0]
    rows = [{**example, "customerID": "7590-VHVEG"}, {**example, "customerID": None}]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    bodies = {"one by one": [rows[0], example], "by row": [{"rows": rows}], "by column": [{"columns": columns}]}
    work = endpoints.predict if form == "one by one" else endpoints.predict_batch
    for body in bodies[form]:
        after = work(json.dumps(body).encode()).after
        assert after is not None
        after()
    endpoints.close()
    return pd.read_parquet(at / prediction_log.PREDICTIONS).sort_values("customerID", na_position="last")


@pytest.mark.parametrize("form", ["one by one", "by row", "by column"])
@pytest.mark.parametrize(
    ("how", "key", "kept"),
    [
        (True, SECRET, hmac.new(SECRET.encode(), b"7590-VHVEG", hashlib.sha256).hexdigest()[:32]),
        (True, "", None),
        ("plain", "", "7590-VHVEG"),
    ],
    ids=["keyed", "no key", "plain"],
)
def test_the_log_keeps_the_id_keyed_or_not_at_all(
    scorer: onnx_scorer.Scorer,
    how: bool | str,
    key: str,
    kept: str | None,
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path))
    monkeypatch.setenv(keyed_ids.KEY, key)
    monkeypatch.setattr(logging.getLogger("bentoml"), "propagate", True)
    found = _logged(scorer, how, tmp_path, form)
    assert [one if isinstance(one, str) else None for one in found.customerID] == [kept, None]
    assert ("keeps no customer ids" in caplog.text) == (kept is None)
    assert all(stat.S_IMODE(part.stat().st_mode) == 0o600 for part in tmp_path.rglob("*.parquet"))


def test_a_key_that_keeps_no_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keyed_ids.KEY, "short")
    with pytest.raises(ChurnError, match="16 or more"):
        load_settings()


def test_rows_set_aside_are_their_owners_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ingestion, "STATE", tmp_path)
    ingestion.write_quarantine(pd.DataFrame({"customerID": ["7590-VHVEG"]}), "telco-1")
    assert stat.S_IMODE((tmp_path / "quarantine" / "telco-1.csv").stat().st_mode) == 0o600


@pytest.mark.parametrize("key", [SECRET, ""], ids=["keyed", "plain"])
def test_outcomes_of_customers_find_their_predictions(
    telco: Dataset, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(keyed_ids.KEY, key)
    now, empty = datetime.now(UTC), (None,) * len(telco.raw)
    logged = keyed_ids.logged(plain=not key)
    asked = [("a", "7590-VHVEG"), ("b", "5575-GNVDE"), ("c", "7590-VHVEG"), ("d", None)]
    micros = int(now.timestamp() * 1e6)
    rows = [(one * 32, micros, "1", "d", 0.5, True, logged(who), *empty) for one, who in asked]
    part = prediction_log.encode(prediction_log.schema(telco, with_id=True), rows)
    prediction_log.store(str(tmp_path), prediction_log.part_name(prediction_log.PREDICTIONS, micros), part)
    (tmp_path / "labels.csv").write_text("customerID,outcome\n7590-VHVEG,Yes\n5575-GNVDE,No\nnobody,Yes\n")
    reference = SimpleNamespace(dataset=telco, model=SimpleNamespace(version="1"))
    until = now + timedelta(minutes=1)
    found = labels.from_log(reference, str(tmp_path / "labels.csv"), 1, until, str(tmp_path))  # type: ignore[arg-type]
    told = dict(zip(found.table.prediction_id, found.table.outcome, strict=True))
    assert told == {"a" * 32: True, "b" * 32: False, "c" * 32: True}
    assert found.unknown == 1
