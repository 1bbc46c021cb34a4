"""What a data set's file says of its columns: their types and spellings, and the expressions of features.

It imports from ``settings.core`` and below. A new property of a column belongs in ``column``, a new function of expressions in
``expressions``.
"""
