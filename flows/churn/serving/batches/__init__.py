"""A batch by column: ``{"columns": {"tenure": [1, 2], ...}}``, read at once and under the rules of the rows.

``columns`` reads it for the service, ``sending`` sends one to it.
"""
