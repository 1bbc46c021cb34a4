"""ScoreFlow, really run on the champion of the session."""

import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from churn.registry import model_registry
from churn.serving import prediction_log
from churn.settings.dataset import Dataset
from conftest import flow

SHARDS = """
[[source]]
kind = "synthetic"
rows = 50
[score]
shard_rows = 600
explained = 5
"""


def test_customers_become_a_ranked_list(
    trained: SimpleNamespace, telco: Dataset, customers_csv: Path, tmp_path: Path
) -> None:
    from metaflow import Flow
    from metaflow.cards import get_cards

    rows = pd.read_csv(customers_csv).drop(columns="Churn")
    rows.loc[7, "tenure"] = -1
    rows.to_csv(tmp_path / "customers.csv", index=False)
    (tmp_path / "score.toml").write_text(SHARDS)
    places = {"CHURNFLOW_SCORES": str(tmp_path / "scores"), "CHURNFLOW_PREDICTIONS": str(tmp_path / "log")}
    words = ("--config", "settings", str(tmp_path / "score.toml"), "run")
    done = flow("score_flow", *words, "--source", str(tmp_path / "customers.csv"), **places)
    assert done.returncode == 0, done.stdout
    (place,) = re.findall(r"customers are likely to leave: (\S+)", done.stdout)
    listed = pd.read_csv(place)
    assert sorted(listed.customerID) == sorted(rows.drop(7).customerID)
    expected = model_registry.load(trained.train.champion).predict_proba(listed[list(telco.raw)])[:, 1]
    assert abs(listed.probability - expected).max() < 1e-5
    run = Flow("ScoreFlow").latest_successful_run
    assert len(list(run["score"])) == 3
    moment = pd.Timestamp(run.data.moment, unit="us", tz="UTC").to_pydatetime()
    logged = prediction_log.read(telco, moment, moment + pd.Timedelta(seconds=1), places["CHURNFLOW_PREDICTIONS"])
    assert set(zip(logged.prediction_id, logged.probability, strict=True)) == set(
        zip(listed.prediction_id, listed.probability, strict=True)
    )
    (card,) = get_cards(run["rank"].task)
    assert card.get()
    assert run.data.quarantined.reasons.tolist() == ["tenure is between 0 and 240"]


def test_synthetic_customers_are_ranked_and_not_logged(trained: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "score.toml").write_text(SHARDS)
    places = {"CHURNFLOW_SCORES": str(tmp_path / "scores"), "CHURNFLOW_PREDICTIONS": str(tmp_path / "log")}
    done = flow("score_flow", "--config", "settings", str(tmp_path / "score.toml"), "run", **places)
    assert " of 50 customers are likely to leave" in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == lines[-1]
    assert lines[0].startswith("Synthetic customers, none of yours: 50 rows")
    assert lines[0].endswith("flows/score_flow.py --config description config/datasets/telco.toml run --source FILE")
    assert not (tmp_path / "log").exists()
