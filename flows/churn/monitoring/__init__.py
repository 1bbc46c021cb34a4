"""What happened since: windows of the prediction log against the champion's holdout, and when that is a reason to act.

Owns drift, estimated and realised performance, outcomes that became known (``labels``), and alerts.
"""
