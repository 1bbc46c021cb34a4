"""Campaigns: who is contacted, who is held back as control, and what the contact changed.

Owns the assignment to arms, the campaign log, the estimates of an effect (difference, covariate adjustment, confidence
sequence), the outcomes that models of uplift learn from, and a generator whose truth is known. It imports from
``uplift``, ``serving`` and the rooms below them. A change of who is contacted belongs in ``assignment``; of how an effect is
estimated, in ``effect``.
"""
