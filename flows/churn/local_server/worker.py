"""A worker process of the supervisor: BentoML's own, which receives its connections instead of listening on a port.

Runs as a file, without ``churn``, because a Bento brings its own copy. ``worker.py BENTO CHANNEL LISTENER NUMBER``: CHANNEL is
a UNIX socket to the supervisor, LISTENER the release's private port; both are file descriptors.
"""

import asyncio
import socket
import sys
from typing import Any

import uvicorn

CONNECTION, DRAIN, READY = b"c", b"d", b"r"  # messages on the channel; a connection comes with its descriptor


class Closing:
    """The application; once ``draining``, each answer closes its connection, so that the caller opens a new one."""

    def __init__(self, app: Any) -> None:
        """Wrap ``app``, an ASGI application."""
        self._app, self.draining = app, False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer like the application, with ``Connection: close`` while draining."""

        async def closing(message: Any) -> None:
            if self.draining and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, closing if scope["type"] == "http" else send)


class Server(uvicorn.Server):
    """uvicorn's server on the private port, and on connections from the channel."""

    channel: socket.socket

    def __init__(self, config: uvicorn.Config) -> None:
        """Wrap the application of ``config``, so that it can be drained."""
        config.app = self._closing = Closing(config.app)
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Notify the supervisor once requests can be answered."""
        await super().startup(sockets)
        self._loop, self._opening = asyncio.get_running_loop(), set[Any]()
        self.channel.send(READY)
        self._loop.add_reader(self.channel.fileno(), self._take)

    def _take(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self.channel, 1, 1)
        if message == DRAIN:
            self._closing.draining = True
        elif not message:  # the supervisor has gone, and the port with it
            self._loop.remove_reader(self.channel.fileno())
            self.should_exit = True
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            opened = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
            self._opening.add(opened)
            opened.add_done_callback(self._opening.discard)

    def _protocol(self) -> Any:
        make: Any = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def main() -> None:
    """Run BentoML's worker with this module's server instead of uvicorn's."""
    bento, channel, listener, number = sys.argv[1:]
    Server.channel = socket.socket(fileno=int(channel))
    uvicorn.Server = Server  # type: ignore[misc]
    from _bentoml_impl.worker import service

    service.main([bento, "--fd", listener, "--worker-id", number])


if __name__ == "__main__":
    main()
