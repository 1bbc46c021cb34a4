"""Uplift models: by how much a contact raises a customer's probability of staying.

Owns the learners over the model families, their leaderboard, holdout and gate, the ONNX form, and a separate registered model,
whose champion the service and campaigns use beside the churn champion. It imports from ``registry`` and the rooms below it;
the outcomes come from ``campaigns``. A change to how uplift is learned belongs in ``learners``; to how a ranking is evaluated,
in ``ranking_metrics``.
"""
