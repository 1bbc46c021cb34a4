"""Monitoring of the champion: windows of the prediction log against its holdout, and the alerts that follow.

Owns drift, estimated and realised performance, outcomes that became known (``labels``), and alerts.
"""
