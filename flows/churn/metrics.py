"""The one list of Prometheus metrics. A rule, a panel or a test that names a metric finds it here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric's name, what it says (with its unit), and its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
