"""Deployment of a registered Bento: verification, rollout, smoke test, watch and rollback.

May import everything except the cards. Checks before the rollout belong in ``verification``, checks of the new instances in
``smoke``, comparisons of new with old instances in ``watch``. A target (``target``) is where a Bento is served: ``laptop``,
with its ``supervisor``, or ``cluster``.
"""
