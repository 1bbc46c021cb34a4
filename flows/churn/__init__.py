"""The functions and small dataclasses that the flows' steps call. Nothing in here imports Metaflow."""
