"""The HTTP side of the service: routes, limits, keys and one shape of error. A plain ASGI application.

It stands in front of BentoML's own routes (see ``bento.service``) and answers every request itself.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from churn.request import Problem, Rejected

from bento.instruments import Instruments

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON, FILE = b"application/json", b"application/octet-stream"
_SAFE = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_PAGE = (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")


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
    works in a thread, so that others are answered meanwhile. ``kind`` is the media type of the body."""

    work: Callable[[bytes], Answer]
    post: bool = False
    limit: int = 0
    open: bool = False
    long: bool = False
    kind: bytes = JSON


class Gone(Exception):
    """The caller hung up."""


@dataclass
class App:
    """Answers HTTP requests by ``routes`` (path to route). ``keys``: API keys; none means that no key is asked for."""

    routes: dict[str, Route]
    instruments: Instruments
    seconds: float
    keys: Sequence[bytes] = ()
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "churn-long"))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started = time.perf_counter()
        path = scope["path"]
        try:
            answer = await self._answer(scope, receive)
        except Rejected as error:
            self.instruments.rejected(error.problems)
            answer = refusal(error)
        except Gone:
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
        if answer.after is not None:
            await self._run(scope["path"], answer.after)
        self.instruments.answered(
            path if path in self.routes else "other", answer.status, time.perf_counter() - started
        )

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        route = self.routes.get(scope["path"])
        if route is None:
            raise _refused(404, "there is nothing at this path", "path", scope["path"], ", ".join(sorted(self.routes)))
        headers = dict(scope["headers"])
        if self.keys and not route.open:
            self._require_key(headers)
        allowed = ("POST",) if route.post else ("GET", "HEAD")
        if scope["method"] not in allowed:
            raise _refused(405, "the method is wrong", "method", scope["method"], " or ".join(allowed))
        body = await self._body(headers, receive, route) if route.post else b""
        return await self._run(scope["path"], partial(route.work, body))

    async def _run(self, path: str, work: Callable[[], Any]) -> Any:
        if self.routes[path].long:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        return work()

    def _require_key(self, headers: dict[bytes, bytes]) -> None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        # Every key is compared, each in constant time: how long it takes says nothing about the keys.
        if not sum(hmac.compare_digest(given, key) for key in self.keys):
            raise _refused(401, "an API key is needed", "Authorization", None, "'Bearer KEY', or the header X-API-Key")

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, route: Route) -> bytes:
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
            async with asyncio.timeout(self.seconds):
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
