"""The columns in a data set's file: their types and spellings, and the expressions of features.

Imports from ``settings.core`` and below. A new property of a column belongs in ``column``, a new function for expressions in
``expressions``.
"""
