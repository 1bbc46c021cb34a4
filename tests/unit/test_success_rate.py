"""The success rate by tenth of risk, on campaigns whose truth is known, and what decisions it leads to."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from churn.campaigns import synthetic
from churn.cards import manager_page, uplift_card
from churn.serving import batch_scoring
from churn.settings.core import from_dict
from churn.settings.score import CampaignConfig
from churn.settings.train import MeasuredRate, Worth
from churn.training import expected_profit
from churn.uplift import success
from churn.uplift.outcome_rows import OutcomeRows
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEEDS = 60
CUSTOMERS = 3000
WORTH = Worth(contact_cost=5, offer_cost=10, success_rate="measured", margin=100)
Risk = Callable[[synthetic.Truth], np.ndarray]


def rate(above: float, up_to: float, counts: float) -> MeasuredRate:
    return MeasuredRate(
        above=above, up_to=up_to, contacted=90, control=10, measured=counts, low=counts - 1, high=1, rate=counts
    )


BY_RISK = WORTH.model_copy(
    update={"evidence": (rate(0, 1, 0.4), rate(0.2, 0.5, -0.5), rate(0.5, 0.8, 0.6), rate(0.8, 1, 0.02))}
)


@pytest.fixture(scope="module")
def risk() -> Iterator[Risk]:
    """A model of churn that was trained on customers whom nobody contacted."""
    past = synthetic.population(2000, 1000)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(past.table.drop(columns="customer_id"), past.churned_alone)
    yield lambda truth: model.predict_proba(truth.table.drop(columns="customer_id"))[:, 1]
    _customers.cache_clear()


@cache
def _customers(risk: Risk, seed: int, effect: float, rows: int) -> tuple[synthetic.Truth, np.ndarray]:
    """The same for several campaigns: their truth, and their risk."""
    truth = synthetic.population(rows, seed, effect)
    return truth, risk(truth)


def campaign(
    risk: Risk, seed: int, share: float = 0.5, effect: float = 1.0, rows: int = CUSTOMERS
) -> tuple[synthetic.Truth, OutcomeRows]:
    truth, chance = _customers(risk, seed, effect, rows)
    contacted = np.random.default_rng([seed, 7]).random(rows) < share
    kept = 1 - truth.outcome(contacted).astype(int)
    return truth, OutcomeRows(truth.table, kept, contacted, np.full(rows, share), chance, np.arange(rows))


def real(truth: synthetic.Truth, rows: OutcomeRows, found: list[MeasuredRate]) -> np.ndarray:
    """The true rate of each group."""
    groups = [(rows.risk > one.above) & (rows.risk <= one.up_to) for one in found]
    return np.array([truth.uplift[group].sum() / truth.alone[group].sum() for group in groups])


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_rates_by_risk_are_nearer_to_the_truth_than_the_tenths_own_and_than_that_of_all(
    risk: Risk, share: float
) -> None:
    errors = []
    for seed in range(SEEDS):
        truth, rows = campaign(risk, seed, share)
        found, whole = success.by_risk(rows), success.success_rate(rows, np.ones(CUSTOMERS, dtype=bool))[0]
        assert len(found) == 10
        pairs = [(one.rate, one.measured, whole) for one in found]
        errors.append((np.array(pairs) - real(truth, rows, found)[:, None]) ** 2)
    shrunk, own, overall = np.sqrt(np.mean(errors, axis=(0, 1)))
    assert shrunk < 0.9 * own
    assert shrunk < 0.9 * overall


def test_where_contacts_change_nothing_the_tenths_are_drawn_to_that(risk: Risk) -> None:
    found = [success.by_risk(campaign(risk, seed, effect=0.0)[1]) for seed in range(SEEDS)]
    shrunk, own = (
        np.sqrt(np.mean([[getattr(one, name) ** 2 for one in each] for each in found])) for name in ("rate", "measured")
    )
    assert shrunk < 0.3 * own


@pytest.mark.parametrize(("share", "effect"), [(0.5, 1.0), (0.9, 1.0), (0.5, 0.0), (0.9, 0.0)])
def test_the_interval_of_a_tenth_covers_its_true_rate(risk: Risk, share: float, effect: float) -> None:
    covered = []
    for seed in range(2 * SEEDS):
        truth, rows = campaign(risk, seed, share, effect)
        found = success.by_risk(rows)
        pairs = zip(found, real(truth, rows, found), strict=True)
        covered.append([one.low <= true <= one.high for one, true in pairs])
    assert 0.935 < np.mean(covered) < 0.965
    assert np.mean(covered, axis=0).min() > 0.88, "none is covered much less than the others"


@pytest.mark.parametrize("budget", [1.0, 0.2])
def test_contacts_by_measured_rates_earn_more_of_the_true_profit_than_by_that_of_all(risk: Risk, budget: float) -> None:
    new = synthetic.population(20_000, 999)
    chance = risk(new)
    true = new.uplift * (100 - 10) - (1 - new.alone) * 10 - 5
    earned = []
    for seed in range(SEEDS):
        rows = campaign(risk, seed)[1]
        whole = success.success_rate(rows, np.ones(CUSTOMERS, dtype=bool))[0]
        evidence = (rate(0, 1, whole), *success.by_risk(rows))
        ways = [WORTH.model_copy(update={"evidence": shown}) for shown in (evidence, evidence[:1])]
        profits = [expected_profit.expected(worth, {}, chance) for worth in ways]
        firsts = [np.argsort(-profit, kind="stable")[: round(budget * len(profit))] for profit in profits]
        earned.append([true[who][profit[who] > 0].sum() for who, profit in zip(firsts, profits, strict=True)])
    by_tenth, overall = np.array(earned).T
    assert (by_tenth >= overall).mean() > 0.95
    assert by_tenth.mean() > 1.3 * max(overall.mean(), 0)


def test_few_customers_make_fewer_groups_and_very_few_none(risk: Risk) -> None:
    few = success.by_risk(campaign(risk, 1, share=0.9, rows=700)[1])
    assert success.FEWEST_GROUPS <= len(few) < 10
    assert min(min(one.contacted, one.control) for one in few) >= success.FEWEST
    assert success.by_risk(campaign(risk, 1, share=0.9, rows=200)[1]) == []
    rows = campaign(risk, 1)[1]
    assert success.by_risk(replace(rows, risk=np.full(CUSTOMERS, np.nan))) == []
    assert success.by_risk(replace(rows, risk=np.full(CUSTOMERS, 0.3))) == [], "one risk makes no groups"
    tied = success.by_risk(replace(rows, risk=np.round(rows.risk, 1)))
    assert [one.above for one in tied[1:]] == [one.up_to for one in tied[:-1]]
    assert sum(one.contacted + one.control for one in tied) == CUSTOMERS, "customers of one risk are in one group"


def test_a_tenth_in_which_nobody_or_everybody_leaves_has_a_rate(risk: Risk) -> None:
    rows = campaign(risk, 2)[1]
    edges = np.quantile(rows.risk, [0.1, 0.9])
    kept = np.where(rows.risk <= edges[0], 1, np.where(rows.risk > edges[1], 0, rows.kept))
    found = success.by_risk(replace(rows, kept=kept))
    assert np.isfinite([[one.measured, one.low, one.high, one.rate] for one in found]).all()
    assert found[-1].measured == pytest.approx(0, abs=0.02)
    assert found[0].low < 0 < found[0].high


def test_campaigns_of_unequal_shares_are_weighted(risk: Risk) -> None:
    """Contacting more of those at high risk must not look like driving them away."""
    truth = synthetic.population(40_000, 5)
    share = np.where(truth.alone > 0.5, 0.9, 0.3)
    contacted = np.random.default_rng(6).random(40_000) < share
    kept = 1 - truth.outcome(contacted).astype(int)
    rows = OutcomeRows(truth.table, kept, contacted, share, risk(truth), np.arange(40_000))
    value, low, high = success.success_rate(rows, np.ones(40_000, dtype=bool))
    assert low < truth.uplift.sum() / truth.alone.sum() < high
    assert high - low < 0.15
    assert value == pytest.approx(truth.uplift.sum() / truth.alone.sum(), abs=0.05)


def test_each_customer_has_the_rate_of_their_risk_and_a_harmed_group_is_never_contacted() -> None:
    chances = np.array([0.1, 0.2, 0.2001, 0.5, 0.5001, 0.8, 0.8001, 1.0])
    rates = expected_profit.success_rates(BY_RISK, chances)
    assert rates == pytest.approx([0.4, 0.4, -0.5, -0.5, 0.6, 0.6, 0.02, 0.02])
    profit = expected_profit.expected(BY_RISK, {}, chances)
    assert profit == pytest.approx(chances * rates * 90 - (1 - chances) * 10 - 5)
    many = np.linspace(0, 1, 1001)
    contacted = expected_profit.decide(BY_RISK, {}, many, 0.5)
    assert not contacted[(many > 0.2) & (many <= 0.5)].any()
    assert (contacted == (many > expected_profit.decision_thresholds(BY_RISK, {}, many, 0.5))).all()
    assert many[contacted].min() > min(expected_profit.pays_from(BY_RISK)) >= many[~contacted].min()
    assert expected_profit.pays_from(BY_RISK) == [1.0, 1.0, 0.5, 1.0], "15 / (0.4 x 90 + 10) is above 0.2"
    gain = [expected_profit.gains(BY_RISK, {}, np.full(1001, one), many) for one in (0, 1)]
    assert many * gain[1] + (1 - many) * gain[0] == pytest.approx(expected_profit.expected(BY_RISK, {}, many))


def test_a_harmed_group_is_not_contacted_though_it_costs_nothing_or_the_offer_is_dear() -> None:
    for changed in ({"contact_cost": 0.0, "offer_cost": 0.0}, {"contact_cost": 0.0, "offer_cost": 400.0}):
        worth = BY_RISK.model_copy(update=changed | {"evidence": (rate(0, 1, -3.0),)})
        many = np.linspace(0.001, 0.999, 999)
        assert (expected_profit.expected(worth, {}, many) <= 0).all()
        assert not expected_profit.decide(worth, {}, many, 0.5).any()


def test_the_managers_page_keeps_customers_at_the_rate_of_their_risk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    monkeypatch.setattr(batch_scoring, "scorer", lambda model: SimpleNamespace(worth=BY_RISK))
    members = pd.DataFrame({"id": ["a", "b", "c"], "probability": [0.1, 0.4, 0.7], "uplift": np.nan, "arm": "contact"})
    plan: Any = SimpleNamespace(campaign="spring", members=members.assign(offer="call", cost=1.0, suppressed=False))
    people: Any = SimpleNamespace(name="people")
    place = manager_page.manager_page(plan, None, people, from_dict(CampaignConfig, {}, "campaign.toml"))  # type: ignore[arg-type]
    text = Path(place).read_text()
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert [row["kept"] for row in data["rows"]] == pytest.approx([0.1 * 0.4, 0.4 * -0.5, 0.7 * 0.6])
    assert "the success rate that campaigns measured at that risk: -50.0% to 60.0%" in text


def test_evidence_travels_in_the_manifest_to_the_digit() -> None:
    assert from_dict(Worth, BY_RISK.model_dump(mode="json"), "manifest.json") == BY_RISK


def test_empc_takes_the_share_of_the_expected_churners_that_contacts_would_keep() -> None:
    rng = np.random.default_rng(5)
    outcome, chance = rng.integers(0, 2, 500), rng.random(500)
    rates = expected_profit.success_rates(BY_RISK, chance)
    plain = Worth(contact_cost=5, offer_cost=10, success_rate=float((rates * chance).sum() / chance.sum()), margin=100)
    ours, theirs = (expected_profit.empc(worth, outcome, chance) for worth in (BY_RISK, plain))
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_the_card_shows_each_tenth_with_its_interval_and_where_a_contact_pays() -> None:
    said, table = uplift_card.measured_rates(BY_RISK)
    assert "the point, also where the interval includes 0" in said
    assert [row[0] for row in table.rows] == ["all", "0.200 to 0.500", "0.500 to 0.800", "0.800 to 1.000"]
    assert table.rows[1] == ["0.200 to 0.500", "90 / 10", "-50.0%", "below -100 %", "100.0%", "-50.0%", "never"]
    assert [row[-1] for row in table.rows] == ["never", "never", "above 0.500", "never"]
    assert uplift_card.measured_rates(WORTH.model_copy(update={"success_rate": 0.4})) == []
