"""MLflow: experiments, registered versions, the gate, and champion against challenger.

Owns what is written to and read from the tracking store (``mlflow_store`` translates its errors), the evidence of every
decision and the looks at a holdout. A new rule of the gate goes into ``gate``, a new tag into ``model_registry``.
"""
