"""The champion in use: releases and Bentos, requests, batch scoring, and the log of predictions.

Owns what a request may hold (``request``, ``request_fields``), the prediction log and the packaging; ``packaging.imported`` says
which modules run in the service, ``bento_server`` serves a Bento to compare it. The HTTP side is the package ``bento``, at the
root: a FastAPI application.
"""
