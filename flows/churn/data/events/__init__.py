"""From events to customers at a moment.

``statement`` compiles a description to SQL; an engine runs it over the tables from ``staging``.

There is no second implementation: training, scoring and backfills run the same statement for different moments.
"""
