"""From a registered Bento to a served one: verification, roll-out, smoke test, watch, and the way back.

May import everything but the cards. A check before the roll-out goes into ``verification``, one of the new instances into
``smoke``, a comparison of new with old ones into ``watch``; where a Bento is served is a target (``target``): ``laptop`` with its
``supervisor``, or ``cluster``.
"""
