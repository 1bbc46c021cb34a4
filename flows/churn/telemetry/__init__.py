"""The Prometheus metrics of flows and service: the one list of metrics, and the push from batch runs."""
