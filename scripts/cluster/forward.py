"""``make infra-deploy``: run a command on a machine outside the cluster that reaches the servers of terraform/platform in it."""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from urllib.parse import urlsplit

ADDRESSES = ("AWS_ENDPOINT_URL_S3", "METAFLOW_SERVICE_URL", "MLFLOW_TRACKING_URI")


def servers(environ: dict[str, str]) -> dict[str, tuple[str, str, int]]:
    """Of the variables that name a server in the cluster, NAME.NAMESPACE-servers: its namespace, name and port."""
    found = {}
    for variable in ADDRESSES:
        place = urlsplit(environ.get(variable, ""))
        name, _, namespace = (place.hostname or "").partition(".")
        if place.port and namespace == f"{environ.get('CHURNFLOW_NAMESPACE') or 'churnflow'}-servers":
            found[variable] = (namespace, name, place.port)
    return found


def forwarded(namespace: str, name: str, port: int) -> tuple["subprocess.Popen[bytes]", str]:
    """A process that forwards to the server, and the address on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = free.getsockname()[1]
    words = ["kubectl", "-n", namespace, "port-forward", f"service/{name}", f"{own}:{port}"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", own)):
            return process, f"http://localhost:{own}"
        time.sleep(0.1)
    sys.exit(f"{' '.join(words)}: nothing is forwarded")  # kubectl has said why


def main() -> int:
    """Forward, run, end."""
    environ, processes = dict(os.environ), []
    try:
        for variable, server in servers(dict(os.environ)).items():
            if variable == "METAFLOW_SERVICE_URL":  # pods are not outside: in their templates it stays the cluster's
                environ.setdefault("METAFLOW_SERVICE_INTERNAL_URL", environ[variable])
            process, environ[variable] = forwarded(*server)
            processes.append(process)
        return subprocess.run(sys.argv[1:], env=environ).returncode
    finally:
        for process in processes:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
