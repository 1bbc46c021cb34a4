"""Monitoring of the champion: windows of the prediction log against its holdout, and the alerts that follow.

Contains drift, estimated and realised performance, outcomes (``labels``), and alerts.
"""
