"""What the report says of a campaign: from the log with outcomes of any origin, or from a trial assigned elsewhere."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from churn.campaigns import assignment, campaign_log, outcomes, report, synthetic
from churn.cards import effect_card
from churn.errors import ChurnError
from churn.serving import prediction_log
from churn.settings.core import from_dict
from churn.settings.dataset import Dataset
from churn.settings.score import CampaignConfig, Judgement
from churn.storage import keyed_ids

KEY = "a key of the tests"
START = datetime(2026, 9, 1, tzinfo=UTC)
LATER = START + timedelta(days=91)
SHOP = """
name = "shop"
[columns.customer]
role = "id"
[columns.x]
type = "number"
[columns.left]
role = "target"
values = ["no", "yes"]
positive = "yes"
"""


@pytest.fixture(scope="module")
def shop() -> Dataset:
    from churn.settings.core import parse

    return parse(Dataset, SHOP, "shop.toml")


@pytest.fixture
def truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Dataset) -> synthetic.Truth:
    """4,000 customers of a campaign in the log, 1,600 of them held back."""
    monkeypatch.setenv(keyed_ids.KEY, KEY)
    monkeypatch.setenv("CHURNFLOW_PREDICTIONS", str(tmp_path / "log"))
    found = synthetic.population(4000, 11)
    log(shop, found, "spring", START)
    return found


def log(shop: Dataset, truth: synthetic.Truth, campaign: str, when: datetime, only: slice = slice(None)) -> None:
    ids = truth.table.customer_id.tolist()
    stratum = assignment.strata(truth.alone, assignment.draws("tie", "s", ids))
    held = assignment.control(assignment.draws("spring", "s", ids), stratum, 0.4)
    rows = pd.DataFrame({"customer": [keyed_ids.keyed(one, KEY.encode()) for one in ids]}).assign(
        campaign=campaign,
        dataset="shop",
        arm=np.where(held, "control", "contact"),
        offer=np.where(held, "", "call"),
        cost=np.where(held, 0.0, 2.0),
        probability=truth.alone,
        share=0.4,
        stratum=stratum,
        prediction_id=[f"p-{one}" for one in ids],
        model_version="1",
        data_version="d",
        time=pd.Timestamp(when),
    )
    rows = rows.assign(**({"arm": "contact"} if campaign != "spring" else {}))
    campaign_log.append(shop, rows[only], int(when.timestamp() * 1e6), campaign)


def told(truth: synthetic.Truth, shop: Dataset, folder: Path) -> Path:
    """The outcomes as a file: ids, words, and whether the contact arrived."""
    arm = campaign_log.read(shop).arm.to_numpy() == "contact"
    left = np.where(truth.outcome(arm), "yes", "no")
    frame = pd.DataFrame({"customer": truth.table.customer_id, "left": left, "delivered": np.where(arm, "yes", "no")})
    frame.to_csv(folder / "outcomes.csv", index=False)
    return folder / "outcomes.csv"


def test_a_campaign_that_helped(truth: synthetic.Truth, shop: Dataset, tmp_path: Path) -> None:
    rule = Judgement(margin=300.0)
    trial = outcomes.from_campaign("spring", shop, rule, LATER, str(told(truth, shop, tmp_path)))
    assert (len(trial.arm), trial.waiting, trial.unknown) == (4000, 0, {})
    (one,) = report.compare_arms(trial, rule)
    assert one.verdict == report.HELPED
    assert one.plain.low <= truth.uplift.mean() <= one.plain.high
    assert one.anytime.low < one.plain.low < one.plain.high < one.anytime.high
    assert one.gained is not None
    assert one.gained > 0.2
    assert (one.reached, one.leaked) == (1.0, 0.0)
    assert one.cost == 2.0 * 2400
    assert one.money is not None
    assert one.money[0] == pytest.approx(300 * one.plain.value * 2400 - 4800)
    assert one.per_kept == pytest.approx(tuple(4800 / one.plain.kept[i] for i in (0, 2, 1)))
    assert len(one.groups) == 10
    parts = effect_card.parts("spring", (one,), trial, rule)
    assert parts[0].startswith("# Campaign spring, contact: helped. ")


def test_who_has_not_had_the_time_is_counted_and_not_guessed(
    truth: synthetic.Truth, shop: Dataset, tmp_path: Path
) -> None:
    file, rule = str(told(truth, shop, tmp_path)), Judgement()
    early = outcomes.from_campaign("spring", shop, rule, START + timedelta(days=30), file)
    assert (len(early.arm), early.waiting, early.due) == (0, 4000, "2026-11-30")
    assert report.compare_arms(early, rule) == ()
    (line,) = effect_card.headline("spring", (), early)
    assert line == "Campaign spring: cannot tell yet; 4,000 outcomes are awaited, the last on 2026-11-30"
    with Path(file).open() as lines:
        some = lines.readlines()[:3001]
    Path(file).write_text("".join(some))
    later = outcomes.from_campaign("spring", shop, rule, LATER, file)
    assert sum(later.unknown.values()) == later.outstanding == 1000


def test_while_outcomes_may_come_the_interval_for_any_number_of_looks_decides() -> None:
    """An effect that one look sees and many looks do not."""
    lost = np.tile([True] * 30 + [False] * 70, 10)
    lost[np.flatnonzero(~lost[:500])[:35]] = True
    arm = np.where(np.arange(1000) < 500, "control", "call").astype(object)
    found = [
        report.compare_arms(outcomes.Experiment(arm, "control", lost, np.zeros(1000), waiting=waiting), Judgement())[0]
        for waiting in (0, 1)
    ]
    assert found[0].plain.value == found[1].plain.value > 0
    assert found[0].anytime.low < 0
    assert found[1].verdict == report.OPEN
    assert found[1].when.startswith("1 outcomes are awaited")
    assert found[0].verdict == report.HELPED


def test_outcomes_told_to_the_service_count_until_the_horizon(truth: synthetic.Truth, shop: Dataset) -> None:
    """Left in time, left too late (had stayed), and a stay reported early, which settles nothing."""
    told_at = [START + timedelta(days=days) for days in (10, 95, 10)]
    rows = [(f"p-C000000{n}", int(at.timestamp() * 1e6), n != 2) for n, at in enumerate(told_at)]
    content = prediction_log.encode(prediction_log.feedback_schema(), rows[:1])
    for n, row in enumerate(rows):
        content = prediction_log.encode(prediction_log.feedback_schema(), [row])
        name = prediction_log.part_name(prediction_log.FEEDBACK, row[1], str(n))
        prediction_log.store(prediction_log.root(), name, content)
    trial = outcomes.from_campaign("spring", shop, Judgement(), START + timedelta(days=100))
    assert sorted(trial.lost.tolist()) == [False, True]
    assert sum(trial.unknown.values()) == 3998


def test_the_held_back_whom_another_campaign_contacted_are_counted(
    truth: synthetic.Truth, shop: Dataset, tmp_path: Path
) -> None:
    log(shop, truth, "summer", START + timedelta(days=5), slice(0, 50))
    arms = campaign_log.read(shop)
    held = (arms[arms.campaign == "spring"].arm.head(50) == "control").sum()
    file = tmp_path / "all.csv"
    pd.DataFrame({"customer": truth.table.customer_id, "left": "no"}).to_csv(file, index=False)
    trial = outcomes.from_campaign("spring", shop, Judgement(), LATER, str(file))
    assert trial.elsewhere == held > 0


def test_an_unknown_campaign_is_named_with_those_there_are(truth: synthetic.Truth, shop: Dataset) -> None:
    with pytest.raises(ChurnError, match="no campaign 'sprnig'; it has: spring"):
        outcomes.from_campaign("sprnig", shop, Judgement(), LATER)


TRIAL = {"arm": "segment", "control": "No E-Mail", "outcome": "visit", "good": True}


@pytest.fixture
def trial_file(tmp_path: Path) -> Path:
    """Three arms like those of Hillstrom's trial (2008), with the outcome as number and as word, and money."""
    draw = np.random.default_rng(0)
    segment = draw.choice(["No E-Mail", "Mens E-Mail", "Womens E-Mail"], 6000)
    recency = draw.integers(1, 13, 6000)
    rate = np.select([segment == "Mens E-Mail", segment == "Womens E-Mail"], [0.18, 0.15], 0.10) + 0.01 * (recency - 6)
    visit = (draw.random(6000) < rate).astype(int)
    spend = np.where(visit, draw.gamma(2.0, 30.0, 6000), 0.0).round(2)
    table = {
        "segment": segment,
        "recency": recency,
        "visit": visit,
        "came": np.where(visit, "Yes", "No"),
        "spend": spend,
        "history": draw.gamma(2.0, 100.0, 6000).round(2),
        "region": draw.choice(["North", "South", ""], 6000),
        "customer": [f"C{row}" for row in range(6000)],
    }
    pd.DataFrame(table).to_csv(tmp_path / "trial.csv", index=False)
    return tmp_path / "trial.csv"


@pytest.mark.parametrize(
    "given", [{}, {"outcome": "came", "positive": "yes"}, {"outcome": "spend"}, {"covariates": ["recency", "came"]}]
)
def test_a_trial_of_three_arms_by_toml_alone(trial_file: Path, shop: Dataset, given: dict[str, object]) -> None:
    """The effects are the differences of the arms' means, to the digit."""
    rule = from_dict(CampaignConfig, {"trial": {**TRIAL, "path": str(trial_file), **given}}, "trial.toml")
    trial = outcomes.experiment("hillstrom", shop, rule)
    table = pd.read_csv(trial_file)
    column = "spend" if given.get("outcome") == "spend" else "visit"
    means = table.groupby("segment")[column].mean()
    found = {one.arm: one for one in report.compare_arms(trial, rule.report)}
    assert list(found) == ["Mens E-Mail", "Womens E-Mail"]
    for arm, one in found.items():
        assert one.treated == pytest.approx(means[arm], abs=1e-12)
        assert one.control == pytest.approx(means["No E-Mail"], abs=1e-12)
        assert one.plain.value == pytest.approx(means[arm] - means["No E-Mail"], abs=1e-12)
        assert one.plain.low < one.plain.value < one.plain.high
        assert (one.adjusted is None) == ("covariates" not in given)
    assert effect_card.parts("hillstrom", tuple(found.values()), trial, rule.report)


def test_a_covariate_of_numbers_is_one_column_in_a_file_of_text_too(trial_file: Path, shop: Dataset) -> None:
    """A column for each of 36,000 amounts took 17 GiB."""
    given = {**TRIAL, "path": str(trial_file), "covariates": ["recency", "history", "region"]}
    trial = outcomes.experiment("x", shop, from_dict(CampaignConfig, {"trial": given}, "trial.toml"))
    table = pd.read_csv(trial_file)
    assert trial.covariates is not None
    assert trial.covariates.shape == (6000, 3)
    assert trial.covariates[:, :2] == pytest.approx(table[["recency", "history"]].to_numpy())
    assert trial.covariates[:, 2].tolist() == (table.region == "South").astype(float).tolist()


def test_churn_instead_of_a_good_outcome_turns_the_sign(trial_file: Path, shop: Dataset) -> None:
    rule = from_dict(CampaignConfig, {"trial": {**TRIAL, "path": str(trial_file), "good": False}}, "trial.toml")
    one, _ = report.compare_arms(outcomes.experiment("x", shop, rule), rule.report)
    assert one.verdict == report.HARMED
    assert one.plain.value == pytest.approx(one.control - one.treated)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"arm": "segmnt"},
            "no column segmnt, which .trial. of config/campaign.toml names; the file has: segment, recency",
        ),
        ({"control": "none"}, "control = 'none' must be one of them"),
        ({"outcome": "came"}, "'(Yes|No)' is not a number; say which word counts as 1"),
        ({"outcome": "came", "positive": "maybe"}, "came is never 'maybe'"),
        ({"covariates": ["customer"]}, "customer has 6,000 different texts, and a covariate of text at most 50"),
    ],
)
def test_a_trial_that_cannot_be_read_says_why(
    trial_file: Path, shop: Dataset, given: dict[str, object], said: str
) -> None:
    rule = from_dict(CampaignConfig, {"trial": {**TRIAL, "path": str(trial_file), **given}}, "trial.toml")
    with pytest.raises(ChurnError, match=said):
        outcomes.experiment("x", shop, rule)


def test_an_effect_that_is_not_seen_says_how_many_it_takes(trial_file: Path, shop: Dataset) -> None:
    table = pd.read_csv(trial_file)
    table.assign(visit=np.arange(len(table)) % 3 == 0).to_csv(trial_file, index=False)
    rule = from_dict(CampaignConfig, {"trial": {**TRIAL, "path": str(trial_file)}}, "trial.toml")
    for one in report.compare_arms(outcomes.experiment("x", shop, rule), rule.report):
        assert one.verdict == report.OPEN
        assert "shows in a campaign of about" in one.when


def test_an_erased_customer_is_in_no_campaign_any_more(
    truth: synthetic.Truth, shop: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from churn.privacy import logged_rows
    from churn.privacy.subject import Subject

    monkeypatch.setattr(logged_rows.run_store, "predictions", lambda subject: set())
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path / "scores"))
    (trace,) = logged_rows.sweep(Subject("C0000007", frozenset({"customer"})), remove=True)
    assert "/campaigns/" in trace.place
    assert len(campaign_log.read(shop)) == 3999
