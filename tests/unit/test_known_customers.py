"""The service is asked by id for customers whom ScoreFlow has looked at; it knows their ids only under the key."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from churn.data import features, tables
from churn.data.events import engine, staging, synthetic
from churn.privacy import logged_rows
from churn.privacy.subject import Subject
from churn.serving import batch_scoring, packaging, prediction_log
from churn.serving.request import Rejected
from churn.settings import core
from churn.settings.dataset import Dataset
from churn.settings.train import Family
from churn.storage import keyed_ids
from churn.training import estimators, onnx_scorer, shapley
from conftest import ROOT

from bento.endpoints import Endpoints
from bento.settings import ServeConfig

SECRET = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret
FEW = {"dates": ("2024-09-01T00:00:00", "2025-01-01T00:00:00"), "every": "", "first": ""}
SETTINGS = ServeConfig.model_validate({"log": {"enabled": False}, "input": {"out_of_range": "flag"}})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[onnx_scorer.Scorer, pd.DataFrame]:
    """A model of the shop's customers, and those of the newest event."""
    folder, log = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("log")
    for name, table in synthetic.generate(300, 1).tables.items():
        table.to_parquet(log / f"{name}.parquet")
    shop = core.load(Dataset, ROOT / "config" / "datasets" / "shop.toml")
    rule = shop.snapshots.model_copy(update={**FEW, "max_age_days": 30, "outdated": "flag"})  # type: ignore[union-attr]
    shop = shop.model_copy(update={"snapshots": rule})
    given = staging.given(shop, str(log))
    past, now = (tables.typed(engine.customers(shop, given, now=now).table, shop) for now in (False, True))
    past = past.dropna(subset="churned")
    family = Family(name="linear", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True)
    pipeline = estimators.build_pipeline(family, shop, 0, {}).fit(
        features.frame(shop, past), features.outcome(shop, past)
    )
    manifest = {
        "dataset": shop.model_dump(mode="json"), "threshold": 0.3, "model_version": "1", "data_version": "d",
        "family": "linear", "scores": {}, "params": {}, shapley.BACKGROUND: shapley.background(shop, past, 0),
        "examples": packaging.json_rows(shop, past.head(2)),
    }  # fmt: skip
    onnx_scorer.write(folder, pipeline, manifest)
    return onnx_scorer.Scorer(folder), now


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path))
    monkeypatch.setenv(keyed_ids.KEY, SECRET)
    return tmp_path


def _as_of(now: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    return now.assign(snapshot=pd.Timestamp(moment.replace(tzinfo=None)))


def _ask(endpoints: Endpoints, body: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(bytes(endpoints.predict(json.dumps(body).encode()).body))
    return found


def test_an_id_gets_the_answer_that_its_features_get(made: tuple[onnx_scorer.Scorer, pd.DataFrame], log: Path) -> None:
    scorer, now = made
    now = _as_of(now, datetime.now(UTC))
    endpoints = Endpoints(scorer, SETTINGS)
    with pytest.raises(Rejected, match=r"there is no table of customers; write it with: .*score") as none:
        _ask(endpoints, {"customer_id": "00042"})
    assert none.value.status == 404
    assert batch_scoring.keep_features(scorer, now) == (f"the service can look up {len(now)} customers by id",)
    for who, row in zip(now["customer_id"], packaging.json_rows(scorer.dataset, now), strict=True):
        by_id, plain = (_ask(endpoints, body) for body in ({"customer_id": who}, row))
        assert by_id == {**plain, "prediction_id": by_id["prediction_id"]}
    assert json.loads(bytes(endpoints.explain(json.dumps({"customer_id": who}).encode()).body))["reasons"]
    with pytest.raises(Rejected, match="no customer with this id at 20") as unknown:
        _ask(endpoints, {"customer_id": "nobody"})
    assert (unknown.value.status, unknown.value.problems[0].field) == (404, "customer_id")
    for wrong in ({"customer_id": None}, {"customer_id": " "}, {"customer_id": True}):
        with pytest.raises(Rejected) as refused:
            _ask(endpoints, wrong)
        assert refused.value.status == 422
    assert now["customer_id"].iloc[0].encode() not in (log / "features" / "shop.arrow").read_bytes()


def test_outdated_features_are_flagged_or_refused(made: tuple[onnx_scorer.Scorer, pd.DataFrame], log: Path) -> None:
    scorer, now = made
    batch_scoring.keep_features(scorer, _as_of(now, datetime.now(UTC) - timedelta(days=31)))
    endpoints, body = Endpoints(scorer, SETTINGS), {"customer_id": now["customer_id"].iloc[0]}
    assert [one["reason"] for one in _ask(endpoints, body)["warnings"]][-1:] == ["outdated"]  # type: ignore[attr-defined]
    rule = scorer.dataset.snapshots.model_copy(update={"outdated": "refuse"})  # type: ignore[union-attr]
    endpoints._known._dataset = scorer.dataset.model_copy(update={"snapshots": rule})
    with pytest.raises(Rejected, match="features are 31 days old; compute them again with: ") as old:
        _ask(endpoints, body)
    assert (old.value.status, old.value.problems[0].reason) == (409, "outdated")


def test_no_key_no_table(
    made: tuple[onnx_scorer.Scorer, pd.DataFrame], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(keyed_ids.KEY)
    assert "CHURNFLOW_ID_KEY is not set" in batch_scoring.keep_features(*made)[0]
    assert not list(log.iterdir())


def test_an_erased_customer_is_unknown(made: tuple[onnx_scorer.Scorer, pd.DataFrame], log: Path) -> None:
    scorer, now = made
    batch_scoring.keep_features(scorer, _as_of(now, datetime.now(UTC)))
    endpoints, (who, other) = Endpoints(scorer, SETTINGS), now["customer_id"].iloc[:2]
    assert _ask(endpoints, {"customer_id": who})
    for remove in (False, True):
        (trace,) = logged_rows.newest_features(Subject(who, frozenset({"customer_id"})), remove)
        assert trace.place.endswith("features/shop.arrow")
    assert not list(logged_rows.newest_features(Subject(who, frozenset({"customer_id"})), True))
    with pytest.raises(Rejected, match="no customer with this id"):
        _ask(endpoints, {"customer_id": who})
    assert _ask(endpoints, {"customer_id": other})


def test_a_damaged_file_of_features_is_told_and_the_others_are_searched(
    made: tuple[onnx_scorer.Scorer, pd.DataFrame], log: Path
) -> None:
    scorer, now = made
    batch_scoring.keep_features(scorer, _as_of(now, datetime.now(UTC)))
    whole = (log / "features" / "shop.arrow").read_bytes()
    subject = Subject(now["customer_id"].iloc[0], frozenset({"customer_id"}))
    for broken in (b"", b"not Arrow", whole[:-100], whole[: len(whole) // 2]):
        (log / "features" / "other.arrow").write_bytes(broken)
        damaged, found = logged_rows.newest_features(subject, False)
        assert (damaged.what, found.what) == ("a file that is damaged", "1 row")
        assert damaged.place.endswith("features/other.arrow")
        assert damaged.todo


def test_an_id_adds_a_fraction_of_what_a_request_costs(
    made: tuple[onnx_scorer.Scorer, pd.DataFrame], log: Path
) -> None:
    scorer, now = made
    rows = pd.concat([_as_of(now, datetime.now(UTC))] * 400, ignore_index=True)
    rows["customer_id"] = [f"{n:07d}" for n in range(len(rows))]
    batch_scoring.keep_features(scorer, rows)
    endpoints = Endpoints(scorer, SETTINGS)
    plain = [json.dumps(row).encode() for row in packaging.json_rows(scorer.dataset, rows.head(200))]
    by_id = [json.dumps({"customer_id": who}).encode() for who in rows["customer_id"].sample(200, random_state=0)]
    took: dict[str, float] = {}
    for kind, bodies in (("plain", plain), ("id", by_id)):
        each = []
        for body in bodies * 3:
            begin = time.thread_time()
            endpoints.predict(body)
            each.append(time.thread_time() - begin)
        took[kind] = float(np.median(each))
    assert took["id"] - took["plain"] < 3e-4, took  # over HTTP a plain request takes twice that of the CPU
    assert prediction_log.root() == str(log)
