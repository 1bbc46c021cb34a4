"""Connections as hostile or slow callers make them, against uvicorn with the service's protocol: limits that uvicorn lacks."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from bento.app import Answer, App
from bento.body import Body
from bento.http_protocol import MOST_PIPELINED, Joining, Protocol
from bento.service_metrics import ServiceMetrics
from bento.settings import Limits

GET = b"GET /model HTTP/1.1\r\nHost: a\r\n\r\n"
LIMITS = Limits(header_bytes=2048, seconds=1, connections=5)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A served application with the limits above; connections without a request are kept for a second."""
    app = App(ServiceMetrics({"model_version": "1"}), LIMITS.seconds)
    app.gives("/model", lambda: Answer(b"{}"))
    app.takes("/predict", lambda body: Answer(b"{}"), Body(1000))
    made = type("Small", (Protocol,), {"limits": LIMITS, "refusal": app.unheard})
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=made, log_level="critical", lifespan="off", timeout_keep_alive=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def test_a_head_goes_out_with_its_body_or_at_the_end_and_nothing_else_waits() -> None:
    class Transport:
        sent: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.sent.append(data)

        def close(self) -> None:
            self.sent.append(b"closed")

    joining = Joining(Transport())  # type: ignore[arg-type]
    for data in (
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"{}",
        b"more",
        b"HTTP/1.1 204 None\r\n\r\n",
    ):
        joining.write(data)
    joining.flush()
    joining.write(b"HTTP/1.1 404 None\r\n\r\n")
    joining.close()
    head, closed = b"HTTP/1.1 200 OK\r\n\r\n{}", [b"HTTP/1.1 404 None\r\n\r\n", b"closed"]
    assert joining.sent == [b"HTTP/1.1 100 Continue\r\n\r\n", head, b"more", b"HTTP/1.1 204 None\r\n\r\n", *closed]


def test_an_answer_without_a_body_is_sent_at_once_and_the_connection_lives(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for _ in range(2):
            connection.sendall(GET.replace(b"GET", b"HEAD"))
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        )
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert connection.recv(1 << 16).endswith(b"\r\n\r\n{}")


def ask(port: int, *chunks: bytes, pause: float = 0.0) -> bytes:
    """All that comes back until the connection is closed, for what is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for chunk in chunks:
            try:
                connection.sendall(chunk)
            except OSError:
                break
            time.sleep(pause)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    found = b""
    try:
        while data := connection.recv(1 << 16):
            found += data
    except ConnectionResetError:
        pass
    return found


def refusal(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    content = json.loads(body)
    assert set(content) == {"status", "error", "problems"}
    assert int(head[9:12]) == content["status"]
    return content["status"], content["error"]


@pytest.mark.parametrize(
    "chunks",
    [
        [b"GET /model HTTP/1.1\r\nX-A: " + b"a" * 3000 + b"\r\n\r\n"],
        [b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n"],
        [b"GET /model HTTP/1.1\r\nX-A: ", *[b"a" * 1000] * 5],  # a header that never ends
        [b"GET /model HTTP/1.1\r\n", *[b"X-A: a\r\n" * 100] * 5],
    ],
)
def test_headers_have_a_limit(port: int, chunks: list[bytes]) -> None:
    assert refusal(ask(port, *chunks, pause=0.02))[0] == 431


def test_headers_have_little_time_however_they_come(port: int) -> None:
    begun = time.monotonic()
    answer = ask(port, b"GET /model HTTP/1.1\r\n", *[b"X-A: a\r\n"] * 15, pause=0.1)
    assert refusal(answer) == (408, "the headers were too slow")
    assert time.monotonic() - begun < 2.5


@pytest.mark.parametrize("silence", [[b""], [b"\r\n"] * 15], ids=["nothing", "empty lines"])
def test_who_never_asks_is_closed(port: int, silence: list[bytes]) -> None:
    begun = time.monotonic()
    assert ask(port, *silence, pause=0.1) == b""
    assert time.monotonic() - begun < 3


def test_who_goes_on_sending_the_body_of_an_answered_request_is_closed(port: int) -> None:
    begun = time.monotonic()
    answer = ask(port, b"POST /nothing HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 20, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 404")
    assert time.monotonic() - begun < 3


def test_no_http_is_answered_in_the_one_shape(port: int) -> None:
    assert refusal(ask(port, b"\x16\x03\x01\x02\x00\x01 this is TLS\r\n\r\n"))[0] == 400


def test_a_connection_has_few_requests_in_wait(port: int) -> None:
    assert ask(port, GET * MOST_PIPELINED).count(b"HTTP/1.1 200") == MOST_PIPELINED
    assert b"HTTP/1.1 429" in ask(port, GET * 1000)


def test_a_web_socket_is_no_way_around(port: int) -> None:
    upgrade = b"GET /model HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    answer = ask(port, upgrade + b"Sec-WebSocket-Key: " + b"a" * 22 + b"==\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_of_too_many_connections_the_one_that_waited_longest_makes_room(port: int) -> None:
    def opened() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=5)

    first = opened()
    time.sleep(0.05)
    others = [opened() for _ in range(LIMITS.connections - 1)]
    time.sleep(0.05)
    newest = opened()
    assert rest(first) == b"", "closed"
    for connection in (newest, *others):
        connection.sendall(GET)
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()
    first.close()
