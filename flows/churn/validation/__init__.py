"""Decides whether a table may be used: checks with their remedies, the profile, and the ingestion of sources by DataFlow.

Owns the checks (``schema`` has those by pandera, ``validation`` those of the whole table), leakage, and rows left out. Imports
data and below. A new check belongs in ``validation`` or ``schema``, its remedy in ``remedies``.
"""
