"""What the flows' steps call: plain functions and small dataclasses. Nothing in here imports Metaflow."""
