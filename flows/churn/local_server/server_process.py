"""One Bento in separate processes on this machine: its workers, its private port, and the passing of connections."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import tomllib
from collections import deque
from pathlib import Path

from churn.local_server.worker import CONNECTION, DRAIN, READY

DRAIN_SECONDS = 6.0  # slightly longer than uvicorn keeps an idle connection: by then every caller was told to reconnect
END_SECONDS = 40.0  # for pending answers and the rest of the log
AGAIN_SECONDS = 1.0  # before a dead worker is restarted
LINES = 40  # of a worker's output, kept to explain a failure


def workers(tag: str) -> int:
    """The number of processes in the Bento's settings (see ``bento.settings``)."""
    import bentoml

    packed = Path(bentoml.get(tag).path, "src", "bento", "serve.toml")
    file = Path(os.environ.get("CHURNFLOW_SERVE_CONFIG") or packed)
    return int(tomllib.loads(file.read_text(encoding="utf-8")).get("workers", 1))


class Worker:
    """A process and our end of its channel; ``ready`` once it can answer."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        """Not ready yet: the process reports it through the channel."""
        self.process, self.channel, self.ready = process, channel, False


class Release:
    """The workers of the Bento ``tag``; ``started`` is False if one ends before all are ready."""

    def __init__(self, tag: str, number: int) -> None:
        """Start ``number`` workers, on a private loopback port. Needs a running event loop."""
        self.tag, self.restarts, self.said = tag, 0, deque[str](maxlen=LINES)
        self._number, self._ending = number, False
        self.started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._workers: dict[int, Worker] = {}
        self._next = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._metrics = tempfile.mkdtemp(prefix="churnflow-metrics-")
        self._tasks = [asyncio.create_task(self._keep(place)) for place in range(number)]

    @property
    def ready(self) -> bool:
        """Whether every worker can answer."""
        return sum(one.ready for one in self._workers.values()) == self._number

    def hand(self, connection: socket.socket) -> bool:
        """Pass the connection to the next worker that accepts it; False if none does."""
        for _ in range(self._number):
            self._next = (self._next + 1) % self._number
            worker = self._workers.get(self._next)
            if worker is None or not worker.ready:
                continue
            try:
                socket.send_fds(worker.channel, [CONNECTION], [connection.fileno()])
                return True
            except OSError:  # it has just ended, or is too busy to accept one more
                continue
        return False

    def drain(self) -> None:
        """From now on, close each connection after its answer."""
        for worker in self._workers.values():
            try:
                worker.channel.send(DRAIN)
            except OSError:  # it has ended, and its connections with it
                continue

    async def end(self, drained: bool = True) -> None:
        """Stop the workers, if ``drained`` after ``DRAIN_SECONDS`` in which callers reconnect elsewhere."""
        self._ending = True
        if drained:
            self.drain()
            await asyncio.sleep(DRAIN_SECONDS)
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.terminate()
        await asyncio.wait(self._tasks, timeout=END_SECONDS)
        self.kill()
        await asyncio.wait(self._tasks)
        self._listener.close()
        shutil.rmtree(self._metrics, ignore_errors=True)

    def kill(self) -> None:
        """Kill the processes that still run."""
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.kill()

    async def _keep(self, place: int) -> None:
        """Run a worker, and restart it when it dies, until the release ends."""
        while not self._ending:
            await self._run(place)
            if not self.started.done():
                self.started.set_result(False)
            if not self.started.result():
                return
            if not self._ending:
                self.restarts += 1
                await asyncio.sleep(AGAIN_SECONDS)

    async def _run(self, place: int) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:
            with theirs:
                words = [self.tag, str(theirs.fileno()), str(self._listener.fileno()), str(place + 1)]
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", str(Path(__file__).with_name("worker.py")), *words),
                    pass_fds=[theirs.fileno(), self._listener.fileno()],
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": self._metrics},
                )
            worker = self._workers[place] = Worker(process, ours)
            awaited = asyncio.create_task(self._await_ready(worker))
            await self._forward(process)
            await process.wait()
            awaited.cancel()
            worker.ready = False

    async def _await_ready(self, worker: Worker) -> None:
        worker.ready = await asyncio.get_running_loop().sock_recv(worker.channel, 1) == READY
        if self.ready and not self.started.done():
            self.started.set_result(True)

    async def _forward(self, process: asyncio.subprocess.Process) -> None:
        """Forward the worker's output to this process's, and keep its last lines."""
        assert process.stdout is not None
        async for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            self.said.append(line.decode(errors="replace").rstrip())
