"""The looks at a campaign: kept, shown by date, pushed to Prometheus, and left by pruning."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from churn.campaigns import outcomes, report, verdicts
from churn.cards import effect_card
from churn.privacy import retention
from churn.settings.core import load, parse
from churn.settings.dataset import Dataset
from churn.settings.retention import Retention
from churn.settings.score import Judgement
from churn.storage.places import Place
from churn.telemetry import prometheus_metrics
from conftest import ROOT

START = datetime(2026, 9, 1, tzinfo=UTC)
SHOP = """
name = "shop"
[columns.x]
[columns.left]
role = "target"
values = ["no", "yes"]
positive = "yes"
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A data set whose reports go to the test's own folder."""
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    return parse(Dataset, SHOP, "shop.toml")


def looked(lost_of_100: int) -> tuple[tuple[report.Compared, ...], outcomes.Experiment]:
    """1,000 customers, half of them called; 30 of 100 of those held back are lost."""
    arm = np.where(np.arange(1000) < 500, "control", "call").astype(object)
    lost = np.arange(1000) % 100 < np.where(arm == "call", lost_of_100, 30)
    trial = outcomes.Experiment(arm, "control", lost, np.zeros(1000))
    return report.compare_arms(trial, Judgement()), trial


def keep(shop: Dataset, campaign: str, day: int, lost_of_100: int) -> None:
    comparisons, trial = looked(lost_of_100)
    effects = verdicts.arm_effects(comparisons, trial)
    verdicts.keep_verdict(shop, campaign, ["said"], effects, START + timedelta(days=day))


def test_every_look_at_a_campaign_is_kept_and_shown_over_time(shop: Dataset) -> None:
    verdicts.keep_verdict(shop, "winter", ["cannot tell yet"])
    assert verdicts.samples(verdicts.kept_verdicts(shop)) == []
    keep(shop, "spring", 9, 20)
    comparisons, trial = looked(20)
    rule, kept = Judgement(), verdicts.kept_verdicts(shop)
    assert "## Effect by date of report" not in effect_card.parts("spring", comparisons, trial, rule, kept)
    for day, lost in ((7, 25), (8, 30), (8, 24)):  # later than the first, of days before it; and twice the same day
        keep(shop, "spring", day, lost)
    keep(shop, "autumn", 5, 60)
    kept = verdicts.kept_verdicts(shop)
    (spring,) = [one for one in kept if one["campaign"] == "spring"]
    assert [look["day"] for look in spring["looks"]] == ["2026-09-08", "2026-09-09", "2026-09-10"]
    assert [look["effects"][0]["effect"] for look in spring["looks"]] == pytest.approx([0.05, 0.06, 0.1])
    parts = effect_card.parts("spring", comparisons, trial, rule, kept)
    (axis,) = parts[parts.index("## Effect by date of report") + 1].axes
    assert sorted(axis.get_legend_handles_labels()[1]) == ["autumn, call", "spring, call"]
    assert [label.get_text() for label in axis.get_xticklabels()][-1] == "2026-09-10"


def test_prometheus_gets_the_newest_look_at_each_campaign(shop: Dataset) -> None:
    for campaign, day, lost in (("spring", 1, 40), ("spring", 2, 20), ("autumn", 1, 40)):
        keep(shop, campaign, day, lost)
    pushed = verdicts.samples(verdicts.kept_verdicts(shop))
    assert {one.metric for one in pushed} == set(prometheus_metrics.CAMPAIGN)
    found = {(one.metric.name, one.labels): one.value for one in pushed}
    assert len(found) == len(pushed)
    assert found["campaign_verdict", ("spring", "call")] == 1
    assert found["campaign_verdict", ("autumn", "call")] == -1
    assert found["campaign_customers_kept", ("spring", "call")] == pytest.approx(50)
    low, value, high = (found[f"campaign_effect{name}", ("spring", "call")] for name in ("_low", "", "_high"))
    assert low < value < high
    assert value == pytest.approx(0.1)
    assert found["campaign_reported_timestamp_seconds", ("spring",)] == (START + timedelta(days=2)).timestamp()


def test_pruning_leaves_what_campaigns_brought(shop: Dataset, tmp_path: Path) -> None:
    """Files beside it that are newer, and its age, make room among lists of customers only."""
    keep(shop, "spring", 1, 20)
    (tmp_path / "shop-1.csv").write_text("customer\n")
    for file in (tmp_path / "shop-1.csv", tmp_path / "reports" / "shop" / "spring.json"):
        os.utime(file, (0, 0))
    found = {"scores": list(retention.kept_lists(Place.of(str(tmp_path))))}
    rules = load(Retention, ROOT / "config" / "retention.toml")
    assert [item.name for item in retention.outdated(found, rules)] == ["shop-1.csv"]


def test_an_outcome_of_numbers_has_an_effect_and_keeps_nobody() -> None:
    trial = looked(20)[1]
    money = replace(trial, lost=trial.lost * 10.0)
    (one,) = verdicts.arm_effects(report.compare_arms(money, Judgement()), money)
    assert one["effect"] == pytest.approx(1.0)
    assert one["kept"] is None
    kept = [{"campaign": "spend", "looks": [{"day": "2026-09-01", "effects": [one]}]}]
    assert prometheus_metrics.CAMPAIGN_KEPT not in {sample.metric for sample in verdicts.samples(kept)}
