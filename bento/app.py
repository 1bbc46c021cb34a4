"""The HTTP side of the service: a FastAPI application with API keys, limits and a single error format.

It answers every request itself, in front of BentoML's own routes (see ``bento.service``).
"""

import asyncio
import ctypes
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from churn.serving import api_keys
from churn.serving.api_keys import PREDICT, Keys
from churn.serving.request import PROBE, Rejected
from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic_core import to_json
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bento.answers import ERRORS, Error
from bento.body import JSON, UNTIL, Body, refused
from bento.service_metrics import ServiceMetrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_SAFE = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_UNTRIMMED = 2_000_000  # bytes; trimming takes as long as scoring 300 customers
_OTHER = "other"  # the label of every path without a route
_HOLDER = "churn.holder"  # in the scope: the key's holder
_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header")

logger = logging.getLogger("bentoml.churn")


class Answer(Response):
    """A response, and what to do ``after`` it has been sent."""

    media_type = JSON

    def __init__(self, content: bytes, after: Callable[[], None] | None = None, **more: Any) -> None:
        """Answer with ``content``; ``after`` is called once it is sent."""
        super().__init__(content, **more)
        self.after = after


class Gone(Exception):
    """The caller hung up."""


class App(FastAPI):
    """An application that answers each request within ``seconds``.

    ``keys`` holds the keys for each right (``api_keys.rights``); a right without keys needs none. ``about`` is passed to FastAPI.

    An exception in a route is logged with a traceback, answered in the common error format, and counted under the route's label.
    """

    def __init__(
        self,
        metrics: ServiceMetrics,
        seconds: float,
        keys: Mapping[str, Keys] | None = None,
        batches: int = 1,
        **about: Any,
    ) -> None:
        """``seconds`` limits a request's time; without ``keys`` none is required; at most ``batches`` are read at once."""
        super().__init__(
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            responses=ERRORS,
            telemetry={"tracing": False, "metrics": False, "logs": False},
            exception_handlers={Rejected: self._rejected, HTTPException: self._unrouted},
            **about,
        )
        self.metrics, self.seconds, self._keys = metrics, seconds, keys or {}
        self.paths = {_OTHER}
        self._pool, self._turns = ThreadPoolExecutor(1, "churn-long"), asyncio.Semaphore(batches)
        self._untrimmed = 0  # bytes of large bodies since the last ``_trim``
        self.add_middleware(Answered, service=self)
        self._expect(self.openapi_url or _OTHER)

    def takes(
        self,
        path: str,
        work: Callable[..., Answer],
        body: "Body",
        long: bool = False,
        small: int | None = None,
        signed: bool = False,
        **documented: Any,
    ) -> None:
        """Route POST ``path`` to ``work``, which takes the body's bytes.

        ``long`` work runs in a thread, so that other requests are answered meanwhile. At most ``batches`` bodies of more than
        ``small`` bytes are held at once. ``signed`` work also takes the name of the key's holder.
        """

        async def endpoint(request: Request, content: bytes = Depends(body)) -> Response:
            words = [request.scope.get(_HOLDER)] if signed else []
            return await self._answer(request, partial(work, content, *words), long)

        self._add(
            "POST", path, endpoint, needs=[] if small is None else [Depends(partial(self._turn, small))], **documented
        )

    def gives(self, path: str, work: Callable[[], Answer], long: bool = False, **documented: Any) -> None:
        """Route GET ``path`` to ``work``."""

        async def endpoint(request: Request) -> Response:
            return await self._answer(request, work, long)

        self._add("GET", path, endpoint, **documented)

    def _add(
        self, method: str, path: str, endpoint: Callable[..., Any], needs: Sequence[Any] = (),
        right: str | None = PREDICT, model: Any = None, **more: Any,
    ) -> None:  # fmt: skip
        key = [Security(partial(self._require_key, right))] if right is not None and right in self._keys else []
        self.add_api_route(
            path,
            endpoint,
            methods=[method],
            operation_id=path[1:],
            response_model=model,
            dependencies=[*key, *needs],
            **more,
        )
        self._expect(path)

    def _expect(self, path: str) -> None:
        self.paths.add(path)
        self.metrics.expect((label, status) for label in (path, _OTHER) for status in (500, 503))

    async def _answer(self, request: Request, work: Callable[[], Answer], long: bool) -> Answer:
        if not long:
            answer = work()
        else:
            try:
                async with asyncio.timeout_at(request.scope[UNTIL]) as deadline:
                    answer = await self._in_thread(work)
            except TimeoutError:
                if not deadline.expired():
                    raise  # raised by the work itself
                logger.error("%s: no answer within %g s", request.url.path, self.seconds)
                what = f"there was no answer within {self.seconds:g} s; try again, or send less at once"
                raise Rejected(503, what) from None
        if answer.after is not None and PROBE not in request.headers:
            answer.background = BackgroundTask(self._in_thread if long else _now, answer.after)
        return answer

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _turn(self, small: int, request: Request) -> AsyncIterator[None]:
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) <= small:
            yield
            return
        try:
            async with asyncio.timeout_at(request.scope[UNTIL]):
                await self._turns.acquire()
        except TimeoutError:
            raise Rejected(503, "too many large requests at once; try again, or send less at once") from None
        try:
            yield
        finally:
            self._turns.release()
            self._untrimmed += int(declared) if declared.isdigit() else _UNTRIMMED
            if self._untrimmed >= _UNTRIMMED:
                self._untrimmed = 0
                self._pool.submit(_trim)

    async def _require_key(
        self,
        right: str,
        request: Request,
        bearer: Annotated[Any, Security(_BEARER)],
        header: Annotated[str | None, Security(_HEADER)],
    ) -> None:
        # FastAPI ignores a bearer without a token, so the header is read here; the parameter only documents it.
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = (token.strip() if scheme.lower() == "bearer" else header or "").encode("latin-1")
        holders = {of: api_keys.holder(key, keys) for of, keys in self._keys.items()}
        if holders[right] is None:
            status, what = (
                (403, "this key does not open it") if any(holders.values()) else (401, "an API key is needed")
            )
            raise refused(
                status, what, "Authorization", None, f"'Bearer KEY', or the header X-API-Key; a key of {right}"
            )
        request.scope[_HOLDER] = holders[right]
        self.metrics.let_in(str(holders[right]), request.url.path)

    def unheard(self, status: int, message: str) -> bytes:
        """The body of the answer to a request that is not HTTP or exceeds a limit; the request is counted."""
        self.metrics.answered(_OTHER, status, 0)
        return bytes(refusal(Rejected(status, message)).body)

    async def _rejected(self, _: Request, error: Rejected) -> Response:
        self.metrics.rejected(error.problems)
        return refusal(error)

    async def _unrouted(self, request: Request, error: HTTPException) -> Response:
        path = request.url.path
        if error.status_code == 404:
            allowed = ", ".join(sorted(self.paths - {_OTHER}))
            return await self._rejected(request, refused(404, "there is nothing at this path", "path", path, allowed))
        allowed = (error.headers or {}).get("Allow", "").replace("GET", "GET, HEAD")
        return await self._rejected(
            request, refused(error.status_code, "the method is wrong", "method", request.method, allowed)
        )


def _trim() -> None:
    """Return the memory of a large body to the system: glibc would keep it, and add the next one's on top."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


async def _now(work: Callable[[], None]) -> None:
    """Run ``work`` on the event loop: FastAPI's thread would take longer than counting an answer."""
    work()


@dataclass
class Answered:
    """The middleware around all routes: it sets the time limit, answers what no route answered, and counts requests."""

    app: Callable[[Message, Receive, Send], Awaitable[None]]
    service: App

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI), and count it."""
        started, status = time.perf_counter(), 0
        scope[UNTIL] = asyncio.get_running_loop().time() + self.service.seconds
        label = scope["path"] if scope["path"] in self.service.paths else _OTHER

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += _SAFE
            try:
                await send(message)
            except OSError:  # a server raises it when it can no longer send
                raise Gone from None

        try:
            # The server omits the body.
            await self.app({**scope, "method": "GET"} if scope["method"] == "HEAD" else scope, receive, sending)
        except (Gone, ClientDisconnect):
            return
        except Exception:
            # A failure after the answer does not affect the caller, but something is lost: the alert on errors must see it.
            logger.exception("%s: failed%s", label, " after its answer was sent" if status else "")
            if not status:
                await refusal(Rejected(500, "the service failed; its log says why"))(scope, receive, sending)
            status = 500
        self.service.metrics.answered(label, status, time.perf_counter() - started)


def refusal(error: Rejected) -> Answer:
    """The answer for an error, in the common format: status, a sentence, and the problems."""
    extra = {}
    if error.status == 401:
        extra = {"WWW-Authenticate": "Bearer"}
    elif error.status == 405:
        extra = {"Allow": error.problems[0].allowed}
    elif error.status == 408:
        extra = {"Connection": "close"}
    content = Error(status=error.status, error=error.message, problems=error.problems)
    return Answer(to_json(content), status_code=error.status, headers=extra)
