"""The service against its own OpenAPI document: a valid one, kept under generated requests, with keys, for other data."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import other_data
import pytest
from churn import conform, describe, explain, features, generator, models, scoring, serving, tables
from churn.config import Family
from openapi_spec_validator import validate

from tests.bench import common
from tests.bench.contract import contract


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A model of another company's customers (blanks and umlauts in names, gaps, a date) behind the same ASGI application."""
    import uvicorn

    from bento.desk import Desk
    from bento.settings import ServeConfig

    folder = tmp_path_factory.mktemp("other")
    frame = other_data.narrow(600, seed=1)
    dataset = describe.describe(frame, "bank", "bank.csv").dataset
    table = tables.from_bytes(tables.to_bytes(conform.conform(frame, dataset)[0]))
    family = Family(name="linear", estimator="sklearn.linear_model.LogisticRegression", impute=True, scale=True)
    pipeline = models.build(family, dataset, 0, {}).fit(features.frame(dataset, table), models.outcome(dataset, table))
    manifest = {
        "dataset": dataset.model_dump(mode="json"), "threshold": 0.3, "model_version": "1", "data_version": "other",
        "family": "linear", "scores": {}, "params": {}, explain.BACKGROUND: explain.background(dataset, table, 0),
        "examples": serving.json_rows(dataset, generator.generate(dataset, 5, 0)),
    }  # fmt: skip
    scoring.write(folder, pipeline, manifest)
    settings = ServeConfig.model_validate({"log": {"enabled": False}, "input": {"unknown_category": "unseen"}})
    port = common.free_port()
    app = Desk(scoring.Scorer(folder), settings).app()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield SimpleNamespace(url=f"http://127.0.0.1:{port}", dataset=dataset, table=table, pipeline=pipeline)
    server.should_exit = True
    thread.join()


def test_the_champion_keeps_its_contract(trained: SimpleNamespace, tmp_path: Path) -> None:
    keys = {"CHURNFLOW_API_KEYS": "first,second", "CHURNFLOW_PREDICTIONS": str(tmp_path / "log")}
    with serving.served(trained.train.bento, **keys) as url:
        validate(common.get(f"{url}/docs.json"))
        cases, report = contract(url, 0, str(tmp_path), "-H", "X-API-Key: second")
    assert report == ""
    assert cases > 200


def test_another_data_set_keeps_its_contract(other: SimpleNamespace, tmp_path: Path) -> None:
    document = common.get(f"{other.url}/docs.json")
    validate(document)
    assert set(document["components"]["schemas"]["Customer"]["properties"]) == set(other.dataset.raw)
    cases, report = contract(other.url, 0, str(tmp_path))
    assert report == ""
    assert cases > 200


def test_another_data_set_answers_as_its_pipeline(other: SimpleNamespace) -> None:
    expected = models.whole(other.pipeline, other.dataset).predict_proba(other.table)[:, 1]
    answers = serving.post(f"{other.url}/predict_batch", {"rows": serving.json_rows(other.dataset, other.table)})
    assert [answer["probability"] for answer in answers] == pytest.approx(expected, abs=1e-5)


def test_an_unseen_category_is_answered_with_a_warning_where_the_policy_says_so(other: SimpleNamespace) -> None:
    customer: dict[str, Any] = common.get(f"{other.url}/model")["examples"][0]
    answer = serving.post(f"{other.url}/predict", {**customer, "country": "Atlantis"})
    (warning,) = answer["warnings"]
    assert (warning["field"], warning["reason"], warning["value"]) == ("country", "category", "Atlantis")
    assert "Österreich" in json.dumps(warning["allowed"], ensure_ascii=False)
