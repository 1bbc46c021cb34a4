"""Serving the champion: releases and Bentos, requests, batch scoring, and the prediction log.

Defines what a request may contain (``request``, ``request_fields``), the prediction log and the packaging. ``packaging.imported``
determines which modules run in the service; ``bento_server`` serves a Bento to compare it with the model. The HTTP side is the
package ``bento`` in the repository root, a FastAPI application.
"""
