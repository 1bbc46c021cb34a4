"""``make report``: both leaderboards, and what it says where there is no model or nothing to compare with."""

import report

NOW = {
    "metric": "roc_auc",
    "families": [
        {"name": "xgboost", "score": 0.85, "interval": [0.83, 0.87], "brier": 0.13, "seconds": 9.6},
        {"name": "extra", "score": 0.86, "interval": [0.84, 0.88], "brier": 0.12, "seconds": 3.2},
    ],
    "scores": {"roc_auc": 0.87, "brier": 0.125},
    "summary": "The gate is passed.",
    "version": "2",
}
MAIN = {"families": [{"name": "xgboost", "score": 0.86}], "scores": {"roc_auc": 0.86}}


def test_the_best_family_comes_first_and_each_has_its_change() -> None:
    text = list(report.lines(NOW, MAIN))
    rows = [line for line in text if line.startswith(("| extra", "| xgboost"))]
    assert rows == [
        "| extra | 0.8600 (0.8400 to 0.8800) | 0.1200 | 3 | - | new |",
        "| xgboost | 0.8500 (0.8300 to 0.8700) | 0.1300 | 10 | 0.8600 | -0.0100 |",
    ]
    assert "| roc_auc | 0.8700 | 0.8600 |" in text
    assert "| brier | 0.1250 | - |" in text
    assert text[-1] == "The gate is passed."


def test_without_a_model_the_report_says_so() -> None:
    assert "No model was registered" in "\n".join(report.lines({}, None))


def test_a_record_of_a_release_without_families_is_no_error() -> None:
    assert list(report.lines(NOW, {"families": None, "scores": None}))
