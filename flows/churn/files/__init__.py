"""Reads any file a user gives as a table of text, for every command and for the service's page.

Owns encodings, separators, quoting, archives, workbooks, and the kinds of file that are refused by their first bytes. Knows
nothing of data sets. A new kind of file belongs in ``file_kinds``, a new text format in ``delimited_text``.
"""
