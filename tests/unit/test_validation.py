"""The checks: each finds what it is for, says where and how severe, and quarantine keeps the rest usable."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from churn.data import casting, synthetic, tables
from churn.errors import ChurnError
from churn.settings.data import Quality, Synthetic
from churn.settings.dataset import Dataset
from churn.validation import ingestion, leakage, profile, validation
from churn.validation.checks import Check, Report

LIMITS = Quality()


@pytest.fixture
def customers(telco: Dataset) -> pd.DataFrame:
    return synthetic.generate(telco, 1000, seed=5)


def checks(found: validation.Validated, severity: str) -> list[tuple[str, str, int]]:
    of = found.report.errors if severity == "error" else found.report.warnings
    return [(c.column, c.rule, c.failed) for c in of]


def test_all_failures_are_found_at_once(customers: pd.DataFrame, telco: Dataset) -> None:
    bad = customers.astype({"tenure": object})
    bad.loc[3, "tenure"] = "many"
    bad.loc[[7, 9], "MonthlyCharges"] = [-1.0, 2000.0]
    bad.loc[11, "Contract"] = "Weekly"
    bad.loc[13, "gender"] = None
    bad.loc[15, "customerID"] = bad.loc[14, "customerID"]
    found = validation.validate(bad, telco, LIMITS, "x")
    assert {(c.column, c.failed, c.examples) for c in found.report.errors} == {
        ("tenure", 1, ("'many' in row 4",)),
        ("MonthlyCharges", 2, ("-1.0 in row 8", "2000.0 in row 10")),
        ("Contract", 1, ("'Weekly' in row 12",)),
        ("gender", 1, ("nan in row 14",)),
        ("customerID", 1, (f"{bad.loc[14, 'customerID']!r} in row 16",)),
    }
    assert 0.9 < found.report.score < 1
    with pytest.raises(ChurnError, match=r"5 of .* checks failed"):
        found.report.require("x")


def test_the_score_is_the_mean_share_of_values_that_keep_the_rules() -> None:
    report = Report((Check("a", "r", 10, 100), Check("b", "r", 0, 100)), 100)
    assert report.score == pytest.approx(0.95)


def test_a_few_bad_rows_go_to_quarantine_with_all_their_reasons(customers: pd.DataFrame, telco: Dataset) -> None:
    bad = customers.astype({"tenure": object})
    bad.loc[3, "tenure"] = "many"
    bad.loc[3, "Contract"] = "Weekly"
    bad.loc[5, "gender"] = None
    limits = Quality(quarantine=0.01)
    found = validation.validate(bad, telco, limits, "x")
    assert not found.report.errors
    assert found.report.set_aside == 2
    assert len(found.table) == 998
    assert found.quarantine.row.tolist() == [4, 6]
    assert found.quarantine.reasons.iloc[0].startswith("tenure is an integer; Contract is one of")
    assert found.quarantine.tenure.iloc[0] == "many"  # as it came
    expected = casting.cast(customers.drop(index=[3, 5]).reset_index(drop=True), telco)[0]
    pd.testing.assert_frame_equal(found.table, expected)
    assert validation.validate(bad, telco, Quality(quarantine=0.001), "x").report.errors


def test_a_warning_column_does_not_stop(customers: pd.DataFrame, telco: Dataset) -> None:
    column = telco.columns["MonthlyCharges"].model_copy(update={"max": 50.0, "severity": "warning"})
    lenient = Dataset.model_validate(telco.model_copy(update={"columns": {**telco.columns, "MonthlyCharges": column}}))
    found = validation.validate(customers, lenient, LIMITS, "x")
    assert not found.report.errors
    assert ("MonthlyCharges", "is between 0 and 50") in [c[:2] for c in checks(found, "warning")]


def test_missing_share_and_class_balance(customers: pd.DataFrame, telco: Dataset) -> None:
    column = telco.columns["TotalCharges"].model_copy(update={"max_missing": 0.05})
    strict = telco.model_copy(update={"columns": {**telco.columns, "TotalCharges": column}})
    gaps = customers.assign(TotalCharges=customers.TotalCharges.mask(np.arange(1000) < 100))
    assert ("TotalCharges", "is missing in at most 5.0% of the rows", 1) in checks(
        validation.validate(gaps, strict, LIMITS, "x"), "error"
    )
    rare = validation.validate(customers, telco, Quality(churn_share=(0.5, 0.9)), "x")
    assert ("Churn", "churn share is 50.0% to 90.0%", 1) in checks(rare, "warning")


def test_a_column_that_gives_the_outcome_away_is_a_suspect(customers: pd.DataFrame, telco: Dataset) -> None:
    told = customers.assign(MonthlyCharges=np.where(customers.Churn == "Yes", 90.0, 20.0))
    assert [c.column for c in validation.validate(told, telco, LIMITS, "x").report.warnings] == ["MonthlyCharges"]
    stop = validation.validate(told, telco, Quality(leakage="error"), "x")
    assert [c.column for c in stop.report.errors] == ["MonthlyCharges"]


def test_separation_is_the_auc_and_is_not_fooled_by_many_levels() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    churned = rng.random(3000) < 0.3
    score = pd.Series(np.round(rng.normal(0, 1, 3000) + churned, 1))
    assert leakage.separation(score, churned) == pytest.approx(roc_auc_score(churned, score))
    assert leakage.separation(-score, churned) == pytest.approx(roc_auc_score(churned, score))
    assert leakage.separation(pd.Series([f"name {i}" for i in range(3000)]), churned) == pytest.approx(0.5)
    assert leakage.separation(pd.Series(np.where(churned, "price", None)), churned) == 1  # missing says it all
    assert leakage.separation(pd.Series(np.where(churned, "a", "b")), churned) == 1


def _rows(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    at = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(rows), unit="D")
    return pd.DataFrame({"customer": [f"c{i % (rows * 3 // 4)}" for i in range(rows)], "at": at.astype(str),
                         "x": rng.normal(size=rows), "left": rng.integers(0, 2, rows)})  # fmt: skip


def test_stale_and_unreadable_moments(timed: Dataset) -> None:
    rows = _rows(400)
    found = validation.validate(rows, timed, Quality(max_age_days=30, stale="error"), "x")
    assert [c[:2] for c in checks(found, "error")] == [("at", "newest row is at most 30 days old")]
    rows.loc[3, "at"] = "soon"
    assert [c.examples for c in validation.validate(rows, timed, LIMITS, "x").report.errors] == [("'soon' in row 4",)]


def test_a_customer_may_come_back_but_not_at_the_same_moment(timed: Dataset) -> None:
    rows = _rows(400)
    assert not validation.validate(rows, timed, LIMITS, "x").report.errors
    twice = pd.concat([rows, rows.head(2)], ignore_index=True)
    (check,) = validation.validate(twice, timed, LIMITS, "x").report.errors
    assert (check.rule, check.failed) == ("is unique at each at", 2)


def test_drift_is_measured_from_the_previous_version(customers: pd.DataFrame, telco: Dataset) -> None:
    before = validation.validate(customers, telco, LIMITS, "x")
    before = profile.profile(before.table, telco, before.columns)
    assert all(sum(column.shares) == pytest.approx(1) for column in before.columns.values())
    same = synthetic.generate(telco, 1000, seed=6)
    moved = same.assign(MonthlyCharges=same.MonthlyCharges * 1.5, Contract="Two year")
    moved.loc[:300, "TotalCharges"] = np.nan
    source = Synthetic(kind="synthetic")
    for frame, expected in ((same, set()), (moved, {"MonthlyCharges", "Contract", "TotalCharges"})):
        found = ingestion.ingest([source], [(tables.to_bytes(frame), ())], telco, LIMITS, before)
        drifted = {c.column for c in found.report.warnings if "Jensen-Shannon" in c.rule}
        assert drifted == expected
    own = telco.columns["Contract"].model_copy(update={"drift": 1.0})
    lenient = telco.model_copy(update={"columns": {**telco.columns, "Contract": own}})
    found = ingestion.ingest([source], [(tables.to_bytes(moved), ())], lenient, LIMITS, before)
    assert {c.column for c in found.report.warnings if "Jensen-Shannon" in c.rule} == expected - {"Contract"}


def test_a_profile_of_the_same_table_is_at_no_distance(customers: pd.DataFrame, telco: Dataset) -> None:
    found = validation.validate(customers, telco, LIMITS, "x")
    now = profile.profile(found.table, telco, found.columns)
    assert set(profile.distances(now, found.table, found.columns).values()) == {0.0}


def test_rows_without_an_outcome_are_left_out_or_refused(customers: pd.DataFrame, telco: Dataset) -> None:
    blank = customers.assign(Churn=customers.Churn.mask(np.arange(1000) % 10 == 3))
    found = validation.validate(blank, telco, LIMITS, "x")
    assert (len(found.table), found.report.left_out) == (900, ("rows without an outcome (100)",))
    assert checks(found, "warning") == [("Churn", "says whether the customer left", 100)]
    expected = casting.cast(customers[blank.Churn.notna()].reset_index(drop=True), telco)[0]
    pd.testing.assert_frame_equal(found.table, expected)
    refused = validation.validate(blank, telco, Quality(unlabelled="error", quarantine=0.5), "x").report
    with pytest.raises(
        ChurnError, match=r"'Churn': says whether .* 100 of 1000 failed: row 4, row 14, row 24.*= \"drop\""
    ):
        refused.require("x")
    with pytest.raises(ChurnError, match="none of the 1000 rows says whether the customer left"):
        validation.validate(customers.assign(Churn=""), telco, LIMITS, "x")


def test_rows_are_numbered_as_in_the_file_whatever_was_left_out(customers: pd.DataFrame, telco: Dataset) -> None:
    bad = customers.astype({"tenure": object})
    bad.loc[[0, 5], "Churn"] = None
    bad.loc[7, "tenure"] = "many"
    bad.loc[9, "MonthlyCharges"] = -1.0
    bad.loc[11, "customerID"] = bad.loc[10, "customerID"]
    found = validation.validate(bad, telco, LIMITS, "x").report.errors
    assert [check.examples[0].split()[-1] for check in found] == ["8", "12", "10"]
    aside = validation.validate(bad, telco, Quality(quarantine=0.01), "x").quarantine
    assert aside.row.tolist() == [8, 10, 12]


def test_columns_that_are_missing_are_named_with_what_helps_a_run_or_a_champion(
    customers: pd.DataFrame, telco: Dataset
) -> None:
    rows = customers.drop(columns=["tenure", "gender"])
    with pytest.raises(
        ChurnError, match=r"columns 'gender', 'tenure' are missing; .*Add them to the file, or describe the"
    ):
        validation.validate(rows, telco, LIMITS, "x")
    rows = customers.drop(columns=["tenure", "Churn"])
    with pytest.raises(ChurnError, match=r"column 'tenure' is missing; .*Add it .*: the champion was trained with it$"):
        validation.screen(rows, telco, 0, "x")


def test_a_header_line_among_customers_to_score_is_left_out(customers: pd.DataFrame, telco: Dataset) -> None:
    rows = customers.drop(columns="Churn").astype("str")
    rows = pd.concat([rows, rows[:1].assign(**{name: name.upper() for name in rows})], ignore_index=True)
    found = validation.screen(rows, telco, 0, "x")
    assert (len(found.table), found.report.left_out, found.report.errors) == (1000, ("repeated header lines (1)",), ())


@pytest.mark.parametrize(
    ("column", "cell", "remedies"),
    [
        (
            "TotalCharges",
            "unknown",
            ['missing_values = ["unknown"] in config/datasets/telco.toml [columns.TotalCharges]'],
        ),
        ("tenure", "n.a.", ['missing_values = ["n.a."] and missing = true in']),
        ("tenure", "1.5", ['set type = "number" in']),
        ("MonthlyCharges", "$5", ["decimal, thousands, unit or negative in"]),
        ("gender", "", ["set missing = true in"]),
        ("customerID", "", ['set role = "ignore" in']),
        ("Churn", "Perhaps", ["to 'values' (and to 'positive'", "or to 'leave_out'"]),
    ],
)
def test_a_remedy_knows_the_column(
    customers: pd.DataFrame, telco: Dataset, column: str, cell: str, remedies: list[str]
) -> None:
    bad = customers.astype("str").assign(**{column: [cell, *customers[column][1:].astype("str")]})
    (check,) = validation.validate(bad, telco, LIMITS, "x").report.errors
    assert all(remedy in check.remedy for remedy in remedies), check.remedy
    assert column in ("gender", "tenure") or "missing = true" not in check.remedy
    if column != "Churn":
        (check,) = validation.screen(bad, telco, 0, "x").report.errors
        assert check.remedy.endswith("A changed description counts from the next training on.")


def test_a_time_that_is_missing_is_not_to_be_allowed(timed: Dataset) -> None:
    rows = _rows(400)
    rows.loc[3, "at"] = ""
    (check,) = validation.validate(rows, timed, LIMITS, "x").report.errors
    assert 'role = "ignore"' in check.remedy
    assert "missing = true" not in check.remedy


def test_a_column_that_is_ignored_stops_nothing(customers: pd.DataFrame, telco: Dataset) -> None:
    column = telco.columns["tenure"].model_copy(update={"role": "ignore"})
    dataset = telco.model_copy(update={"columns": {**telco.columns, "tenure": column}, "features": {}})
    assert not validation.validate(customers.assign(tenure="many"), dataset, LIMITS, "x").report.errors


def test_bad_rows_do_not_slow_a_large_table(telco: Dataset) -> None:
    """A hundred thousand failures are counted, not listed."""
    frame = synthetic.generate(telco, 100_000, seed=1).assign(Contract="Weekly")
    found = validation.validate(frame, telco, LIMITS, "x")
    (check,) = (c for c in found.report.errors if c.column == "Contract")
    assert (check.failed, len(check.examples)) == (100_000, 3)
    assert dataclasses.asdict(check)["severity"] == "error"
