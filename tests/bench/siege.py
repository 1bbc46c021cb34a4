"""``make siege``: hostile callers against the champion's service, on loopback, bounded in number and time.

One worker. During each attack another process asks /predict twenty times a second, each time over a new connection. Its
latencies and failures are printed with the largest memory of the worker; the exit code is 1 above the bounds.
"""

import asyncio
import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.bench import common

MEGABYTES, SECONDS = 400, 0.1  # the worker's memory and the 99th percentile of /predict, at most
JSON, FILE = "application/json", "application/octet-stream"
EACH = 6.0  # seconds that an attack takes


@dataclass(frozen=True)
class Figures:
    """What one attack did."""

    name: str
    megabytes: float
    latencies: list[float]
    failed: int

    @property
    def p99(self) -> float:
        """Seconds within which 99 of 100 requests were answered."""
        return sorted(self.latencies)[int(0.99 * (len(self.latencies) - 1))] if self.latencies else float("inf")


def head(path: str, length: int, kind: str = JSON, *more: str) -> bytes:
    """The head of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Type: {kind}", f"Content-Length: {length}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _connection(
    address: tuple[str, int], seconds: float, talk: Callable[..., Awaitable[None]], *words: Any
) -> None:
    """One hostile connection: whatever becomes of it, it ends in time."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(*address)
            try:
                await talk(reader, writer, *words)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return


async def _send_and_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *chunks: bytes) -> None:
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
    while await reader.read(1 << 16):
        pass


async def _endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(b"POST /predict HTTP/1.1\r\nHost: a\r\n")
    for _ in range(500):  # 32 MB a connection
        writer.write(line)
        await writer.drain()


async def _trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, start: bytes, byte: bytes) -> None:
    writer.write(start)
    while True:
        await writer.drain()
        await asyncio.sleep(0.5)
        writer.write(byte)


async def _never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(content)
    await writer.drain()
    await asyncio.Event().wait()


def attacks(
    customer: dict[str, Any], rows: int, scale: float = 1
) -> Iterator[tuple[str, int, Callable[..., Any], list[bytes]]]:
    """Name, connections, and what each of them does with which bytes. ``scale`` makes them smaller."""
    size = lambda number: max(1, int(number * scale))  # noqa: E731
    keys = {**customer, **{f"k{i}": 1 for i in range(size(400_000))}}
    del keys[next(iter(customer))]
    wide = json.dumps({"rows": [keys]}).encode()
    full = json.dumps({"rows": [customer] * rows}).encode()
    junk = b'{"rows":[' + b"[]," * size(5_500_000) + b"[]]}"
    post = "/predict_batch"
    yield "a row of 400,000 keys", 4, _send_and_read, [head(post, len(wide)), wide]
    yield "millions of empty lists", 4, _send_and_read, [head(post, len(junk)), junk]
    lines = b"x\n" * size(2_000_000)
    yield "files of short lines", 4, _send_and_read, [head("/read", len(lines), FILE), lines]
    yield "endless headers", size(40), _endless_headers, [b"X-A: " + b"a" * 65_000 + b"\r\n"]
    yield "an endless header", size(40), _endless_headers, [b"a" * 65_000]
    yield "headers that never end", size(800), _trickle, [b"POST /predict HTTP/1.1\r\nHost: a\r\n", b"X-A: a\r\n"]
    yield "bodies that never end", size(400), _trickle, [head("/predict", 60_000), b" "]
    yield "bodies after their answer", size(400), _trickle, [head("/nothing", 60_000), b" "]
    yield "pipelined requests", size(100), _never_read, [b"GET /model HTTP/1.1\r\nHost: a\r\n\r\n" * 2_000]
    yield "full batches at once", size(60), _send_and_read, [head(post, len(full), JSON, "Connection: close"), full]
    yield "answers that nobody reads", size(60), _never_read, [head(post, len(full)) + full]


def witness(url: str, body: bytes, seconds: float) -> tuple[list[float], int]:
    """The latencies of /predict over ``seconds``, each over a new connection, and how many requests failed."""
    latencies, failed, until = [], 0, time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.perf_counter()
        try:
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            failed += connection.getresponse().status != 200
            connection.close()
        except (OSError, http.client.HTTPException):
            failed += 1
        latencies.append(time.perf_counter() - begun)
        time.sleep(0.05)
    return latencies, failed


@contextmanager
def peak(url: str) -> Iterator[list[float]]:
    """The largest memory of the worker, in MB, once the block has ended."""
    (worker,) = common.workers(url)
    found, done = [worker.memory_info().rss / 1e6], threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            found[0] = max(found[0], worker.memory_info().rss / 1e6)

    thread = threading.Thread(target=look)
    thread.start()
    yield found
    done.set()
    thread.join()


def siege(url: str, scale: float = 1, seconds: float = EACH) -> Iterator[Figures]:
    """Each attack in turn, for so many seconds, and its figures."""
    model, parts = common.get(f"{url}/model"), urlsplit(url)
    customer, rows = model["examples"][0], int(model["limits"]["rows"] * scale)
    address, body = (str(parts.hostname), int(parts.port or 80)), json.dumps(customer).encode()

    async def attack(number: int, talk: Callable[..., Any], chunks: list[bytes]) -> None:
        await asyncio.gather(*(_connection(address, seconds, talk, *chunks) for _ in range(number)))

    with ProcessPoolExecutor(1) as pool:
        pool.submit(witness, url, body, 0.2).result()
        for name, number, talk, chunks in attacks(customer, rows, scale):
            with peak(url) as megabytes:
                seen = pool.submit(witness, url, body, seconds)
                asyncio.run(attack(number, talk, chunks))
                latencies, failed = seen.result()
            yield Figures(name, megabytes[0], latencies, failed)


def main() -> None:
    bad = 0
    with (
        tempfile.TemporaryDirectory() as log,
        common.bento_server.served(common.champion_tag(), CHURNFLOW_PREDICTIONS=log) as url,
    ):
        for one in siege(url):
            bad += bool(one.failed) or one.megabytes > MEGABYTES or one.p99 > SECONDS
            print(f"{one.name + ':':<26} worker at most {one.megabytes:.0f} MB (<= {MEGABYTES}), /predict p99 "
                  f"{1000 * one.p99:.0f} ms (<= {1000 * SECONDS:g}), {one.failed} of {len(one.latencies)} failed",
                  flush=True)  # fmt: skip
    sys.exit(bad)


if __name__ == "__main__":
    main()
