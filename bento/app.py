"""The HTTP side of the service: routes, limits, keys and one shape of error. A plain ASGI application.

It stands in front of BentoML's own routes (see ``bento.service``) and answers every request itself.
"""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from churn.serving.request import Problem, Rejected

from bento.service_metrics import ServiceMetrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON, FILE = b"application/json", b"application/octet-stream"
_SAFE = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_PAGE = (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
_OTHER = "other"  # the label of every path that is no route

logger = logging.getLogger("bentoml.churn")


@dataclass(frozen=True)
class Answer:
    """What is sent, and what is done once it has been."""

    body: bytes
    status: int = 200
    kind: bytes = JSON
    after: Callable[[], None] | None = None
    headers: Headers = ()


@dataclass(frozen=True)
class Route:
    """One endpoint: takes the body's bytes if ``post``, of at most ``limit`` bytes. ``open`` needs no key; a ``long`` one
    works in a thread, so that others are answered meanwhile. ``kind`` is the media type of the body.
    """

    work: Callable[[bytes], Answer]
    post: bool = False
    limit: int = 0
    open: bool = False
    long: bool = False
    kind: bytes = JSON


class Gone(Exception):
    """The caller hung up."""


class Late(Exception):
    """The time for the answer is over."""


@dataclass
class App:
    """Answers HTTP requests by ``routes`` (path to route), each within ``seconds``. ``keys``: API keys; none means that no
    key is asked for.

    Whatever a route raises is a traceback in the log, an answer in the one shape, and counted under the route's label.
    """

    routes: dict[str, Route]
    metrics: ServiceMetrics
    seconds: float
    keys: Sequence[bytes] = ()
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "churn-long"))

    def __post_init__(self) -> None:
        self.metrics.expect((label, status) for label in (*self.routes, _OTHER) for status in (500, 503))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started = time.perf_counter()
        label = self._label(scope["path"])
        try:
            answer = await self._answer(scope, receive)
            await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
        except (Gone, OSError):  # OSError is how a server says that it cannot send any more
            return
        status = answer.status
        if answer.after is not None:
            try:
                await self._run(self.routes[scope["path"]], answer.after)
            except Exception:
                logger.exception("%s: failed after its answer was sent", label)
                status = 500  # the caller has been served, but something is lost: the alert on errors must see it
        self.metrics.answered(label, status, time.perf_counter() - started)

    def _label(self, path: str) -> str:
        return path if path in self.routes else _OTHER

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        """The route's answer, or the refusal of what is wrong with the request or the service. Raises Gone."""
        until = asyncio.get_running_loop().time() + self.seconds
        try:
            try:
                return await self._work(scope, receive, until)
            except Rejected as error:
                self.metrics.rejected(error.problems)
                return refusal(error)
        except Gone:
            raise
        except Late:
            logger.error("%s: no answer within %g s", self._label(scope["path"]), self.seconds)
            return refusal(
                Rejected(503, f"there was no answer within {self.seconds:g} s; ask again, or for less at once")
            )
        except Exception:
            logger.exception("%s: failed", self._label(scope["path"]))
            return refusal(Rejected(500, "the service failed; its log says why"))

    async def _work(self, scope: Message, receive: Receive, until: float) -> Answer:
        route = self.routes.get(scope["path"])
        if route is None:
            raise _refused(404, "there is nothing at this path", "path", scope["path"], ", ".join(sorted(self.routes)))
        headers = dict(scope["headers"])
        if self.keys and not route.open:
            self._require_key(headers)
        allowed = ("POST",) if route.post else ("GET", "HEAD")
        if scope["method"] not in allowed:
            raise _refused(405, "the method is wrong", "method", scope["method"], " or ".join(allowed))
        body = await self._body(headers, receive, route, until) if route.post else b""
        if not route.long:
            return route.work(body)
        deadline = asyncio.timeout_at(until)
        try:
            async with deadline:
                return await self._run(route, partial(route.work, body))
        except TimeoutError:
            if deadline.expired():
                raise Late from None
            raise  # the work's own

    async def _run(self, route: Route, work: Callable[[], Any]) -> Any:
        if route.long:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        return work()

    def _require_key(self, headers: dict[bytes, bytes]) -> None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        # Every key is compared, each in constant time: how long it takes says nothing about the keys.
        if not sum(hmac.compare_digest(given, key) for key in self.keys):
            raise _refused(401, "an API key is needed", "Authorization", None, "'Bearer KEY', or the header X-API-Key")

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, route: Route, until: float) -> bytes:
        limit = route.limit
        kind, encoding = headers.get(b"content-type", b""), headers.get(b"content-encoding", b"identity")
        if kind.partition(b";")[0].strip().lower() != route.kind:
            wanted = "JSON" if route.kind == JSON else "a file's bytes"
            raise _refused(
                415, f"the body must be {wanted}", "Content-Type", kind.decode("latin-1"), route.kind.decode()
            )
        if encoding.lower() != b"identity":
            raise _refused(415, "the body must not be encoded", "Content-Encoding", encoding.decode("latin-1"), "none")
        too_large = _refused(413, "the body is too large", "body", None, f"at most {limit} bytes")
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise too_large
        chunks, size = [], 0
        try:
            async with asyncio.timeout_at(until):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:  # a chunked body does not declare its size
                        raise too_large
                    if not message.get("more_body", False):
                        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        except TimeoutError:
            raise _refused(408, "the body was too slow", "body", None, f"all of it within {self.seconds:g} s") from None


_REASONS = {401: "key", 404: "path", 405: "method", 408: "time", 413: "size", 415: "type"}


def _refused(status: int, message: str, field: str, value: str | None, allowed: str) -> Rejected:
    return Rejected(status, message, [Problem(field, _REASONS[status], value, allowed)])


def refusal(error: Rejected) -> Answer:
    """The one shape of every error: status, a sentence, and the problems."""
    content = {
        "status": error.status,
        "error": error.message,
        "problems": [problem.as_json() for problem in error.problems],
    }
    extra: Headers = ()
    if error.status == 401:
        extra = [(b"www-authenticate", b"Bearer")]
    elif error.status == 405:
        extra = [(b"allow", error.problems[0].allowed.replace(" or ", ", ").encode())]
    elif error.status == 408:
        extra = [(b"connection", b"close")]
    return Answer(json.dumps(content).encode(), error.status, headers=extra)


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    length = (b"content-length", str(len(answer.body)).encode())
    page = [_PAGE] if answer.kind.startswith(b"text/html") else []
    return [(b"content-type", answer.kind), length, *_SAFE, *page, *answer.headers]
