"""Whether a table may be used: checks with their remedies, the profile, and what DataFlow does with its sources.

Owns the checks (``schema`` has pandera's, ``validation`` those of the whole table), leakage, and rows left out. Imports data
and below. A new check goes into ``validation`` or ``schema``, its way out into ``remedies``.
"""
