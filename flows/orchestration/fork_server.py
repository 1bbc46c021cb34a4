"""Fork step processes from one that has already imported the libraries: steps of ``run`` and ``resume`` start fast on Linux.

Metaflow starts a new interpreter for each step and each card, which imports metaflow, pandas and the rest again. Here ``run``
starts one *nursery* process that imports what the flow's steps need, one module at a time while it is idle, and forks a child
for each command line that it receives. The child runs the flow file as ``__main__`` with the environment, working directory and
streams of the request, so a step cannot tell the difference. Forking is safe because the nursery has a single thread (native
libraries are configured to start none, and the thread count is checked before each fork) and never runs a step itself. It exits
with the last process that could send it a request. Anything unexpected falls back to a new process. ``CHURNFLOW_WARM=0`` and
untested Metaflow releases switch it off. The cost of starting an interpreter per step is not reported upstream.
"""

import atexit
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from orchestration import metaflow_version, preloaded

# Threads that a fork would not copy: of the BLAS of numpy and scipy (the steps keep to one: they run side by side), of Arrow's
# and polars' jemalloc.
_ONE_THREAD = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"),
    **dict.fromkeys(("JE_ARROW_MALLOC_CONF", "_RJEM_MALLOC_CONF"), "background_thread:false"),
}
# No step needs them, but if they are installed, MLflow imports polars, which starts a thread, and pandera imports hypothesis,
# which takes 0.2 s.
_NEVER = ("polars", "hypothesis")

_nursery: socket.socket | None = None  # this process's socket to the nursery, if there is one


class Child:
    """A process forked by the nursery, with the part of the ``subprocess.Popen`` interface that Metaflow uses."""

    def __init__(self, command: list[str], env: dict[str, str], streams: tuple[int, int, int]) -> None:
        """Request the process. Raises OSError if there is no nursery."""
        assert _nursery is not None
        self._status, status = os.pipe()
        self._code: bytes = b""
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None
        with tempfile.TemporaryFile() as request:
            request.write(json.dumps({"argv": command[1:], "env": env, "cwd": str(Path.cwd())}).encode())
            request.seek(0)
            try:
                socket.send_fds(_nursery, [b"."], [request.fileno(), *streams, status, _nursery.fileno()])
            finally:
                os.close(status)
        answer = os.read(self._status, 4)
        if not answer:
            raise ChildProcessError("the nursery is gone")
        self.pid = int.from_bytes(answer, "little")

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code; None if ``timeout`` seconds have passed."""
        if not self._code:
            with selectors.DefaultSelector() as selector:
                selector.register(self._status, selectors.EVENT_READ)
                if not selector.select(timeout):
                    return None
            self._code = os.read(self._status, 4) or (-signal.SIGKILL).to_bytes(4, "little", signed=True)
            os.close(self._status)
        return int.from_bytes(self._code, "little", signed=True)

    def kill(self) -> None:
        """Kill the process if it is still running."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _popen(command: list[str], env: dict[str, str], **options: Any) -> Any:
    """Start a step's process; ``options`` are Metaflow's arguments to Popen: three pipes."""
    out, err = os.pipe(), os.pipe()
    try:
        with Path(os.devnull).open("rb") as nothing:
            child = Child(command, env, (nothing.fileno(), out[1], err[1]))
    except OSError:
        for end in (*out, *err):
            os.close(end)
        return subprocess.Popen(command, env=env, **options)
    os.close(out[1])
    os.close(err[1])
    child.stdout, child.stderr = os.fdopen(out[0], "rb"), os.fdopen(err[0], "rb")
    return child


def _check_output(command: list[str], env: Any, stderr: int, timeout: float | None = None) -> bytes:
    """Run a card's process like ``subprocess.check_output``."""
    with tempfile.TemporaryFile() as output, Path(os.devnull).open("rb") as nothing:
        try:
            child = Child(command, dict(env), (nothing.fileno(), output.fileno(), output.fileno()))
        except OSError:
            return subprocess.check_output(command, env=env, stderr=stderr, timeout=timeout)
        code = child.wait(timeout)
        if code is None:
            child.kill()
        output.seek(0)
        text = output.read()
    if code is None:
        raise subprocess.TimeoutExpired(command, timeout or 0, text)
    if code:
        raise subprocess.CalledProcessError(code, command, text)
    return text


def start() -> None:
    """Start the nursery if this command runs a flow. Call it before importing metaflow, so that both import in parallel."""
    global _nursery
    wanted = sys.platform == "linux" and metaflow_version.active(metaflow_version.FORK_SERVER)
    if not wanted or not {"run", "resume"} & set(sys.argv) or Path(sys.argv[0]).name not in preloaded.IMPORTS:
        return
    _nursery, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    flows = str(Path(__file__).parents[1])
    entry = f"import sys; sys.path.insert(0, {flows!r}); from orchestration import fork_server; fork_server.nursery()"
    first, *others = preloaded.IMPORTS[Path(sys.argv[0]).name]
    s3 = preloaded.S3 if os.environ.get("CHURNFLOW_PROFILE", "local") != "local" else ()
    command = [sys.executable, "-c", entry, str(theirs.fileno()), sys.argv[0], first, *s3, *others]
    environ = {**os.environ, **_ONE_THREAD}
    subprocess.Popen(
        command, env=environ, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    theirs.close()


def use() -> None:
    """Make Metaflow start steps and cards through the nursery, if there is one. Call it after importing metaflow."""
    if _nursery is None:
        return
    from metaflow import runtime
    from metaflow.plugins.cards import card_creator

    for module, replaced in ((runtime, {"Popen": _popen}), (card_creator, {"check_output": _check_output})):
        module.subprocess = types.SimpleNamespace(**{**vars(subprocess), **replaced})  # type: ignore[attr-defined]


def _serve(line: socket.socket, modules: list[str]) -> list[str] | None:
    """Fork a child per request and import ``modules`` in between. Returns None at the end; in a child, its command line."""
    running: dict[int, tuple[int, int]] = {}  # pidfd -> pid, and the descriptor that awaits its exit code
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while True:
            ready = selector.select(0 if modules else None)
            if not ready:
                module = modules.pop(0)
                importlib.import_module(module)
                gc.freeze()  # keep the collector from touching pages shared with the children
                if len(_threads()) > 1:
                    modules.clear()
                    _say_that_it_is_off(module)
            for key, _ in ready:
                if key.fileobj is not line:
                    pid, status = running.pop(key.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    with suppress(BrokenPipeError):  # the run itself was killed
                        os.write(status, code.to_bytes(4, "little", signed=True))
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    os.close(status)
                    continue
                message, descriptors, _, _ = socket.recv_fds(line, 1, 6)
                if not message:
                    return None
                if len(_threads()) > 1:  # without an answer, the caller starts a new process
                    for descriptor in descriptors:
                        os.close(descriptor)
                    continue
                pid = os.fork()
                if pid == 0:
                    for pidfd, (_, status) in running.items():
                        os.close(pidfd)
                        os.close(status)
                    line.close()
                    return _become(descriptors)
                os.write(descriptors[4], pid.to_bytes(4, "little"))
                for descriptor in (*descriptors[:4], descriptors[5]):
                    os.close(descriptor)
                pidfd = os.pidfd_open(pid)
                running[pidfd] = (pid, descriptors[4])
                selector.register(pidfd, selectors.EVENT_READ)


def _threads() -> list[str]:
    """The names of this process's threads, including those of native libraries."""
    return [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


def _say_that_it_is_off(module: str) -> None:
    names = ", ".join(sorted(_threads()))
    sys.stderr.write(
        f"Steps start as fresh processes: {module} has started threads, which a fork does not copy ({names}).\n"
    )


def _become(descriptors: list[int]) -> list[str]:
    """In a child: adopt the request's streams, environment and working directory. Returns the command line."""
    global _nursery
    signal.signal(signal.SIGINT, signal.default_int_handler)
    request, *streams, status, back = descriptors
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.close(status)
    _nursery = socket.socket(fileno=back)
    with os.fdopen(request, "rb") as file:
        order = json.load(file)
    for name in _NEVER:
        sys.modules.pop(name, None)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    for text in (sys.stdout, sys.stderr):
        text.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]
    return order["argv"]


def nursery() -> None:
    """Main function of the nursery process; in its children it runs the flow."""
    line, modules = socket.socket(fileno=int(sys.argv[1])), sys.argv[3:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the steps, whose exit codes must still be reported
    del sys.argv[3:], sys.argv[:2]
    sys.modules.update(dict.fromkeys(_NEVER))  # type: ignore[arg-type]  # None blocks the import
    try:
        command = _serve(line, modules)
    except SystemExit:  # from ``base``: the parent process stops too, with the message
        os._exit(1)
    if command is not None:
        use()
        sys.argv = command
        _run(command[0])


def _run(flow: str) -> None:
    """Run the file ``flow`` as ``__main__``, and exit like the interpreter, without finalising native libraries.

    Not with runpy: Metaflow puts classes into this ``__main__``, where pickle must find them. Not with a full finalisation:
    native libraries would wait for threads that a fork does not copy.
    """
    main = sys.modules["__main__"]
    main.__file__ = flow
    code = 0
    try:
        exec(compile(Path(flow).read_bytes(), flow, "exec"), vars(main))  # nosec B102 - the flow that the user runs
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
    except BaseException:  # noqa: BLE001 - as the interpreter does: shown, and the exit code is 1
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
