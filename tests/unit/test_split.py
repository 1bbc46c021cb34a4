"""The split: who is held out does not depend on others, on outcomes or on types; time; and no customer on both sides."""

import numpy as np
import pandas as pd
import pytest
from churn.data import casting, split, synthetic
from churn.data.split import HOLDOUT, NEITHER, TRAIN
from churn.errors import ChurnError
from churn.schema_inference import infer
from churn.settings.data import Split
from churn.settings.dataset import Dataset


@pytest.fixture(scope="module")
def customers(telco: Dataset) -> pd.DataFrame:
    return casting.cast(synthetic.generate(telco, 2000, seed=0), telco)[0]


@pytest.fixture(scope="module")
def nameless() -> tuple[Dataset, pd.DataFrame]:
    """Rows without an id, some of them equal."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.integers(0, 40, 1000), "y": rng.integers(0, 5, 1000), "churn": rng.integers(0, 2, 1000)}
    )
    dataset = infer.describe(frame, "small", "small.csv").dataset
    return dataset, casting.cast(frame, dataset)[0]


def _panel(timed: Dataset, customers: int, rows: int, moments: int) -> pd.DataFrame:
    """Customers who stay from moment to moment: each is in ``rows`` rows of the ``moments``."""
    rng = np.random.default_rng(1)
    days = pd.date_range("2025-01-01", periods=moments, freq="MS")
    picked = np.concatenate([np.sort(rng.choice(moments, rows, replace=False)) for _ in range(customers)])
    who = np.repeat(np.arange(customers), rows)
    table = {
        "customer": who,
        "at": days[picked],
        "x": rng.normal(size=customers)[who],
        "left": rng.integers(0, 2, len(who)),
    }
    return casting.cast(pd.DataFrame(table), timed)[0]


def test_the_share_is_held_out_and_the_seed_decides_whom(telco: Dataset, customers: pd.DataFrame) -> None:
    one, same, other = (split.sides(customers, telco, Split(holdout=0.25, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    for found in (one, other):
        assert (found == HOLDOUT).mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 2000))
        assert set(found.tolist()) == {TRAIN, HOLDOUT}


@pytest.mark.parametrize(("share", "seeds"), [(0.2, range(5, 10)), (0.1, range(10)), (0.3, range(3))])
def test_consecutive_seeds_hold_out_different_customers(
    telco: Dataset, customers: pd.DataFrame, share: float, seeds: range
) -> None:
    held_out = sum((split.sides(customers, telco, Split(holdout=share, seed=s)) == HOLDOUT).astype(int) for s in seeds)
    assert held_out.max() == 1
    assert held_out.mean() == pytest.approx(share * len(seeds), abs=0.05)


@pytest.mark.parametrize("with_id", [True, False])
def test_new_rows_and_flipped_labels_move_nobody(
    telco: Dataset, customers: pd.DataFrame, nameless: tuple[Dataset, pd.DataFrame], with_id: bool
) -> None:
    dataset, table = (telco, customers) if with_id else nameless
    before = split.sides(table.iloc[50:], dataset, Split())
    assert (split.sides(table, dataset, Split())[50:] == before).all(), "50 rows in front of the others"
    shuffled = table.sample(frac=1, random_state=0)
    assert (split.sides(shuffled, dataset, Split()) == split.sides(table, dataset, Split())[shuffled.index]).all()
    flipped = table.copy()
    values = dataset.columns[dataset.target].values
    flipped.loc[7, dataset.target] = next(v for v in values if v != flipped.loc[7, dataset.target])
    assert (split.sides(flipped, dataset, Split()) == split.sides(table, dataset, Split())).all()


def test_types_move_nobody(telco: Dataset, customers: pd.DataFrame) -> None:
    numbered = customers.assign(customerID=np.arange(len(customers)))
    expected = split.sides(numbered, telco, Split())
    for kind in ("float64", "str", "category", "Int64"):
        found = split.sides(numbered.astype({"customerID": kind}), telco, Split())
        assert (found == expected).all(), kind


def test_with_a_time_column_the_latest_rows_are_held_out_and_nobody_is_on_both_sides(timed: Dataset) -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2025-01-01", periods=1000).astype(str)
    columns = {"customer": rng.integers(0, 900, 1000).astype(str), "x": rng.normal(size=1000)}
    frame = pd.DataFrame({**columns, "at": days, "left": rng.integers(0, 2, 1000)})
    frame = casting.cast(frame.sample(frac=1, random_state=0), timed)[0]
    side = split.sides(frame, timed, Split())
    assert (side == HOLDOUT).sum() == 200
    assert frame["at"][side == HOLDOUT].min() > frame["at"][side != HOLDOUT].max()
    assert not set(frame.customer[side == TRAIN]) & set(frame.customer[side == HOLDOUT])
    assert set(frame.customer[side == NEITHER]) <= set(frame.customer[side == HOLDOUT])
    assert split.boundary(frame["at"], side) == frame["at"][side == HOLDOUT].min().isoformat()


def test_customers_who_stay_are_divided_and_the_others_rows_are_earlier(timed: Dataset) -> None:
    frame = _panel(timed, customers=600, rows=8, moments=12)
    side = split.sides(frame, timed, Split())
    assert frame["at"][side == HOLDOUT].min() > frame["at"][side == TRAIN].max()
    training, held_out = (set(frame.customer[side == s]) for s in (TRAIN, HOLDOUT))
    assert not training & held_out
    assert len(held_out) == pytest.approx(0.2 * 600, abs=4 * np.sqrt(0.2 * 0.8 * 600))
    assert (side == TRAIN).mean() > 0.5, "those who stay are trained on too"
    later = frame["at"] >= frame["at"][side == HOLDOUT].min()
    drawn = (frame.customer.isin(held_out) & later).to_numpy()
    assert (side[drawn] == HOLDOUT).all()


def test_without_an_id_equal_rows_stay_together(nameless: tuple[Dataset, pd.DataFrame]) -> None:
    rng = np.random.default_rng(1)
    cells = {"x": rng.integers(0, 500, 6000), "y": rng.integers(0, 5, 6000), "churn": rng.integers(0, 2, 6000)}
    dataset, typed = nameless[0], casting.cast(pd.DataFrame(cells), nameless[0])[0]
    side = split.sides(typed, dataset, Split())
    keys = pd.util.hash_pandas_object(typed[list(dataset.raw)], index=False)
    assert keys.nunique() < len(keys) / 2
    assert not set(keys[side == TRAIN]) & set(keys[side == HOLDOUT])
    assert (side == HOLDOUT).mean() == pytest.approx(0.2, abs=0.05)


def test_a_side_that_cannot_be_used_is_refused(telco: Dataset) -> None:
    frame = casting.cast(synthetic.generate(telco, 100, seed=0), telco)[0]
    with pytest.raises(ChurnError, match=r"the holdout would hold \d+ customers.*\[split\]"):
        split.sides(frame, telco, Split(holdout=0.05))
    with pytest.raises(ChurnError, match=r"would hold \d+ customers, 0 of them churned"):
        split.sides(frame.assign(Churn="No"), telco, Split())
