"""The one list of Prometheus metrics. A rule, a panel or a test that names a metric finds it here.

Prometheus scrapes the service's (set in bento/service_metrics.py). The flows' outlive their run:
``churn.telemetry.push`` writes and pushes them, with the additional labels ``flow`` and, below PIPELINE, ``dataset``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """The name of a metric, its meaning (with its unit), and its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def of(self, value: float, **labels: str) -> "Sample":
        """A value of this metric.

        Raises:
            ValueError: ``labels`` are not those of the metric.
        """
        if set(labels) != set(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {tuple(labels)}")
        return Sample(self, float(value), tuple(labels[name] for name in self.labels))


@dataclass(frozen=True)
class Sample:
    """A value of a metric; ``labels`` are the values of its labels, in the same order."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


# The service (set in bento/service_metrics.py).
REQUESTS = Metric("service_requests_total", "requests answered, by endpoint and status code", ("endpoint", "status"))
REQUEST_SECONDS = Metric("service_request_seconds", "seconds from headers to last byte (histogram)", ("endpoint",))
PREDICTIONS = Metric("predictions_total", "customers answered, by decision", ("model_version", "decision"))
PROBABILITY = Metric("prediction_probability", "churn probability of the answers (histogram)", ("model_version",))
REJECTIONS = Metric("input_rejections_total", "inputs refused, by field and reason", ("field", "reason"))
WARNINGS = Metric("input_warnings_total", "inputs answered with a warning, by field and reason", ("field", "reason"))
LOG_QUEUE = Metric("prediction_log_queue_rows", "rows that wait to be written to the log", ("kind",))
LOG_DROPPED = Metric(
    "prediction_log_dropped_total", "rows lost: no room in the log's queue, or not encodable", ("kind",)
)
KEY_REQUESTS = Metric("service_key_requests_total", "requests let in, by holder of the API key", ("holder", "endpoint"))
LOG_ALIVE = Metric("prediction_log_writer_alive", "1 while the log's thread lives, 0 once it does not", ("kind",))
MODEL_INFO = Metric("service_model_info", "always 1; what is served", ("model_version", "data_version", "family"))
WORKER_MEMORY = Metric("service_worker_memory_bytes", "resident memory of a worker process", ("worker",))
WORKER_CPU = Metric("service_worker_cpu_seconds_total", "CPU seconds of a worker process", ("worker",))

# Every flow (flows/base.py pushes these after the last step and after a failed one). Times are in seconds since 1970.
RUNS = Metric("pipeline_runs_total", "runs in Metaflow's run store that ended so: succeeded or failed", ("status",))
DURATION = Metric("pipeline_duration_seconds", "seconds from start to end of the last successful run")
LAST_SUCCESS = Metric("pipeline_last_success_timestamp_seconds", "when the last successful run ended")
LAST_FAILURE = Metric("pipeline_last_failure_timestamp_seconds", "when a step failed last")
PIPELINE = (RUNS, DURATION, LAST_SUCCESS, LAST_FAILURE)

# DataFlow.
QUALITY = Metric("data_quality_score", "mean share of values that kept a rule, over all checks; 0 to 1")
CHECKS_FAILED = Metric("data_checks_failed", "checks that failed, by severity", ("severity",))
ROWS = Metric("data_rows", "rows of the newest table, used or set aside", ("use",))
DATA = (QUALITY, CHECKS_FAILED, ROWS)

# TrainFlow: the champion, and its scores on the holdout of its training.
VERSION_INFO = Metric("model_version_info", "always 1; the champion", ("model_version", "data_version", "family"))
PROMOTED = Metric("model_promoted_timestamp_seconds", "when the champion became it, in seconds since 1970")
SCORES = {
    score: Metric(f"model_{score}", f"the champion's {text} on its holdout", ("model_version",))
    for score, text in {
        "accuracy": "share of right decisions",
        "precision": "share of churners among those called so",
        "recall": "share of the churners that it finds",
        "f1": "F1 score of the churn class",
        "roc_auc": "area under the ROC curve",
        "pr_auc": "average precision",
        "brier": "Brier score (lower is better)",
        "log_loss": "log loss in nats (lower is better)",
        "ece": "expected calibration error (lower is better)",
        "ks": "Kolmogorov-Smirnov distance of churned and retained",
        "lift_10": "lift of the first tenth",
    }.items()
}
MODEL = (VERSION_INFO, PROMOTED, *SCORES.values())

# ProbeFlow.
EVENT_ARRIVED = Metric("event_arrived_timestamp_seconds", "when an event last made the round through bus and sensor")

# DeployFlow.
DEPLOYMENTS = Metric(
    "deployments_total", "deployments that ended so: kept, rolled back, refused, interrupted", ("outcome",)
)
DEPLOYMENT_SECONDS = Metric(
    "deployment_duration_seconds", "seconds from the first new instance to the verdict, the last time"
)
DEPLOYMENT = (DEPLOYMENTS, DEPLOYMENT_SECONDS)

# EffectFlow: the newest report of each of the data set's campaigns.
_ARM = ("campaign", "arm")
CAMPAIGN_EFFECT = Metric("campaign_effect", "what the contacts changed, a share of customers; above 0 is good", _ARM)
CAMPAIGN_LOW = Metric("campaign_effect_low", "lower bound of the effect, however often one looks", _ARM)
CAMPAIGN_HIGH = Metric("campaign_effect_high", "upper bound of the effect, however often one looks", _ARM)
CAMPAIGN_KEPT = Metric("campaign_customers_kept", "customers who are here because of the campaign", _ARM)
CAMPAIGN_VERDICT = Metric("campaign_verdict", "1 helped, 0 cannot tell yet, -1 harmed", _ARM)
CAMPAIGN_REPORTED = Metric(
    "campaign_reported_timestamp_seconds", "the day of the newest report, in seconds since 1970", ("campaign",)
)
CAMPAIGN = (
    CAMPAIGN_EFFECT,
    CAMPAIGN_LOW,
    CAMPAIGN_HIGH,
    CAMPAIGN_KEPT,
    CAMPAIGN_VERDICT,
    CAMPAIGN_REPORTED,
)

# MonitorFlow: the newest window of the prediction log against the champion's holdout. A value that could not be measured is
# NaN, on which no rule fires; the thresholds are those MonitorFlow used, so that rules need no second set.
SEVERITY = Metric("monitoring_severity", "verdict of the last MonitorFlow: 0 ok, 1 warn, 2 alert")
WINDOW_ROWS = Metric("monitoring_window_rows", "predictions in the newest window")
LOG_DAMAGED = Metric("monitoring_log_parts_damaged", "parts of the prediction log that were damaged and left out")
FEATURE_DRIFT = Metric("feature_drift_score", "distance of a feature from the reference", ("feature", "method"))
FEATURE_LIMIT = Metric("feature_drift_threshold", "distance from which a feature has drifted", ("feature", "method"))
PREDICTION_DRIFT = Metric("prediction_drift_score", "distance of the probabilities from the reference's", ("method",))
PREDICTION_LIMIT = Metric("prediction_drift_threshold", "distance from which they have drifted", ("method",))
ESTIMATED_ROC_AUC = Metric("estimated_roc_auc", "ROC-AUC of the newest window, estimated without labels (CBPE)")
ESTIMATED_LIMIT = Metric("estimated_roc_auc_threshold", "estimate below which the model has become worse")
REALIZED_ROC_AUC = Metric("realized_roc_auc", "ROC-AUC of the predictions whose outcome is known by now")
REALIZED_LIMIT = Metric("realized_roc_auc_threshold", "realised ROC-AUC below which the model has become worse")
CONFLICTS = Metric("outcome_conflicts", "predictions that were given different outcomes; the first counts")
MONITORING = (
    SEVERITY,
    WINDOW_ROWS,
    LOG_DAMAGED,
    FEATURE_DRIFT,
    FEATURE_LIMIT,
    PREDICTION_DRIFT,
    PREDICTION_LIMIT,
    ESTIMATED_ROC_AUC,
    ESTIMATED_LIMIT,
    REALIZED_ROC_AUC,
    REALIZED_LIMIT,
    CONFLICTS,
)
