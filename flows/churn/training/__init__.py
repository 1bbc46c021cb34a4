"""From training rows to one fitted model and its evaluation: folds, search, selection, calibration, threshold, ONNX.

Owns the estimators, the metrics, the value of a decision, and the model as it is served (``onnx_scorer``, ``shapley``). Knows
nothing of the registry. A new model family is a table in config/train.toml (``estimators`` checks it); a new metric belongs in
``metrics``.
"""
