"""The champion behind ``bentoml serve``.

BentoML starts, supervises and stops the workers. ``bento.app`` answers: as middleware it precedes BentoML's own routes, so
that limits, keys and errors are the same everywhere. In a Bento this package is at the top level, with ``churn``.
"""

import gc
import logging
import os
import sys
from pathlib import Path
from typing import Any

# A Bento has no checkout around it: local state (the log) is beside BentoML's own or, in a container, within it.
_HOME = Path(os.environ.get("BENTOML_HOME") or "bentoml").resolve()
if not os.environ.get("CHURNFLOW_HOME"):
    os.environ["CHURNFLOW_HOME"] = str(_HOME if "BENTOML_CONTAINERIZED" in os.environ else _HOME.parent)

# On import, ONNX Runtime would queue device id, paths and error texts for its vendor, and resolve the vendor's host.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Arrow's own memory pools never release what a part of the log once took.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import bentoml
import uvicorn.config
from churn.errors import ChurnError
from churn.serving import api_keys, prediction_log
from churn.settings.cpus import cpus

from bento import self_test
from bento.settings import load_settings

logger = logging.getLogger("bentoml.churn")

MODEL = bentoml.models.BentoModel(Path(__file__).with_name("model.txt").read_text(encoding="utf-8"))
try:
    SETTINGS = load_settings()
    api_keys.rights()
    prediction_log.root()
except ChurnError as error:
    sys.exit(str(error))
_started: dict[str, Any] = {}

# BentoML does not let one choose the protocol; this replaces the one that uvicorn looks up.
uvicorn.config.HTTP_PROTOCOLS["auto"] = "bento.http_protocol:Protocol"


class Front:
    """Passes HTTP requests to ``bento.app``, and everything else (startup and shutdown) to BentoML.

    From startup on it is the only middleware. BentoML's timeout would answer in another format, uncounted, and keep a timer for
    every request; its tracing takes 40 % of a small request's time.
    """

    def __init__(self, bentoml_app: Any) -> None:
        """``bentoml_app`` is BentoML's own application."""
        self._bentoml = bentoml_app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass an ASGI event on."""
        if scope["type"] == "lifespan":
            scope["app"].middleware_stack = self
        handler = _started["app"] if scope["type"] == "http" else self._bentoml
        await handler(scope, receive, send)


@bentoml.service(
    name="churn_service",
    workers=SETTINGS.workers,
    metrics={"enabled": False},  # bento.service_metrics has its own
)
class ChurnService:
    """Churn probability, decision and reasons for one customer or for a list of them."""

    model = MODEL

    def __init__(self) -> None:
        """Load the model and build the application."""
        from bento import http_protocol
        from bento.endpoints import Endpoints

        self._endpoints: Endpoints | None = None
        http_protocol.Protocol.limits = SETTINGS.limits
        try:
            proof, threads = Path(__file__).with_name(self_test.FILE), max(1, cpus() // SETTINGS.workers)
            folder = Path(MODEL.resolve().path)
            scorer, uplift = self_test.proven_scorer(folder, proof, threads), self_test.proven_uplift(folder, proof)
            self._endpoints = Endpoints(scorer, SETTINGS, uplift)
            _started["app"] = app = self._endpoints.app()
            http_protocol.Protocol.refusal = app.unheard
        except Exception as error:  # any error: a worker that died of it would only be restarted
            logger.critical("not ready: %s", error, exc_info=None if isinstance(error, ChurnError) else error)
            _started["app"] = self_test.Unready(str(error))
        http_protocol.drain_before_shutdown(alone=SETTINGS.workers == 1)
        sys.setswitchinterval(0.0005)  # the log's thread yields to requests ten times sooner than by default
        gc.freeze()  # what is loaded now stays loaded: full collections would scan it in vain

    @bentoml.on_shutdown
    def close(self) -> None:
        """Write the remaining log entries."""
        if self._endpoints is not None:
            self._endpoints.close()


ChurnService.add_asgi_middleware(Front)  # type: ignore[attr-defined]  # the decorator made it a bentoml.Service
