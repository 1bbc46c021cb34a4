"""The search of one family's parameters: fits on folds, the number of trees, Optuna's study and its checkpoint.

Imports settings, data and the estimators of ``training``. A new way to choose trials belongs beside ``study``, a library
with early stopping in ``boosting``.
"""
