"""A list sorted on disk and written in parts is, byte for byte, the list that would be made of the whole table."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from churn.errors import ChurnError
from churn.files import formulas
from churn.serving import batch_scoring
from churn.serving.ranking import listing, merge
from churn.settings.dataset import Dataset
from churn.settings.score import Score

ROWS = 400


def _whole(
    key: str | None, scored: pd.DataFrame, customers: pd.DataFrame, reasons: dict[str, pd.Series], by_value: bool
) -> bytes:
    """The list made of the whole table in memory."""
    rank_by = scored["expected_value" if by_value else "probability"].fillna(-np.inf)
    order = np.argsort(-rank_by.to_numpy(), kind="stable")
    rest, ranking = customers.iloc[order].reset_index(drop=True), scored.iloc[order].reset_index(drop=True)
    ranking.insert(0, "rank", np.arange(1, len(ranking) + 1))
    if key is not None:
        ranking.insert(1, key, rest.pop(key))
    ranking = ranking if by_value else ranking.drop(columns="expected_value")
    return formulas.csv(pd.concat([ranking.assign(**reasons), rest], axis=1))


@pytest.fixture
def customers() -> pd.DataFrame:
    """Cells that a list treats with care: formulas, numbers as text, gaps, days and moments, names that differ in case only."""
    rng = np.random.default_rng(0)
    moments = pd.Series(pd.date_range("2024-01-01", periods=ROWS, freq="D")).astype("datetime64[us]")
    fine = moments.copy()
    fine[ROWS - 3], fine[3] = pd.Timestamp("2024-05-01 10:11:12.5"), pd.NaT
    return pd.DataFrame(
        {
            "Id": pd.Series([f"={row}" if row == ROWS - 1 else f"C{row}" for row in range(ROWS)], dtype="str"),
            "id": pd.Series(rng.integers(-5, 5, ROWS).astype("str"), dtype="str"),
            "Probability": pd.Series(rng.choice(["a", "-x", "", "1"], ROWS), dtype="str").astype("category"),
            "number": pd.Series(rng.choice(["-1", "2"], ROWS), dtype="str").astype("category"),
            "gaps": pd.Series(rng.choice(["a", "b"], ROWS), dtype="str")
            .where(rng.random(ROWS) < 0.5)
            .astype("category"),
            "=f": rng.normal(size=ROWS),
            "count": np.arange(ROWS),
            "part": pd.Series(rng.normal(size=ROWS)).where(rng.random(ROWS) < 0.5),
            "day": moments,
            "moment": fine,
        }
    )


@pytest.mark.parametrize("by_value", [False, True], ids=["by probability", "by value"])
@pytest.mark.parametrize("key", ["Id", None])
def test_the_list_is_that_of_the_whole_table(
    telco: Dataset,
    customers: pd.DataFrame,
    key: str | None,
    by_value: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    monkeypatch.setattr(merge, "ROWS", 64)
    rng, value = np.random.default_rng(1), np.repeat([3.0, -0.0, 0.0, np.nan, -np.inf], ROWS // 5)
    scored = pd.DataFrame(
        {
            "probability": rng.choice([0.25, 0.5, 0.75], ROWS),
            "decision": rng.random(ROWS) < 0.5,
            "expected_value": rng.permutation(value) if by_value else np.nan,
            "prediction_id": [f"{row:032x}" for row in range(ROWS)],
        }
    )
    reasons = {"reason_1": pd.Series(["=f = 1 (+0.10)", "number = -1 (+0.20)", ""], dtype="str")}
    monkeypatch.setattr(batch_scoring, "reason_columns", lambda *_: reasons)

    class OfTheseColumns:
        dataset = type("Described", (), {"id": key})

    pieces = [(scored.iloc[start : start + 90], customers.iloc[start : start + 90]) for start in range(0, ROWS, 90)]
    found = listing.rank(OfTheseColumns(), pieces[::-1], by_value, Score(explained=3), "list")
    assert Path(found.place).read_bytes() == _whole(key, scored, customers, reasons, by_value)
    assert (found.customers, found.churning) == (ROWS, scored.decision.sum())
    assert found.spread.tolist() == np.histogram(scored.probability, bins=batch_scoring.BINS, range=(0, 1))[0].tolist()
    assert len(found.head) == batch_scoring.SAMPLE
    assert list(found.head)[:2] == ["rank", key or "probability"]


def test_a_list_that_cannot_be_written_names_the_variable(
    telco: Dataset, customers: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path / "file"))
    monkeypatch.setattr(batch_scoring, "reason_columns", lambda *_: {})
    scored = pd.DataFrame(
        {"probability": 0.5, "decision": True, "expected_value": np.nan, "prediction_id": ""}, customers.index
    )

    class OfTheseColumns:
        dataset = type("Described", (), {"id": "Id"})

    with pytest.raises(ChurnError, match=r"cannot be written: .*; correct CHURNFLOW_SCORES"):
        listing.rank(OfTheseColumns(), [(scored, customers)], False, Score(), "list")


def _many() -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    rng, rows = np.random.default_rng(2), 60_000
    for start in range(0, 10 * rows, rows):
        index = range(start, start + rows)
        scored = pd.DataFrame({"probability": rng.integers(0, 1000, rows) / 1000, "decision": True}, index)
        yield scored, pd.DataFrame({"text": pd.Series([f"{row:060d}" for row in index], index, dtype="str")})


def test_too_little_memory_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURNFLOW_DUCKDB_MEMORY", "20MB")
    with (
        pytest.raises(ChurnError, match=r"DuckDB needs more memory or disk: .*raise CHURNFLOW_DUCKDB_MEMORY"),
        merge.in_order(_many(), False, merge.Learnt()) as tables,
    ):
        list(tables)


def test_the_sort_spills_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """With less memory than the rows take, the order is the same."""
    monkeypatch.setenv("CHURNFLOW_DUCKDB_MEMORY", "80MB")
    with merge.in_order(_many(), False, merge.Learnt()) as tables:
        found = [(table["probability"].to_numpy(), table["text"].to_pandas()) for table in tables]
    chance, text = np.concatenate([one for one, _ in found]), pd.concat([one for _, one in found])
    assert len(text) == 600_000
    later = np.diff(chance)
    assert (later <= 0).all()
    assert (text.to_numpy()[1:][later == 0] > text.to_numpy()[:-1][later == 0]).all()
