"""Thresholds come from the reference's own variation; distances are NannyML's; false alarms and power hold."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from churn.monitoring import chunked_drift, distances, drift_thresholds
from churn.monitoring.drift import ALL, MISSING, PROBABILITY, UNSEEN, Detector, Distance
from churn.serving.reference_data import Reference
from churn.settings.core import from_dict
from churn.settings.dataset import Dataset
from churn.settings.monitor import Drift
from scipy import stats

COLUMNS = {
    "normal": {"type": "number"},
    "skewed": {"type": "number"},
    "whole": {"type": "integer"},
    "plan": {"values": ["a", "b", "c"]},
    "region": {},
    "left": {"role": "target", "values": ["no", "yes"], "positive": "yes"},
}
LEAST = {"kolmogorov_smirnov": 0.05, "jensen_shannon": 0.05, "wasserstein": 0.1, "chi2": 0.1}
RULE = Drift(least=LEAST)


def customers(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "normal": rng.normal(10, 3, rows),
            "skewed": np.where(rng.random(rows) < 0.02, np.nan, rng.exponential(5, rows)),
            "whole": rng.poisson(2, rows),
            "plan": pd.Categorical(rng.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])),
            "region": pd.Categorical(rng.choice([f"r{i}" for i in range(30)], rows)),
            PROBABILITY: rng.beta(2, 5, rows),
        }
    )


@pytest.fixture(scope="module")
def reference() -> Reference:
    described = from_dict(Dataset, {"name": "small", "columns": COLUMNS}, "test")
    return Reference(SimpleNamespace(), described, 0.5, customers(2000, 0))


@pytest.fixture(scope="module")
def detector(reference: Reference) -> Detector:
    return Detector(reference, RULE)


def drifted(found: list[Distance]) -> set[str]:
    return {d.column for d in found if d.drifted}


def test_distances_are_those_of_scipy(detector: Detector, reference: Reference) -> None:
    before, now = reference.table, customers(1000, 1)
    found = {(d.column, d.method): d.value for d in detector.distances(now)}
    assert found["normal", "kolmogorov_smirnov"] == pytest.approx(stats.ks_2samp(before.normal, now.normal).statistic)
    assert found["normal", "wasserstein"] == pytest.approx(stats.wasserstein_distance(before.normal, now.normal))
    counts = [side.plan.value_counts()[["a", "b", "c"]] for side in (before, now)]
    assert found["plan", "chi2"] == pytest.approx(stats.chi2_contingency(counts).statistic)
    shares = [np.array([count / count.sum()]) for count in counts]
    assert found["plan", "jensen_shannon"] == pytest.approx(drift_thresholds.jensen_shannon(*shares)[0])
    assert found["skewed", MISSING] == pytest.approx(abs(before.skewed.isna().mean() - now.skewed.isna().mean()))
    assert found["plan", UNSEEN] == 0


def test_the_resampled_statistics_are_those_that_are_measured(reference: Reference) -> None:
    """A pair that is the whole reference against its first 500 rows gives what scipy says of these two."""
    table = reference.table
    weights = (np.ones((1, 2000)), (np.arange(2000) < 500).astype(float)[None])
    rule = Drift(numeric=("kolmogorov_smirnov", "wasserstein", "jensen_shannon"))
    for name in ("normal", "whole"):
        both = table[name], table[name].head(500)
        found = drift_thresholds._numeric(table[name].to_numpy(float), weights, rule)
        assert found["kolmogorov_smirnov"][0] == pytest.approx(stats.ks_2samp(*both).statistic)
        assert found["wasserstein"][0] == pytest.approx(stats.wasserstein_distance(*both))
        edges = np.histogram_bin_edges(both[0].astype(float), "doane")
        shares = [np.histogram(side, edges)[0][None] / len(side) for side in both]
        assert found["jensen_shannon"][0] == pytest.approx(drift_thresholds.jensen_shannon(*shares)[0])
    codes = table.plan.cat.codes
    found = drift_thresholds._categorical(codes.to_numpy(float), weights, rule)
    counts = [side.value_counts().sort_index() for side in (codes, codes.head(500))]
    chi2 = found["chi2"][0] ** 2 * drift_thresholds.effective(2000, 500)
    assert chi2 == pytest.approx(stats.chi2_contingency(counts).statistic)


@pytest.mark.parametrize("rows", [500, 3000])
def test_windows_of_the_same_customers_are_not_flagged(detector: Detector, rows: int) -> None:
    """30 new windows: with a false alarm rate of 1 % more than two have a probability of 0.3 %."""
    assert sum(bool(drifted(detector.distances(customers(rows, seed)))) for seed in range(100, 130)) <= 2


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("normal", lambda t: t.normal + 0.2 * 3),
        ("skewed", lambda t: t.skewed + 0.2 * 5),
        ("whole", lambda t: t.whole + 0.2 * 2**0.5),
        ("plan", lambda t: t.plan.mask(np.arange(len(t)) % 5 < 1, "a")),  # 50 to 60 %
        (PROBABILITY, lambda t: t[PROBABILITY] + 0.2 * t[PROBABILITY].std()),
    ],
)
def test_a_small_shift_is_caught_and_named_first(
    detector: Detector, column: str, change: Callable[[pd.DataFrame], pd.Series]
) -> None:
    for seed in range(5):
        table = customers(5000, 200 + seed)
        found = detector.distances(table.assign(**{column: change(table)}))
        assert max(found, key=lambda d: d.excess).column == column
        assert drifted(found) - {ALL} == {column}


def test_missing_and_unseen_values_and_broken_relations_are_found(detector: Detector) -> None:
    table = customers(1000, 300)
    table["whole"] = table.whole.where(np.arange(1000) >= 50)
    table["plan"] = table.plan.astype(str).mask(np.arange(1000) < 20, "new plan")
    found = {(d.column, d.method): d for d in detector.distances(table)}
    assert found["whole", MISSING].value == pytest.approx(0.05)
    assert found["plan", UNSEEN].value == pytest.approx(0.02)
    assert found["whole", MISSING].drifted
    assert found["plan", UNSEEN].drifted


def test_a_column_without_a_single_value_is_missing_and_no_error(detector: Detector) -> None:
    found = detector.distances(customers(1000, 301).assign(normal=np.nan, plan=pd.Categorical([None] * 1000)))
    assert drifted(found) >= {"normal", "plan"}


def test_a_column_of_very_many_levels_is_not_flagged_for_that() -> None:
    """1,500 cities, most of them in the reference once or not at all: new ones are expected, and no drift."""

    def shops(seed: int, rows: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        cities = pd.Series(rng.integers(0, 1500, rows)).astype("str").astype("category")
        return pd.DataFrame({"city": cities, "size": rng.normal(0, 1, rows), PROBABILITY: rng.random(rows)})

    columns = {"city": {}, "size": {"type": "number"}, "left": COLUMNS["left"]}
    described = from_dict(Dataset, {"name": "shops", "columns": columns}, "test")
    detector = Detector(Reference(SimpleNamespace(), described, 0.5, shops(0, 1500)), RULE)
    for seed in range(1, 6):
        assert drifted(detector.distances(shops(seed, 1000))) == set()
    moved = shops(9, 1000)
    moved["city"] = moved.city.astype(str).mask(np.arange(1000) % 10 == 0, "7")
    assert drifted(detector.distances(moved)) == {"city"}


def test_a_column_that_the_reference_has_no_value_of_is_found_when_it_has(reference: Reference) -> None:
    empty = reference.table.assign(normal=np.nan, plan=pd.Categorical([None] * 2000, categories=["a"]))
    detector = Detector(Reference(reference.model, reference.dataset, 0.5, empty), RULE)
    assert drifted(detector.distances(customers(1000, 302))) >= {"normal", "plan"}
    kept = {"normal": np.nan, "plan": pd.Categorical([None] * 1000)}
    assert drifted(detector.distances(customers(1000, 303).assign(**kept))) == set()


def test_thresholds_shrink_with_the_window_down_to_what_matters(reference: Reference) -> None:
    coded = reference.table[["normal"]]
    key = ("normal", "kolmogorov_smirnov")
    small, large, huge = (
        drift_thresholds.thresholds(coded, frozenset(), RULE, rows)[key] for rows in (300, 3000, 10**6)
    )
    assert small > large >= huge >= LEAST["kolmogorov_smirnov"]
    fixed = RULE.model_copy(update={"threshold": {"normal": {"kolmogorov_smirnov": 0.3}}})
    assert drift_thresholds.thresholds(coded, frozenset(), fixed, 300)[key] == 0.3


NUMERIC, CATEGORICAL = ("kolmogorov_smirnov", "wasserstein", "jensen_shannon"), ("jensen_shannon", "chi2")


def test_distances_are_those_of_nannyml() -> None:
    from nannyml.chunk import SizeBasedChunker
    from nannyml.drift.univariate import UnivariateDriftCalculator

    rng = np.random.default_rng(1)

    def sample(rows: int, shift: float) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "normal": rng.normal(shift, 1, rows),
                "skewed": rng.lognormal(shift, 1, rows),
                "whole": rng.poisson(3 + shift, rows).astype(float),
                "gaps": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(0, 1 + shift, rows)),
                "two": (rng.random(rows) < 0.3 + shift / 4).astype(float),
                "many": rng.integers(0, 12 + round(shift * 20), rows).astype(float),
            }
        )

    before, now = sample(3000, 0), sample(1000, 0.15)
    codes = ["two", "many"]
    oracle = UnivariateDriftCalculator(
        column_names=list(before),
        treat_as_categorical=codes,
        continuous_methods=list(NUMERIC),
        categorical_methods=list(CATEGORICAL),
        chunker=SizeBasedChunker(10**9),
    )
    expected = oracle.fit(before).calculate(now).filter(period="analysis").data.iloc[-1]
    for name in before:
        measure, methods = (distances.categorical, CATEGORICAL) if name in codes else (distances.numeric, NUMERIC)
        found = measure(before[name].dropna().to_numpy(), now[name].dropna().to_numpy(), methods)
        for method, value in found.items():
            assert value == pytest.approx(float(expected[name, method, "value"]), abs=1e-12), (name, method)


def test_distances_with_levels_of_one_sample_alone_and_values_outside_of_every_bin() -> None:
    assert distances.categorical(np.zeros(5), np.ones(5), CATEGORICAL)["jensen_shannon"] == pytest.approx(1)
    assert distances.categorical(np.zeros(5), np.zeros(9), CATEGORICAL) == {"jensen_shannon": 0, "chi2": 0}
    far = distances.numeric(np.arange(100.0), np.arange(1000.0, 1100), NUMERIC)
    assert far["jensen_shannon"] == pytest.approx(1)
    assert far["wasserstein"] == pytest.approx(1000)


def test_nannyml_sees_a_change_in_the_chunks_where_it_happened(reference: Reference) -> None:
    windows = [customers(500, 400), customers(500, 401), customers(500, 402).assign(normal=lambda t: t.normal + 2)]
    seen = {(c.column, c.method): c for c in chunked_drift.by_chunk(reference, windows, RULE)}
    moved = seen["normal", "kolmogorov_smirnov"]
    assert moved.chunks == ("1-500", "501-1000", "1001-1500")
    assert moved.alerts == (False, False, True)
    assert moved.values[2] > moved.upper > max(moved.values[:2])
    assert max(seen["plan", "jensen_shannon"].values) < 0.1


def test_a_reference_that_is_too_small_for_chunks_gives_none(reference: Reference) -> None:
    assert chunked_drift.by_chunk(reference, [customers(1900, 400)], RULE) == []
    assert chunked_drift.by_chunk(reference, [], RULE) == []
