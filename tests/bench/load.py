"""A small HTTP load generator: keep-alive connections that send the same request again and again."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

import uvloop


@dataclass
class Load:
    """What came of a load: requests answered 2xx, others, and the seconds each took."""

    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests answered a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Seconds within which ``share`` of the requests were answered."""
        return sorted(self.latencies)[int(share * (len(self.latencies) - 1))]


class _Caller(asyncio.Protocol):
    def __init__(
        self, load: Load, requests: Iterator[bytes], until: float, keep: bool, done: asyncio.Future[None]
    ) -> None:
        self._load, self._requests, self._until, self._keep, self._done = load, requests, until, keep, done
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        if self._sent >= self._until:
            self._transport.close()
            return
        self._transport.write(next(self._requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            return
        self._buffer = b""
        if head[9:10] == b"2":
            self._load.latencies.append(time.perf_counter() - self._sent)
        else:
            self._load.errors.append(head[9:12].decode() + " " + body[:200].decode())
        if self._keep:
            self._load.bodies.append(body)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if time.perf_counter() < self._until:
            self._load.errors.append(f"connection lost ({error})")
        if not self._done.done():
            self._done.set_result(None)


def request(url: str, body: bytes) -> bytes:
    """The bytes of a POST of JSON."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def run(url: str, bodies: list[bytes], concurrency: int, seconds: float, keep: bool = False) -> Load:
    """POST the bodies in turn over ``concurrency`` connections for ``seconds``."""

    async def work() -> Load:
        loop, load, parts = asyncio.get_running_loop(), Load(), urlsplit(url)
        requests = cycle([request(url, body) for body in bodies])
        started = time.perf_counter()
        waiting = []
        for _ in range(concurrency):
            done = loop.create_future()
            waiting.append(done)
            await loop.create_connection(
                lambda done=done: _Caller(load, requests, started + seconds, keep, done), parts.hostname, parts.port
            )
        await asyncio.gather(*waiting)
        load.seconds = time.perf_counter() - started
        return load

    return uvloop.run(work())
