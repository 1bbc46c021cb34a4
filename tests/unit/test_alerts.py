"""Ok, warn or alert: hysteresis, too few rows, what outcomes say, and the message that goes out."""

from types import SimpleNamespace

import numpy as np
import pytest
from churn.errors import ChurnError
from churn.monitoring import alerts, notify
from churn.monitoring.alerts import Assessment, Context, WindowResult
from churn.monitoring.drift import ALL, PROBABILITY, Distance
from churn.monitoring.performance import MetricValue, Realised
from churn.monitoring.windows import Window
from churn.settings.core import from_dict
from churn.settings.monitor import MonitorConfig
from churn.telemetry import prometheus_metrics

CONFIG = from_dict(MonitorConfig, {"window": {"rows": 1000, "last": 3}, "alert": {"violations": 2}}, "test")
BEFORE = {"roc_auc": 0.85}
MODEL = SimpleNamespace(name="churn", version="3")


def window(*drifted: str, auc: float = 0.84, rows: int = 1000) -> WindowResult:
    """A judged window in which the named columns have drifted, the first one most."""
    distances = [Distance(name, "chi2", 20.0 / (i + 1) ** 2, 1.0) for i, name in enumerate(drifted)]
    return WindowResult(
        Window("w", rows),
        (Distance("calm", "chi2", 0.5, 1.0), *reversed(distances), Distance(PROBABILITY, "wasserstein", 0.01, 0.03)),
        (MetricValue("roc_auc", auc, 0.81, 0.01),),
    )


def decided(
    *windows: WindowResult, realised: Realised | None = None, file: bool = False, unknown: int = 0
) -> Assessment:
    return alerts.assess(windows, realised, CONFIG, Context(BEFORE, file, 0, unknown))


@pytest.mark.parametrize(
    ("windows", "severity"),
    [
        ([window(), window(), window()], "ok"),
        ([window("a"), window("a"), window()], "ok"),  # it is over
        ([window(), window(), window("a")], "warn"),
        ([window("a"), window(), window("b")], "alert"),
        ([window("a")], "warn"),  # one window alone is not two
        ([window(auc=0.8), window(), window(auc=0.8)], "alert"),
        ([window("a"), window("a"), WindowResult(Window("w", 3))], "warn"),
    ],
)
def test_an_alert_needs_several_windows_and_the_newest(windows: list[WindowResult], severity: str) -> None:
    assert decided(*windows).severity == severity


def test_a_file_is_judged_by_itself() -> None:
    assert decided(window("a"), file=True).severity == "alert"
    assert decided(window(), file=True).severity == "ok"


def test_columns_are_named_the_worst_first() -> None:
    found = decided(window("worst", "worse", "bad"), file=True)
    assert found.columns == ("worst", "worse", "bad")
    assert found.summary.startswith("Changed: worst, worse, bad")
    assert [light.colour for light in found.lights] == ["red", "green", "green", "grey"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("a",), "1 column differs."),
        (("a", "b"), "2 columns differ."),
        ((ALL,), "No column differs by itself."),
    ],
)
def test_differing_columns_are_counted(columns: tuple[str, ...], said: str) -> None:
    assert decided(window(*columns), file=True).lights[0].answer.startswith(said)


def test_three_rows_are_no_judgement() -> None:
    found = decided(WindowResult(Window("w", 3)))
    assert (found.severity, found.summary) == ("warn", "Not enough to judge: 3 predictions in the newest window.")
    assert [light.colour for light in found.lights] == ["grey", "grey", "grey", "amber"]


def known(auc: float, estimate: float, threshold: float = 0.8) -> Realised:
    return Realised(800, 200, (MetricValue("roc_auc", auc, threshold, 0.01),), {"roc_auc": estimate})


def test_realised_performance_counts_at_once() -> None:
    found = decided(window(), realised=known(0.7, 0.71))
    assert found.severity == "alert"
    assert found.lights[2].colour == "red"


def test_an_estimate_that_missed_what_happened_is_called_concept_drift() -> None:
    found = decided(window(), realised=known(0.81, 0.86))
    assert (found.severity, found.lights[3].colour) == ("warn", "red")
    assert "concept drift" in found.lights[3].answer
    assert decided(window(), realised=known(0.84, 0.85)).severity == "ok"


def test_outcomes_of_unknown_predictions_are_told() -> None:
    found = decided(window(), realised=known(0.84, 0.85), unknown=12)
    assert (found.severity, found.lights[3].colour) == ("warn", "amber")
    assert "12 outcomes belong to no prediction" in found.lights[3].answer


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window": {}}, "either 'days' or 'rows'"),
        ({"window": {"rows": 100}}, "are never judged"),
        ({"alert": {"violations": 4}}, "never be reached"),
        ({"drift": {"numeric": ["chi2"]}}, "drift.numeric"),
        ({"drift": {"false_alarm": 0.1}}, "unknown key 'drift.false_alarm'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ChurnError, match=said):
        from_dict(MonitorConfig, {"window": {"days": 1.0}, **change}, "monitor.toml")


def test_the_webhook_gets_slack_json_on_alerts_only(hook: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(notify.WEBHOOK, f"{hook.url}/secret")
    assert notify.post_alert(decided(window()), MODEL, "make run") == ""
    assert notify.post_alert(decided(window("a"), file=True), MODEL, "make run") == f"sent a message to {hook.url}"
    (body,) = hook.bodies
    assert set(body) == {"text"}
    for words in ("ALERT: churn version 3", "Changed: a", "`make run`"):
        assert words in body["text"]


def test_a_webhook_that_is_away_is_told_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://127.0.0.1:1/secret", "nonsense"):
        monkeypatch.setenv(notify.WEBHOOK, url)
        said = notify.post_alert(decided(window("a"), file=True), MODEL, "make run")
        assert "no message was sent" in said
        assert "secret" not in said


def test_what_prometheus_gets_says_what_was_judged_by() -> None:
    newest = window("a")
    found = {(s.metric.name, *s.labels): s.value for s in alerts.samples(newest, None, decided(newest, file=True))}
    assert found["monitoring_severity",] == 2
    assert (found["feature_drift_score", "a", "chi2"], found["feature_drift_threshold", "a", "chi2"]) == (20.0, 1.0)
    assert found["prediction_drift_score", "wasserstein"] == 0.01
    assert (found["estimated_roc_auc",], found["estimated_roc_auc_threshold",]) == (0.84, 0.81)
    assert np.isnan(found["realized_roc_auc",])
    assert {s.metric for s in alerts.samples(newest, known(0.7, 0.7), decided(newest))} == set(
        prometheus_metrics.MONITORING
    )
