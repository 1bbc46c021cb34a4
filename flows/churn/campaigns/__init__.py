"""Campaigns: who is contacted, who is held back as control, and what the contact changed.

Owns the assignment to arms, the campaign log, the estimates of an effect (difference, covariate adjustment, confidence
sequence), the outcomes from which uplift models learn, and a generator with known true effects. It imports from
``uplift``, ``serving`` and the rooms below them. A change to who is contacted belongs in ``assignment``; to how an effect is
estimated, in ``effect``.
"""
