"""The service against its own OpenAPI document: a valid one, kept under generated requests, with keys, for other data."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from churn.serving import bento_server, packaging
from churn.training import estimators
from openapi_spec_validator import validate

from tests.bench import common
from tests.bench.contract import contract


def test_the_champion_keeps_its_contract(trained: SimpleNamespace, tmp_path: Path) -> None:
    keys = {"CHURNFLOW_API_KEYS": "first,second", "CHURNFLOW_PREDICTIONS": str(tmp_path / "log")}
    with bento_server.served(trained.train.bento, **keys) as url:
        validate(common.get(f"{url}/docs.json"))
        cases, report = contract(url, 0, str(tmp_path), "-H", "X-API-Key: second")
    assert report == ""
    assert cases > 200


def test_another_data_set_keeps_its_contract(other: SimpleNamespace, tmp_path: Path) -> None:
    document = common.get(f"{other.url}/docs.json")
    validate(document)
    assert set(document["components"]["schemas"]["Customer"]["properties"]) == set(other.dataset.raw)
    cases, report = contract(other.url, 0, str(tmp_path), "--phases", "examples,fuzzing", "-n", "15")
    assert report == ""
    assert cases > 50


def test_another_data_set_answers_as_its_pipeline(other: SimpleNamespace) -> None:
    expected = estimators.whole(other.pipeline, other.dataset).predict_proba(other.table)[:, 1]
    answers = bento_server.post_json(
        f"{other.url}/predict_batch", {"rows": packaging.json_rows(other.dataset, other.table)}
    )
    assert [answer["probability"] for answer in answers] == pytest.approx(expected, abs=1e-5)


def test_an_unseen_category_is_answered_with_a_warning_where_the_policy_says_so(other: SimpleNamespace) -> None:
    customer: dict[str, Any] = common.get(f"{other.url}/model")["examples"][0]
    answer = bento_server.post_json(f"{other.url}/predict", {**customer, "country": "Atlantis"})
    (warning,) = answer["warnings"]
    assert (warning["field"], warning["reason"], warning["value"]) == ("country", "category", "Atlantis")
    assert "Österreich" in json.dumps(warning["allowed"], ensure_ascii=False)
