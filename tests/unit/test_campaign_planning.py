"""A campaign's plan, whatever customers and settings: one arm each, nobody suppressed, no budget or quota exceeded."""

from functools import partial
from pathlib import Path

import kills
import numpy as np
import pandas as pd
import pytest
from churn.campaigns import campaign_log, execution, planning
from churn.registry.model_registry import Registered
from churn.serving import prediction_log
from churn.settings.core import from_dict
from churn.settings.dataset import Dataset
from churn.settings.score import CampaignConfig
from hypothesis import given, settings
from hypothesis import strategies as st

COLUMNS = ["id", "arm", "offer", "cost", "share", "stratum", "probability"]
LOGGED = [*COLUMNS, "prediction_id"]
NOBODY = pd.DataFrame({name: pd.Series(dtype="str" if name in ("id", "arm", "offer") else float) for name in COLUMNS})
OFFERS = [{"name": "call", "cost": 5.0}, {"name": "letter", "cost": 1.5, "share": 2.0}]


def rule(**tables: object) -> CampaignConfig:
    return from_dict(CampaignConfig, tables, "campaign.toml")


def customers(rows: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    risk = draw.random(rows).round(2)  # with ties
    return pd.DataFrame(
        {
            "id": [f"C{row:07d}" for row in range(rows)],
            "probability": risk,
            "worth": risk,
            "suppressed": draw.random(rows) < 0.1,
            "recent": draw.random(rows) < 0.1,
            "group": draw.choice(["north", "south", "west"], rows),
        }
    ).astype({"id": "str", "group": "str"})


def arms(plan: planning.CampaignPlan) -> dict[str, tuple[str, str]]:
    return {one.id: (one.arm, one.offer) for one in plan.members.itertuples()}


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(0, 120),
    seed=st.integers(0, 99),
    contacts=st.integers(1, 90),
    money=st.none() | st.floats(1, 800),
    control=st.floats(0.02, 0.9),
    quota=st.integers(0, 60),
    offers=st.integers(1, 2),
)
def test_a_plan_keeps_budget_policy_and_arms_whatever_the_order_of_rows(
    rows: int, seed: int, contacts: int, money: float | None, control: float, quota: int, offers: int
) -> None:
    given_ = rule(
        targeting={"contacts": contacts, "control": control, **({"money": money} if money else {})},
        policy={"quota_column": "group", "quota": {"north": quota}},
        offer=OFFERS[:offers],
    )
    table = customers(rows, seed)
    plan = planning.draft(table, NOBODY, "spring", given_)
    assert plan.members.id.is_unique, "nobody in both arms"
    assert not plan.members.suppressed.any()
    assert not plan.members.recent.any()
    contacted = plan.members[plan.members.arm == campaign_log.CONTACT]
    assert plan.contacted <= contacts
    assert money is None or plan.cost <= money + 1e-6
    assert (contacted.group == "north").sum() <= quota
    assert abs(plan.held - control * len(plan.members)) <= 0.5 + 1e-6
    assert len(plan.members) + sum(plan.left_out.values()) == rows
    again = planning.draft(table.sample(frac=1, random_state=seed), NOBODY, "spring", given_)
    assert arms(again) == arms(plan)
    same = planning.draft(table, plan.members[COLUMNS], "spring", given_)
    assert arms(same) == arms(plan), "a second run assigns nobody anew"
    assert not same.members.new.any()


def test_who_is_in_the_log_keeps_the_arm_when_others_join() -> None:
    table, given_ = customers(1000), rule(targeting={"contacts": 400})
    first = planning.draft(table.head(200), NOBODY, "spring", given_)
    more = planning.draft(table, first.members[COLUMNS], "spring", given_)
    assert arms(first).items() <= arms(more).items()
    assert len(more.members) == 444
    assert 398 <= more.contacted <= 400


def test_the_offers_are_drawn_in_proportion_and_paid_from_the_budget() -> None:
    plan = planning.draft(customers(5000), NOBODY, "spring", rule(targeting={"money": 1000.0}, offer=OFFERS))
    counts = plan.members.offer.value_counts()
    assert abs(counts["letter"] - 2 * counts["call"]) <= 2
    assert 985 <= plan.cost <= 1000


def test_another_campaign_draws_other_arms() -> None:
    table, given_ = customers(1000), rule(targeting={"contacts": 400, "control": 0.5})
    one, two = (arms(planning.draft(table, NOBODY, name, given_)) for name in ("spring", "summer"))
    assert 0.3 < np.mean([one[who][0] == two[who][0] for who in one.keys() & two.keys()]) < 0.7


def test_only_who_is_worth_it_is_ranked_by_value() -> None:
    table = customers(100).assign(worth=lambda t: t.probability - 0.5)
    plan = planning.draft(table, NOBODY, "spring", rule(targeting={"contacts": 100, "ranking": "expected_value"}))
    assert (plan.members.worth > 0).all()
    assert plan.members.worth.is_monotonic_decreasing
    assert plan.left_out["not worth a contact"] > 0


@pytest.mark.slow
def test_a_million_customers_have_the_share_to_a_tenth_of_a_point() -> None:
    table = customers(1_000_000).assign(suppressed=False, recent=False)
    plan = planning.draft(table, NOBODY, "spring", rule(targeting={"contacts": 900_000}))
    assert len(plan.members) == 1_000_000
    assert abs(plan.held / 1e6 - 0.1) < 0.001
    for level in ("north", "south", "west"):
        same = plan.members.group == level
        assert abs((plan.members.arm[same] == campaign_log.CONTROL).mean() - 0.1) < 0.003


def carry_out(telco: Dataset, salt: str) -> None:
    """Plan and write a campaign of 200 customers, as CampaignFlow does, from what the log says now."""
    table = customers(200).assign(suppressed=False, recent=False)
    table = table.assign(key=table.id, prediction_id=table.id)
    log = campaign_log.read(telco)
    known = log.assign(id=log.customerID)[LOGGED]
    plan = planning.draft(table, known, "spring", rule(targeting={"contacts": 90, "salt": salt}))
    execution.write_campaign(plan, Registered("churn", "1", "run", {"data_version": "d"}), telco, 1_795_000_000_000_000)


@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_between_log_and_lists_assigns_nobody_twice(
    telco: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Killed after the log or after the first list: the lists are the log's, even if another salt would draw others."""
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path / "log"))
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path / "scores"))
    stores = ((prediction_log, "store"),)
    assert kills.forked(partial(carry_out, telco, "one"), step + 1, stores) == -1
    logs, lists = list(tmp_path.rglob("*.parquet")), list(tmp_path.rglob("*.csv"))
    assert len(logs) == min(step, 1)
    assert len(lists) == max(step - 1, 0), "no list without its log"
    assert kills.forked(partial(carry_out, telco, "two"), of=stores) > 0
    (log,) = tmp_path.rglob("*.parquet")
    logged = pd.read_parquet(log)
    for folder, arm in (("contacts", campaign_log.CONTACT), ("held_back", campaign_log.CONTROL)):
        listed = pd.read_csv(tmp_path / "scores" / folder / "telco-spring.csv")
        assert set(listed.customerID) == set(logged[logged.arm == arm].customerID)
