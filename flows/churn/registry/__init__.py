"""MLflow: experiments, registered versions, the gate, and the champion-challenger comparison.

Contains all access to the tracking store (``mlflow_store`` translates its errors), the evidence of every decision, and the
looks at a holdout. A new rule of the gate belongs in ``gate``, a new tag in ``model_registry``.
"""
