"""What the steps of the flows call: plain functions and small dataclasses. Nothing in here imports Metaflow."""
