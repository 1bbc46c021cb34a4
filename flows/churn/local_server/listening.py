"""Checks that a server can listen on an address before it starts: servers report it in 50 lines, or listen elsewhere."""

import errno
import ipaddress
import socket
from collections.abc import Callable

from churn.errors import ChurnError


def require_free(host: str, port: int, again: Callable[[int], str]) -> None:
    """Raise ChurnError if ``host`` and ``port`` cannot be listened on; ``again`` returns the command for another port."""
    if not 0 < port < 65536:
        raise ChurnError(f"{again(port)}: a port is a number from 1 to 65535")
    error = _refusal(host, port)
    if error is not None and error.errno == errno.EADDRINUSE:
        free = next(other for other in (*range(port + 1, 65536), *range(1024, port)) if _refusal(host, other) is None)
        raise ChurnError(f"port {port} is taken{_holder(port)}; stop it, or use another port: {again(free)}") from error
    if error is not None:
        why = str(error.strerror).split(" (")[0]
        raise ChurnError(
            f"cannot listen on HOST={host}, port {port} ({why}); HOST must be an address of this machine, and a port below "
            "1024 needs privileges"
        ) from error


def _refusal(host: str, port: int) -> OSError | None:
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return None
    except OSError as error:
        return error


def _holder(port: int) -> str:
    """The process that holds the port, if the system reveals it."""
    import psutil

    try:
        pids = [c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port]
        pid = next(filter(None, pids), None)  # None: another user's
        return f" by process {pid} ({psutil.Process(pid).name()})" if pid else " by another process"
    except psutil.Error:
        return " by another process"


def local(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
