"""How one family's parameters are tried: fits on folds, the number of trees, Optuna's study, and its checkpoint.

Imports settings, data and the estimators of ``training``. A new way to choose trials goes beside ``study``, a library whose trees
can be counted into ``boosting``.
"""
