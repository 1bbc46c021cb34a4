"""The split: sizes, strata, seeds, time; and no customer on both sides."""

import numpy as np
import pandas as pd
import pytest
from churn import conform, describe, generator, split
from churn.config import Split
from churn.dataset import Dataset
from churn.errors import ChurnError
from churn.split import HOLDOUT, NEITHER, TRAIN


def test_each_class_gives_the_same_share_and_the_seed_decides(telco: Dataset) -> None:
    frame = conform.conform(generator.generate(telco, 2000, seed=0), telco)[0]
    one, same, other = (split.sides(frame, telco, Split(holdout=0.25, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    for outcome in ("Yes", "No"):
        members = (frame.Churn == outcome).to_numpy()
        assert (one[members] == HOLDOUT).mean() == pytest.approx(0.25, abs=1 / members.sum())


def test_with_a_time_column_the_latest_rows_are_held_out_and_nobody_is_on_both_sides(timed: Dataset) -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2025-01-01", periods=1000).astype(str)
    columns = {"customer": rng.integers(0, 900, 1000).astype(str), "x": rng.normal(size=1000)}
    frame = pd.DataFrame({**columns, "at": days, "left": rng.integers(0, 2, 1000)})
    frame = conform.conform(frame.sample(frac=1, random_state=0), timed)[0]
    side = split.sides(frame, timed, Split())
    assert (side == HOLDOUT).sum() == 200
    assert frame["at"][side == HOLDOUT].min() > frame["at"][side != HOLDOUT].max()
    assert not set(frame.customer[side == TRAIN]) & set(frame.customer[side == HOLDOUT])
    assert set(frame.customer[side == NEITHER]) <= set(frame.customer[side == HOLDOUT])


def test_without_an_id_equal_rows_stay_together() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.integers(0, 40, 1000), "y": rng.integers(0, 5, 1000), "churn": rng.integers(0, 2, 1000)}
    )
    dataset = describe.describe(frame, "small", "small.csv").dataset
    typed = conform.conform(frame, dataset)[0]
    side = split.sides(typed, dataset, Split())
    keys = pd.util.hash_pandas_object(typed, index=False)
    assert not set(keys[side == TRAIN]) & set(keys[side == HOLDOUT])
    assert (side == HOLDOUT).mean() == pytest.approx(0.2, abs=0.05)


def test_a_side_that_cannot_be_used_is_refused(telco: Dataset) -> None:
    frame = conform.conform(generator.generate(telco, 100, seed=0), telco)[0]
    with pytest.raises(ChurnError, match=r"the holdout would hold \d customers.*\[split\]"):
        split.sides(frame, telco, Split(holdout=0.05))
