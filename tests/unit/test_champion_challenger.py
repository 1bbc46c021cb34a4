"""Champion against challenger: certain gains win, luck does not, however often it tries, and only unseen rows count."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from churn.registry import champion_challenger, holdout_looks
from churn.settings.train import Promotion
from churn.training import metrics


def _compare(challenger: np.ndarray, champion: np.ndarray, outcome: np.ndarray) -> champion_challenger.Comparison:
    return champion_challenger.compare(outcome, challenger, champion, "1", Promotion(), seed=0)


def test_only_a_certain_gain_promotes() -> None:
    rng = np.random.default_rng(0)
    outcome = rng.integers(0, 2, 2000)
    good, bad = (outcome * strength + rng.normal(0, 1, 2000) for strength in (2.0, 0.5))
    assert _compare(good, bad, outcome).promote
    assert not _compare(bad, good, outcome).promote
    assert not _compare(bad, bad, outcome).promote, "ties keep the champion"
    assert not _compare(good[:0], bad[:0], outcome[:0]).promote, "no fair row, no promotion"


def test_a_model_of_synthetic_customers_gives_way_to_one_of_real_customers() -> None:
    assert champion_challenger.not_comparable("1", synthetic=False).promote
    assert not champion_challenger.not_comparable("1", synthetic=True).promote


def test_rows_that_the_champion_trained_on_do_not_count() -> None:
    holdout = pd.DataFrame({"id": ["a", "b", "c"], "x": [1, 2, 3]})
    train = pd.DataFrame({"id": ["b", "z"], "x": [9, 3]})
    assert champion_challenger.unseen(holdout, train, "id").tolist() == [True, False, True]
    no_id = champion_challenger.unseen(holdout.drop(columns="id"), train.drop(columns="id"), None)
    assert no_id.tolist() == [True, True, False]


@pytest.mark.parametrize("kind", ["float64", "str", "category", "Int64"])
def test_rows_without_an_id_are_recognised_whatever_their_types(kind: str) -> None:
    holdout = pd.DataFrame({"x": [1, 2, 3], "plan": ["a", "b", "c"]})
    train = pd.DataFrame({"plan": ["b", "c", "z"], "x": [2, 4, 1]}).astype({"x": kind, "plan": "category"})
    assert champion_challenger.unseen(holdout, train, None).tolist() == [True, False, True]
    assert champion_challenger.unseen(train, holdout, None).tolist() == [False, True, True]
    named = [table.assign(id=table.pop("x")) for table in (holdout, train)]
    assert champion_challenger.unseen(*named, "id").tolist() == [False, False, True]


def test_the_error_of_a_gain_is_that_of_many_holdouts() -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        outcome = np.repeat([1, 0], [60, 240])
        one = outcome + rng.normal(size=300)
        found.append((metrics.auc_gain(outcome, one, one + rng.normal(size=300)), metrics.auc_error(outcome, one)))
    gains, errors = np.array([gain for gain, _ in found]).T
    assert errors.mean() == pytest.approx(gains.std(), rel=0.1)
    assert np.mean(gains) > 0.05
    single = [metrics.auc(outcome, outcome + rng.normal(size=300)) for _ in range(400)]
    assert np.mean([error for _, error in found]) == pytest.approx(np.std(single), rel=0.1)


def test_rows_of_one_customer_count_as_one() -> None:
    rng = np.random.default_rng(4)
    outcome = rng.permutation(np.repeat([1, 0], [60, 240]))
    one, other = (outcome + rng.normal(size=300) for _ in range(2))
    whose = np.repeat(np.arange(300), 8)
    shuffled = rng.permutation(2400)
    panel = [np.repeat(values, 8)[shuffled] for values in (outcome, one, other)]
    alone, together = (
        metrics.auc_gain(outcome, one, other),
        metrics.auc_gain(*panel, customer=whose[shuffled]),
    )
    assert together == pytest.approx(alone, rel=0.01)
    assert metrics.auc_gain(*panel)[1] < alone[1] / 2, "as if eight times as many customers had been asked"
    single = champion_challenger.compare(outcome, one, other, "1", Promotion(), seed=0)
    found = champion_challenger.compare(*panel, "1", Promotion(), seed=0, customer=whose[shuffled])
    assert found.confidence_of_gain == pytest.approx(single.confidence_of_gain, abs=0.01)
    assert found.gain_high - found.gain_low == pytest.approx(single.gain_high - single.gain_low, rel=0.15)
    assert not champion_challenger.comparable(np.array([1, 1, 0, 0, 0]), np.array([1, 1, 2, 3, 4])), (
        "one customer is not enough"
    )


def _scored(rng: np.random.Generator, outcome: np.ndarray, known: np.ndarray, noise: float) -> np.ndarray:
    """What a model says that sees what there is to know through noise of its own."""
    return known + noise * rng.normal(size=len(outcome))


def _series(seed: int, looks: int, better: float = 0.0) -> list[champion_challenger.Comparison]:
    """One champion and many challengers of the same truth on one holdout of 1,000; the last one is ``better`` informed."""
    rng = np.random.default_rng(seed)
    known = rng.normal(size=1000)
    outcome = (rng.random(1000) < 1 / (1 + np.exp(1.2 - 1.3 * known))).astype(int)
    champion = _scored(rng, outcome, known, 0.8)
    made = []
    for look in range(1, looks + 1):
        noise = 0.8 - (better if look == looks else 0.0)
        challenger = _scored(rng, outcome, known, noise)
        made.append(champion_challenger.compare(outcome, challenger, champion, "1", Promotion(), seed=0, look=look))
    return made


@pytest.fixture
def _no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval that is shown has no part in the decision, and takes nearly all of the time."""
    monkeypatch.setattr(champion_challenger, "_interval", lambda *_: (0.0, 0.0))


@pytest.mark.long
@pytest.mark.usefixtures("_no_interval")
def test_of_fifty_challengers_that_are_no_better_none_is_promoted_in_most_series() -> None:
    """At most 5 % of the series, asked for 95 % confidence: without the correction it would be nearly half."""
    series = [_series(seed, looks=50) for seed in range(100)]
    assert np.mean([any(found.promote for found in one) for one in series]) <= 0.05
    uncorrected = [any(found.confidence_of_gain >= 0.95 for found in one) for one in series]
    assert np.mean(uncorrected) > 0.3, "the challengers do try their luck"


@pytest.mark.usefixtures("_no_interval")
@pytest.mark.parametrize(("looks", "better"), [(1, 0.5), (20, 0.7)])
def test_a_better_challenger_is_promoted_also_at_a_later_look(looks: int, better: float) -> None:
    found = [_series(seed, looks, better)[-1] for seed in range(30)]
    assert np.mean([one.promote for one in found]) > 0.8


def test_a_later_look_asks_for_more_and_says_so() -> None:
    rule = Promotion()
    asked = [champion_challenger.needed(rule, look) for look in range(1, 500)]
    assert (np.diff(asked) > 0).all()
    assert 0.95 < asked[0] < 0.985
    assert sum(1 - one for one in asked) <= 0.05, "the chances of all looks add up to the one that was asked for"
    found = _series(0, looks=3)[-1]
    assert (found.look, found.confidence_needed) == (3, champion_challenger.needed(rule, 3))
    assert "look 3 at these customers" in found.reason
    assert found.gain_low < found.challenger_roc_auc - found.champion_roc_auc < found.gain_high


def test_margin_and_ties() -> None:
    rng = np.random.default_rng(0)
    outcome = rng.integers(0, 2, 2000)
    good, bad = (outcome * strength + rng.normal(0, 1, 2000) for strength in (2.0, 0.5))
    gain = metrics.auc(outcome, good) - metrics.auc(outcome, bad)
    for margin, promote in ((gain - 0.1, True), (gain + 0.01, False)):
        rule = Promotion(margin=margin)
        assert champion_challenger.compare(outcome, good, bad, "1", rule, seed=0).promote is promote
    assert champion_challenger.compare(outcome, good, good * 2, "1", Promotion(), seed=0).confidence_of_gain == 0.0


class _Registry:
    """The tags of registered models, as MLflow keeps them."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def get_registered_model(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(tags=dict(self.tags))

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        assert len(value) <= 5000, "MLflow keeps no more"
        self.tags[key] = value


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> _Registry:
    made = _Registry()
    monkeypatch.setattr(holdout_looks, "client", lambda: made)
    return made


def _keys(*ranges: range) -> np.ndarray:
    from churn.data import customer_keys

    return customer_keys.keys(
        pd.DataFrame({"id": np.concatenate([np.arange(r.start, r.stop) for r in ranges])}), "id", []
    )


def test_looks_at_the_same_customers_are_counted_once_each(registry: _Registry) -> None:
    holdout = _keys(range(1400))
    assert holdout_looks.number("churn", "TrainFlow/1/3", holdout) == 1
    assert holdout_looks.number("churn", "TrainFlow/2/3", holdout) == 2
    assert holdout_looks.number("churn", "TrainFlow/2/3", holdout) == 2, "a repeated step is the same look"
    assert holdout_looks.number("churn", "TrainFlow/3/3", holdout[::-1]) == 3
    assert holdout_looks.number("churn", "TrainFlow/1/3", holdout) == 1, "also later"
    assert holdout_looks.number("churn", "TrainFlow/3/4", holdout) == 4, "another champion is another look"
    registry.tags["somebody's look."] = "own tag"
    assert holdout_looks.number("churn", "TrainFlow/4/4", holdout) == 5


@pytest.mark.usefixtures("registry")
def test_a_few_new_customers_do_not_make_a_holdout_fresh_and_many_do() -> None:
    assert holdout_looks.number("churn", "a", _keys(range(1400))) == 1
    assert holdout_looks.number("churn", "b", _keys(range(10, 1450))) == 2, "what a night brings"
    assert holdout_looks.number("churn", "c", _keys(range(0, 1400, 5), range(0, 10))) == 3, (
        "another split seed: a part of them"
    )
    assert holdout_looks.number("churn", "d", _keys(range(5000, 6400))) == 1
    assert holdout_looks.number("churn", "e", _keys(range(1300, 1400), range(7000, 8300))) == 1


@pytest.mark.parametrize("common", [0, 300, 1000, 1400])
def test_a_sketch_tells_how_much_two_holdouts_share(common: int) -> None:
    now, before = (holdout_looks.sketch(_keys(range(first, first + 1400))) for first in (0, 1400 - common))
    assert holdout_looks.shared(now, before) == pytest.approx(common / 1400, abs=0.15)
    few = [holdout_looks.sketch(_keys(range(first, first + 40))) for first in (0, 20)]
    assert holdout_looks.shared(*few) == 0.5, "exact where all keys are kept"
