"""Campaigns: who is contacted, who is held back as control, and what the contact changed.

Owns the assignment to arms, the campaign log, the estimates of an effect (difference, covariate adjustment, confidence
sequence) and of uplift, and a generator whose truth is known. It imports from ``serving`` and the rooms below it. A change of who
is contacted belongs in ``assignment``; of how an effect is estimated, in ``effect``; of how a model of uplift is judged, in
``uplift_metrics``.
"""
