"""What Prometheus sees of flows and service: the one list of metrics, and how batch runs push theirs."""
