"""The floors under any ASGI service: an application that parses a customer and returns a constant.

``uvicorn tests.bench.floor:app`` and ``granian --interface asgi tests.bench.floor:app`` serve it.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def predict(request: Request) -> JSONResponse:
    """One probability for all."""
    await request.json()
    return JSONResponse({"probability": 0.5})


async def ready(request: Request) -> Response:
    """Whether the server is up."""
    return Response("ready")


app = Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/readyz", ready)])
