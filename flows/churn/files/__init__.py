"""Any file a user gives, read as a table of text: the one reader, for every command and for the service's page.

Owns encodings, separators, quotes, archives, workbooks and what is refused by its first bytes. Knows no data set. A new kind
of file goes into ``file_kinds``, a new way of writing text into ``delimited_text``.
"""
