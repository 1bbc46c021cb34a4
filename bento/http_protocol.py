"""uvicorn's HTTP protocol with the limits that it lacks, and a graceful shutdown.

A request's headers are limited in bytes and time, and connections in number; and a client must read its answer. Requests that
are under way or arrive once shutdown begins are answered, with a close of the connection.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bento.settings import Limits

MOST_PIPELINED = 8  # requests waiting for the answer to the previous one
MOST_UNREAD = 60.0  # seconds that an answer may stay unread
MOST_DRAINING = 5.0  # seconds for connections to end once shutdown begins
MOST_IDLE = 1.0  # of these, for a connection without a request


class Joining:
    """A connection's transport that sends the head of an answer with the body that follows: one system call instead of two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Everything but writes is the transport's own."""
        self._transport, self._head = transport, b""

    def write(self, data: bytes) -> None:
        """Write at once, except a head."""
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._transport.write(self._head + data if self._head else data)
        self._head = b""

    def flush(self) -> None:
        """Write the head of an answer without a body."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Close once everything is written."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """What else a transport has."""
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """One connection."""

    limits: ClassVar[Limits] = Limits()
    refusal: ClassVar[Callable[[int, str], bytes]] = lambda status, message: b"{}"  # the JSON body of an error
    draining: ClassVar[bool] = False  # once shutdown has begun
    open: ClassVar[set[Any]] = set()  # uvicorn's own set of connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request; above the limit of connections, the one idle longest is closed."""
        super().connection_made(transport)
        self.transport = Joining(transport)  # type: ignore[assignment]
        every: set[Any] = self.connections
        Protocol.open = every
        self.since, self._head, self.asking = self.loop.time(), 0, False  # asking: headers are arriving
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._why = 400, ""
        self._wait(self.limits.seconds)
        if len(every) > self.limits.connections:
            min((c for c in every if c.idle), key=lambda c: c.since, default=self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._unwait()
        self.resume_writing()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered; headers may be arriving."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Count the bytes before the headers are complete."""
        if self.transport.is_closing():
            return
        before = self.asking
        super().data_received(data)
        if self.asking and before:  # the chunk in which a request begins may end another's body
            self._head += len(data)
            if self._head > self.limits.header_bytes:
                self._refuse(431, "the headers are too large")
        elif self.idle and self._late is None:  # uvicorn waits forever for a client that sends no valid request
            self._wait(self.timeout_keep_alive)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head, self.asking = 0, True
        self._wait(self.limits.seconds)

    def on_headers_complete(self) -> None:
        """Pass the request to the application. Exceptions raised here are answered by ``send_400_response``."""
        self.asking = False
        self._unwait()
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > self.limits.header_bytes:
            self._why = 431, "the headers are too large"
            raise ValueError(self._why)
        if len(self.pipeline) >= MOST_PIPELINED:
            self._why = 429, f"more than {MOST_PIPELINED} requests wait for their answers on one connection"
            raise ValueError(self._why)
        super().on_headers_complete()
        if self.draining:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Wait for the next request; a client still sending an answered request's body has a moment to stop."""
        self.since = self.loop.time()
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._wait(self.timeout_keep_alive)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not valid HTTP or exceeds a limit, in the common error format."""
        status, message = self._why
        self._refuse(status, message or msg)

    def pause_writing(self) -> None:
        """The reader has fallen behind."""
        super().pause_writing()
        self._unread = self.loop.call_later(MOST_UNREAD, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader has caught up."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def shutdown(self) -> None:
        """Like uvicorn's; ``drain`` runs before it."""
        for cycle, _ in self.pipeline:
            cycle.keep_alive = False
        super().shutdown()

    def _should_upgrade_to_ws(self) -> bool:
        return False  # there are no WebSockets

    def _wait(self, seconds: float) -> None:
        self._unwait()
        self._late = self.loop.call_later(seconds, self._give_up)

    def _unwait(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        if self.asking:
            self._refuse(408, "the headers were too slow")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        content = type(self).refusal(status, message)
        self.transport.write(
            STATUS_LINE[status] + b"content-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(content), content)
        )
        self.transport.close()


def drain_before_shutdown(alone: bool) -> None:
    """From now on, SIGTERM first lets connections end, for at most MOST_DRAINING seconds; then uvicorn's handler runs.

    Each connection gets its answer with ``Connection: close``; one without a request is closed shortly after its last. With
    ``alone``, for the service's only worker, new connections are refused at once: BentoML's parent process holds the socket open,
    and connections it accepted would be reset when it ends.
    """
    loop, former = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    tasks: list[asyncio.Task[None]] = []

    def terminate(number: int, frame: Any) -> None:
        if not Protocol.draining:
            Protocol.draining = True
            loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(end(number, frame))))

    async def end(number: int, frame: Any) -> None:
        server = former.__self__  # type: ignore[union-attr]  # a uvicorn.Server
        try:
            if alone:
                await _stop_listening(server)
            await _drain(loop.time() + MOST_DRAINING)
        finally:
            server.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, terminate)


async def _stop_listening(server: uvicorn.Server) -> None:
    """Refuse connections from now on; those that the system has already accepted are answered."""
    loop, waiting = asyncio.get_running_loop(), []
    for one in [one for listening in server.servers for one in listening.sockets]:
        with socket.socket(fileno=os.dup(one.fileno())) as shared:
            shared.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    waiting.append(shared.accept()[0])
            with suppress(OSError):  # not possible on systems other than Linux
                shared.shutdown(socket.SHUT_RDWR)
    for listening in server.servers:
        listening.close()
    for accepted in waiting:
        made = partial(Protocol, server.config, server.server_state, server.lifespan.state, loop)
        await loop.connect_accepted_socket(made, accepted)


async def _drain(until: float) -> None:
    """Close the connections gracefully, until ``until`` on the loop's clock."""
    loop = asyncio.get_running_loop()
    for connection in Protocol.open:
        if not connection.idle:
            connection.cycle.keep_alive = False
    while Protocol.open and loop.time() < until:
        for connection in [one for one in Protocol.open if one.idle and not one.asking]:
            if connection.since + MOST_IDLE < loop.time():
                connection.transport.close()
        await asyncio.sleep(0.02)
