"""A real PostgreSQL server (Debian package postgresql) on loopback, that tests can stop and bring back on the same port."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

PLACES = ("/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb")
OWNER = "postgres"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, the newest first; None where PostgreSQL is not installed."""
    found = [path for place in PLACES for path in sorted(Path("/").glob(place.lstrip("/")))]
    path = str(found[-1]) if found else shutil.which("initdb")
    return Path(path).parent if path else None


class Server:
    """``url`` is SQLAlchemy's, with the password as ${CRM_PASSWORD}, which is ``password``."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self._folder, self._bin, self.password = folder, bin, secrets.token_hex(8)
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql://churn:${{CRM_PASSWORD}}@127.0.0.1:{self._port}/postgres"
        secret = folder / "secret"
        secret.write_text(self.password)
        if os.getuid() == 0:  # which the server refuses to run as
            for path in (folder, secret):
                shutil.chown(path, OWNER)
        options = ("--username=churn", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync")
        self._run("initdb", "-D", str(folder / "db"), *options)

    def start(self) -> "Server":
        """Start it, or bring it back; ready when this returns."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run(
            "pg_ctl", "-D", str(self._folder / "db"), "-l", str(self._folder / "log"), "-w", "-o", options, "start"
        )
        return self

    def stop(self) -> None:
        """Connections are refused from now on."""
        self._run("pg_ctl", "-D", str(self._folder / "db"), "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._bin / program), *words]
        if os.getuid() == 0:
            command = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", *command]
        with (self._folder.parent / f"{program}.log").open("w+") as said:
            if subprocess.run(command, cwd=self._folder, stdout=said, stderr=said).returncode:
                said.seek(0)
                raise RuntimeError(said.read())


@contextmanager
def running() -> Iterator[Server]:
    """A server of one's own; the test is skipped where PostgreSQL is not installed."""
    bin = programs()
    if bin is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to the server's user
        Path(folder).chmod(0o755)
        place = Path(folder, "server")
        place.mkdir()
        server = Server(place, bin).start()
        yield server
        server.stop()
