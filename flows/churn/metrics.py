"""The one list of Prometheus metrics. A rule, a panel or a test that names a metric finds it here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric's name, what it says (with its unit), and its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


# The service (bento/instruments.py fills these).
REQUESTS = Metric("service_requests_total", "requests answered, by endpoint and status code", ("endpoint", "status"))
REQUEST_SECONDS = Metric("service_request_seconds", "seconds from headers to last byte (histogram)", ("endpoint",))
PREDICTIONS = Metric("predictions_total", "customers answered, by decision", ("model_version", "decision"))
PROBABILITY = Metric("prediction_probability", "churn probability of the answers (histogram)", ("model_version",))
REJECTIONS = Metric("input_rejections_total", "inputs refused, by field and reason", ("field", "reason"))
WARNINGS = Metric("input_warnings_total", "inputs answered with a warning, by field and reason", ("field", "reason"))
LOG_QUEUE = Metric("prediction_log_queue_rows", "rows that wait to be written to the log", ("kind",))
LOG_DROPPED = Metric("prediction_log_dropped_total", "rows that found no room in the log's queue", ("kind",))
MODEL_INFO = Metric("service_model_info", "always 1; what is served", ("model_version", "data_version", "family"))
