"""Reads the body of a request: of the right type, not too large, and in time."""

import asyncio
from dataclasses import dataclass

from churn.serving.request import Problem, Rejected
from fastapi import Request

JSON, FILE = "application/json", "application/octet-stream"
UNTIL = "churn.until"  # in the scope: the deadline of the answer, on the loop's clock
_REASONS = {401: "key", 403: "right", 404: "path", 405: "method", 408: "time", 413: "size", 415: "type"}


@dataclass(frozen=True)
class Body:
    """The dependency that reads a body of media type ``kind`` and at most ``limit`` bytes.

    FastAPI's own would read any number of bytes, before checking the key, and pass on Python objects instead of bytes.
    """

    limit: int
    kind: str = JSON

    async def __call__(self, request: Request) -> bytes:
        """The body of the request, checked and decompressed."""
        kind, encoding = (request.headers.get(name, "") for name in ("content-type", "content-encoding"))
        if kind.partition(";")[0].strip().lower() != self.kind:
            wanted = "JSON" if self.kind == JSON else "a file's bytes"
            raise refused(415, f"the body must be {wanted}", "Content-Type", kind, self.kind)
        if encoding.lower() not in ("", "identity"):
            raise refused(415, "the body must not be encoded", "Content-Encoding", encoding, "none")
        too_large = refused(413, "the body is too large", "body", None, f"at most {self.limit} bytes")
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self.limit:
            raise too_large
        try:
            async with asyncio.timeout_at(request.scope[UNTIL]):
                return await self._read(request, too_large)
        except TimeoutError:
            raise refused(
                408, "the body was too slow", "body", None, "all of it within the time limit of an answer"
            ) from None

    async def _read(self, request: Request, too_large: Rejected) -> bytes:
        chunks, size = [], 0
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > self.limit:  # a chunked body does not declare its size
                raise too_large
        return b"".join(chunks)


def refused(status: int, message: str, field: str, value: str | None, allowed: str) -> Rejected:
    """The refusal for one reason."""
    return Rejected(status, message, [Problem(field, _REASONS[status], value, allowed)])
