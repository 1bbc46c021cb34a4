"""Models of uplift: by how much a contact raises a customer's chance to stay.

Owns the learners over the model families, their leaderboard, holdout and gate, the ONNX form, and the registered model of its
own, whose champion the service and campaigns use beside that of churn. It imports from ``registry`` and the rooms below it;
where the outcomes come from is the affair of ``campaigns``. A change of how uplift is learned belongs in ``learners``; of how a
ranking is judged, in ``ranking_metrics``.
"""
