"""A campaign, really run on the champion of the session: lists, log, and what the report says."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from churn.campaigns import campaign_log, execution, outcomes, report, uplift_outcomes
from churn.data import casting
from churn.errors import ChurnError
from churn.registry.model_registry import Registered
from churn.serving import bento_server, packaging
from churn.settings.core import from_dict
from churn.settings.dataset import Dataset
from churn.settings.score import CampaignConfig
from churn.settings.train import TrainConfig
from churn.storage import keyed_ids
from churn.telemetry import push
from churn.uplift import candidates, holdout, registration
from conftest import ROOT, flow

SETTINGS = """
[targeting]
contacts = 300
control = 0.25
[policy]
suppression = "{list}"
suppression_column = "do_not_call"
[[offer]]
name = "call"
cost = 4.0
[report]
horizon_days = 0.0
"""
NOW = 1_795_000_000_000_000


@pytest.fixture(scope="module")
def campaign(
    trained: SimpleNamespace, customers_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """A dry run and a run of the flow, and where they put things."""
    folder = tmp_path_factory.mktemp("campaign")
    rows = pd.read_csv(customers_csv).drop(columns="Churn")
    rows["do_not_call"] = ["yes" if n % 10 == 0 else "" for n in range(len(rows))]
    rows.to_csv(folder / "customers.csv", index=False)
    rows.customerID.iloc[1:200:2].to_csv(folder / "suppressed.csv", index=False)
    (folder / "campaign.toml").write_text(SETTINGS.format(list=folder / "suppressed.csv"))
    places = {"CHURNFLOW_SCORES": str(folder / "scores"), "CHURNFLOW_PREDICTIONS": str(folder / "log")}
    environ = {**places, keyed_ids.KEY: "a key of the tests"}
    words = ("--config", "settings", str(folder / "campaign.toml"), "run", "--name", "spring")
    source = str(folder / "customers.csv")
    dry = flow("campaign_flow", *words, "--source", source, "--dry", **environ)
    assert not (folder / "log").exists()
    assert not (folder / "scores").exists()
    done = flow("campaign_flow", *words, "--source", source, **environ)
    assert done.returncode == 0, done.stdout
    return SimpleNamespace(folder=folder, dry=dry.stdout, said=done.stdout, rows=rows, environ=environ, words=words)


def test_a_dry_run_promises_what_the_run_does(campaign: SimpleNamespace) -> None:
    promise = re.findall(r"Campaign spring: .*", campaign.dry)
    assert promise == re.findall(r"Campaign spring: .*", campaign.said)
    assert "300 contacts for 1,200.00, 100 held back; smallest effect" in promise[0]
    assert "Dry run: nothing written" in campaign.dry


def test_the_lists_are_apart_and_nobody_on_them_is_suppressed(campaign: SimpleNamespace) -> None:
    lists = {
        name: pd.read_csv(campaign.folder / "scores" / name / "telco-spring.csv") for name in ("contacts", "held_back")
    }
    contacts, held = (set(lists[name].customerID) for name in ("contacts", "held_back"))
    assert (len(contacts), len(held), len(contacts & held)) == (300, 100, 0)
    refused = set(campaign.rows.customerID[campaign.rows.do_not_call == "yes"]) | set(
        campaign.rows.customerID.iloc[1:200:2]
    )
    assert not refused & (contacts | held)
    (log,) = (campaign.folder / "log" / "campaigns").rglob("*.parquet")
    assert not set(campaign.rows.customerID) & set(pd.read_parquet(log).customerID), "ids are keyed"
    (predictions,) = (campaign.folder / "log" / "predictions").rglob("*.parquet")
    known = pd.read_parquet(predictions)
    assert len(known) == len(campaign.rows), "all customers of the source, as ScoreFlow logs them"
    assert set(lists["contacts"].prediction_id) <= set(known.prediction_id)
    first = lists["contacts"].iloc[0]
    assert all(" = " in first[f"reason_{n}"] for n in (1, 2, 3))
    assert first.MonthlyCharges == campaign.rows.set_index("customerID").MonthlyCharges[first.customerID]
    assert "reason_1" not in lists["held_back"]


@pytest.fixture
def here(campaign: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    for name, value in campaign.environ.items():
        monkeypatch.setenv(name, value)
    return campaign


def plan(trained: SimpleNamespace, here: SimpleNamespace, name: str, now: int = NOW, **tables: object) -> object:
    rule = from_dict(CampaignConfig, tables, "campaign.toml")
    return execution.plan(trained.train.champion, str(here.folder / "customers.csv"), name, rule, "run", now)


def test_who_was_contacted_lately_is_not_contacted_again(trained: SimpleNamespace, here: SimpleNamespace) -> None:
    now = int(datetime.now(UTC).timestamp() * 1e6)
    soon = plan(trained, here, "summer", now, targeting={"contacts": 2000})
    assert soon.left_out["contacted in the last 30 days"] == 300
    later = plan(trained, here, "summer", now + int(31 * 86400e6), targeting={"contacts": 2000})
    assert later.left_out == {}


def test_uplift_from_a_column_ranks_and_a_column_that_is_not_there_is_named(
    trained: SimpleNamespace, here: SimpleNamespace
) -> None:
    with pytest.raises(ChurnError, match=r"no column gain, which config/campaign.toml names; the file has: customerID"):
        plan(trained, here, "autumn", targeting={"contacts": 10, "ranking": "uplift", "uplift_column": "gain"})
    with pytest.raises(ChurnError, match=r"needs a champion of uplift; add \[uplift\] to config/train.toml"):
        plan(trained, here, "autumn", targeting={"contacts": 10, "ranking": "uplift"})
    found = plan(
        trained, here, "autumn", targeting={"contacts": 10, "ranking": "uplift", "uplift_column": "MonthlyCharges"}
    )
    assert found.members.worth.min() > 100
    with pytest.raises(ChurnError, match="needs a champion that knows what a customer is worth"):
        plan(trained, here, "autumn", targeting={"contacts": 10, "ranking": "expected_value"})


def test_without_a_key_or_a_file_nothing_begins(
    here: SimpleNamespace, telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ChurnError, match=r"give a file of them: .*campaign_flow\.py"):
        execution.require_source("", "spring", telco)
    monkeypatch.delenv(keyed_ids.KEY)
    with pytest.raises(
        ChurnError, match="CHURNFLOW_ID_KEY is not set: the campaign log stores customers' ids hashed with this key"
    ):
        execution.require_source(str(here.folder / "customers.csv"), "spring", telco)


def test_the_report_of_the_flow_and_of_the_next_data_version(
    trained: SimpleNamespace, here: SimpleNamespace, telco: Dataset, customers_csv: Path
) -> None:
    """The data version of the session says who left: half of it is the campaign's, and all of them are there."""
    words = (*here.words, "--data-version", trained.data.data_version)
    done = flow("effect_flow", *words, **here.environ)
    assert done.returncode == 0, done.stdout
    rule = from_dict(CampaignConfig, {"report": {"horizon_days": 0.0}}, "campaign.toml")
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    trial = outcomes.experiment("spring", telco, rule, until, "", trained.data.data_version)
    left = pd.read_csv(customers_csv).set_index("customerID").Churn == "Yes"
    contacts = pd.read_csv(here.folder / "scores" / "contacts" / "telco-spring.csv").customerID
    (one,) = report.compare_arms(trial, rule.report)
    assert (one.plain.contacted, one.plain.control) == (300, 100)
    assert one.treated == pytest.approx(left[contacts].mean())
    assert f"Campaign spring, contact: {one.verdict}. {100 * one.treated:.2f} % against" in done.stdout
    pushed = (push.FOLDER / "EffectFlow-telco.prom").read_text()
    assert 'campaign_customers_kept{arm="contact",campaign="spring",dataset="telco",flow="EffectFlow"}' in pushed
    assert campaign_log.read(telco).campaign.unique().tolist() == ["spring"]


def _built(model: Registered, name: str) -> str:
    """The Bento of a model under another name, by a process of its own: BentoML imports the service, and changes its folder."""
    code = (
        "import sys; sys.path.insert(0, 'flows'); from dataclasses import replace\n"
        "from churn.registry import model_registry; from churn.serving import packaging\n"
        "print(packaging.build_bento(replace(model_registry.by_version(*sys.argv[1:3]), name=sys.argv[3])))"
    )
    words = [sys.executable, "-c", code, model.name, model.version, name]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def test_a_model_of_uplift_is_learned_from_the_log_registered_and_served(
    trained: SimpleNamespace, here: SimpleNamespace, telco: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under another name than the session's champion, whose Bento other tests look at."""
    uplift = {"data_version": trained.data.data_version, "horizon_days": 0, "least": 20, "learners": ["t"], "trials": 1}
    linear = {"name": "linear", "estimator": "sklearn.linear_model.LogisticRegression", "impute": True, "scale": True}
    config = from_dict(TrainConfig, {"model": [linear], "uplift": {**uplift, "gate": {"qini": -9}}}, "train.toml")
    spare = telco.model_copy(update={"registered_model": "spare"})
    outcomes, said = uplift_outcomes.gather_outcomes(config.uplift, spare)
    assert outcomes is not None, said
    branch = candidates.branches(config, outcomes)[1]
    board = [candidates.tune_branch(branch, config, SimpleNamespace(dataset=spare), outcomes)]
    found = holdout.evaluate_uplift(board, outcomes, spare, config, None)
    verdict = registration.judge_uplift(found, outcomes, spare, config, "TrainFlow/1")
    lineage = {"metaflow_run": "TrainFlow/1", "data_version": trained.data.data_version}
    training = SimpleNamespace(config=config, lineage=lineage, data=SimpleNamespace(dataset=spare))
    (line,) = registration.register_uplift(found, verdict, outcomes, training)
    assert "spare-uplift version 1 (t_linear). Qini" in line
    model = registration.uplift_champion(spare)
    again = registration.judge_uplift(found, outcomes, spare, config, "TrainFlow/2")
    assert "champion version 1 stays: Qini" in again.summary
    asked = packaging.json_rows(telco, casting.cast(here.rows, telco)[0].head(2))
    with bento_server.served(_built(trained.train.champion, "spare")) as url:
        row = bento_server.post_json(f"{url}/predict_batch", {"rows": asked})[0]
        why = bento_server.post_json(f"{url}/explain", asked[0])
    table = pd.DataFrame(asked[:1])
    assert row["uplift"] == pytest.approx(registration.load_uplift(model).table(table)[0], abs=1e-6)
    assert row["recommendation"] == ("contact" if row["uplift"] >= found.threshold else "leave alone")
    told = why["uplift_base_value"] + sum(reason["contribution"] for reason in why["uplift_reasons"])
    assert told == pytest.approx(row["uplift"], abs=1e-4)
    monkeypatch.setattr(registration, "beside", lambda name: model)
    by_uplift = plan(trained, here, "winter", targeting={"contacts": 5, "ranking": "uplift"})
    assert (by_uplift.members.worth == by_uplift.members.uplift).all()
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    place, _ = execution.write_campaign(by_uplift, trained.train.champion, telco, NOW)
    listed = pd.read_csv(place)
    assert listed.uplift.is_monotonic_decreasing
    assert " = " in listed.uplift_reason_1[0]
