"""Effects of campaigns whose truth is known: intervals cover it, and looking every day does not make them lie."""

import numpy as np
import pytest
from churn.campaigns import assignment, effect, synthetic

SHARE = 0.8


def campaign(seed: int, size: float, rows: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Outcome, arm, stratum and risk of one campaign, and its true average effect."""
    truth = synthetic.population(rows, seed, size)
    ids = truth.table.customer_id.tolist()
    stratum = assignment.strata(truth.alone, assignment.draws("stratum", str(seed), ids))
    contacted = ~assignment.control(assignment.draws("spring", str(seed), ids), stratum, 1 - SHARE)
    return truth.outcome(contacted), contacted, stratum, truth.alone, float(truth.uplift.mean())


@pytest.mark.parametrize("size", [0.0, 1.0])
@pytest.mark.parametrize(("campaigns", "off"), [(200, 0.04), pytest.param(1000, 0.015, marks=pytest.mark.slow)])
def test_every_interval_covers_the_truth_in_95_of_100_campaigns(size, campaigns, off):
    """1,000 campaigns, to 1.5 points; a sample of them to what chance allows."""
    covered = np.zeros(2)
    for seed in range(campaigns):
        outcome, contacted, stratum, risk, truth = campaign(seed, size, 1000)
        estimates = effect.difference(outcome, contacted, stratum), effect.adjusted(outcome, contacted, risk)
        covered += [one.low <= truth <= one.high for one in estimates]
    assert (np.abs(covered / campaigns - 0.95) <= off).all(), covered


@pytest.mark.parametrize("campaigns", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_a_hundred_looks_exclude_the_truth_in_at_most_5_of_100_campaigns(campaigns):
    """Looked at after every 1 % of the outcomes, while the fixed interval is wrong far more often than it says."""
    wrong = np.zeros(2)
    for seed in range(campaigns):
        outcome, contacted, _, risk, _ = campaign(seed, 0.0, 5000)
        order = np.random.default_rng(seed).permutation(5000)
        outcome, contacted, risk = outcome[order], contacted[order], risk[order]
        excluded = np.zeros(2, dtype=bool)
        for seen in range(250, 5001, 50):
            now, at_most = slice(0, seen), effect.sequence
            looks = (
                effect.difference(outcome[now], contacted[now]),
                at_most(outcome[now], contacted[now], risk[now], SHARE, 5000),
            )
            excluded |= [not one.low <= 0 <= one.high for one in looks]
        wrong += excluded
    fixed, anytime = wrong / campaigns
    assert anytime <= 0.05 < 0.15 < fixed, (fixed, anytime)


def test_the_adjustment_shortens_the_interval_as_theory_says():
    """Var(adjusted) / Var(plain) = 1 - r**2, the outcome's correlation with what was known before (Deng et al. 2013)."""
    outcome, contacted, _, risk, _ = campaign(1, 0.0, 200_000)
    plain, adjusted = effect.difference(outcome, contacted), effect.adjusted(outcome, contacted, risk)
    ratio = (adjusted.high - adjusted.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(np.sqrt(1 - np.corrcoef(outcome, risk)[0, 1] ** 2), rel=0.01)


def test_the_smallest_visible_effect_is_seen_with_the_power_it_was_computed_for():
    rng = np.random.default_rng(0)
    size = effect.smallest_visible(0.3, 4000, 1000)
    seen = 0
    for _ in range(500):
        outcome = np.concatenate([rng.random(4000) < 0.3 - size, rng.random(1000) < 0.3])
        seen += effect.difference(outcome, np.arange(5000) < 4000).low > 0
    assert 0.75 <= seen / 500 <= 0.87


def test_an_empty_arm_is_refused():
    with pytest.raises(ValueError, match="0 held back"):
        effect.difference(np.ones(3, dtype=bool), np.ones(3, dtype=bool))
