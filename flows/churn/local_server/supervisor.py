"""``make serve``: one process that owns the port and passes each connection to the Bento that is served.

A new Bento can thus start beside the served one, be tested on a private port, and receive a share of the connections and then
all of them; the previous one stops once its connections have ended. The port is never closed, and no connection is refused. A
deployment gives orders through a UNIX socket, one line of JSON for each order and each answer. If it is silent for longer than
it promised, it is considered dead, and the previous Bento receives all connections again.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from churn.errors import ChurnError
from churn.local_server.server_process import Release, workers
from churn.settings.environment import STATE

FOLDER = STATE / "serve"  # one file for each served port
BACKLOG = 2048
HELD_SECONDS = 0.02  # before retrying a connection that no worker accepted
AT_ONCE = 64  # connections accepted at once

Order = dict[str, Any]


class Supervisor:
    """Serves ``model``: at first the Bento ``tag``, later whatever deployments replace it with."""

    def __init__(self, model: str, tag: str, host: str, port: int, say: Callable[[str], None]) -> None:
        """Bind the port; ``say`` is called with each event. Nothing is served before ``run``.

        Raises:
            OSError: The port cannot be bound.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._port = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._port.setblocking(False)
        self._model, self._first, self._say = model, tag, say
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._port.getsockname()[1]}"
        self._current: Release  # from ``run`` on
        self._candidate: Release | None = None
        self._run, self._share, self._credit, self._until = "", 0.0, 0.0, 0.0
        self._held: socket.socket | None = None
        self._listening = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._orders: dict[str, Callable[[Order], None]] = {
            "start": self._start,
            "share": self._give,
            "keep": self._keep,
            "back": self._back,
            "alive": lambda _: None,
        }

    async def run(self) -> int:
        """Serve until SIGINT or SIGTERM; return the exit code, 1 if the first Bento does not start."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._ended)
        self._current = first = self._release(self._first)
        stop = asyncio.create_task(self._stop.wait())
        awaited: list[asyncio.Future[Any]] = [stop, first.started]
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if first.started.done() and first.started.result():
            self._say(f"{first.tag} answers at {self.url} (Ctrl-C ends it)")
            await self._serve(stop)
            await asyncio.gather(*self._tasks)
        await self._current.end(drained=False)
        return int(first.started.done() and not first.started.result())

    async def _serve(self, stop: asyncio.Task[Any]) -> None:
        folder = Path(tempfile.mkdtemp(prefix="churnflow-serve-"))  # the path of a UNIX socket must be short
        control = await asyncio.start_unix_server(self._converse, folder / "control")
        file = FOLDER / f"{self._port.getsockname()[1]}.json"
        FOLDER.mkdir(parents=True, exist_ok=True)
        about = {"model": self._model, "url": self.url, "pid": os.getpid(), "control": str(folder / "control")}
        file.write_text(json.dumps(about), encoding="utf-8")
        self._listen()
        try:
            await stop
        finally:
            file.unlink(missing_ok=True)
            control.close()
            shutil.rmtree(folder, ignore_errors=True)
            self._loop.remove_reader(self._port.fileno())
            self._port.close()
            if self._candidate is not None:
                self._begin(self._candidate.end(drained=False))

    def _ended(self) -> None:
        if self._stop.is_set():  # the second signal: stop at once
            for release in filter(None, (self._current, self._candidate)):
                release.kill()
        self._stop.set()

    def _release(self, tag: str) -> Release:
        return Release(tag, workers(tag))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _listen(self) -> None:
        if not self._stop.is_set():
            self._loop.add_reader(self._port.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if self._held is None:
                try:
                    self._held, _ = self._port.accept()
                except OSError:  # there are no more, or the caller has gone
                    return
            if not self._hand(self._held):  # new connections wait in the port's backlog
                self._loop.remove_reader(self._port.fileno())
                self._loop.call_later(HELD_SECONDS, self._listen)
                return
            self._held.close()
            self._held = None

    def _hand(self, connection: socket.socket) -> bool:
        """Pass the connection to the candidate, if its share is due, else to the served Bento."""
        if self._candidate is not None:
            self._credit = min(self._credit + self._share, 1.0)
            if self._credit >= 1 and self._candidate.hand(connection):
                self._credit -= 1
                return True
        return self._current.hand(connection)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = self._obey(json.loads(await reader.readline()))
        except ChurnError as error:
            answer = {"error": str(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    def _obey(self, order: Order) -> Order:
        """Carry out a deployment's order, and return the new status. Raises ChurnError if another deployment is in progress."""
        if order["do"] in self._orders:
            if self._candidate is not None and order["run"] != self._run:
                raise ChurnError(
                    f"{self.url}: {self._run} is deploying {self._candidate.tag} there; wait until it ends"
                )
            self._run, self._until = order["run"], self._loop.time() + order["seconds"]
            self._orders[order["do"]](order)
        return {
            "bento": self._current.tag,
            "run": f"{self._run}@{self._until:.1f}" if self._candidate is not None else "",
            "instances": [
                {"bento": one.tag, "url": one.url, "restarts": one.restarts,
                 "started": one.started.result() if one.started.done() else None, "said": list(one.said)}
                for one in (self._current, self._candidate)
                if one is not None
            ],
        }  # fmt: skip

    def _start(self, order: Order) -> None:
        if self._candidate is None:
            self._share = self._credit = 0.0
            self._candidate = self._release(order["bento"])
            self._loop.call_later(order["seconds"], self._look)

    def _give(self, order: Order) -> None:
        self._share = order["share"]

    def _keep(self, _: Order) -> None:
        if self._candidate is not None and self._candidate.ready:
            former, self._current, self._candidate = self._current, self._candidate, None
            self._say(f"{self._current.tag} answers at {self.url} instead of {former.tag}")
            self._begin(former.end())

    def _back(self, _: Order) -> None:
        if self._candidate is not None:
            candidate, self._candidate = self._candidate, None
            self._say(f"{self._current.tag} answers at {self.url} again; {candidate.tag} is rolled back")
            self._begin(candidate.end())

    def _look(self) -> None:
        """Roll back if the deployment has been silent for longer than it promised."""
        if self._candidate is None:
            return
        left = self._until - self._loop.time()
        if left > 0:
            self._loop.call_later(left, self._look)
            return
        self._say(f"{self._run} has died: nothing was heard of it")
        self._back({})
