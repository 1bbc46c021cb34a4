"""Secrets stay where they belong: a token with its origin, a password out of every message; redirects lead nowhere private."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from churn.data import sources
from churn.errors import ChurnError, masked
from churn.serving import client
from churn.settings import core
from churn.settings.data import DataConfig, Source
from churn.settings.dataset import Dataset
from pydantic import TypeAdapter, ValidationError

SECRET = "s3@c/r:e?t&#%40"
CSV = b"customerID\n1\n"


def source(**keys: object) -> Source:
    return TypeAdapter(Source).validate_python({"retries": 0, "timeout": 5, **keys})


class Server(BaseHTTPRequestHandler):
    """Answers with a file, or a redirect where ``to`` names one; remembers the tokens that came."""

    to = ""
    tokens: list[str | None] = []

    def do_GET(self) -> None:
        cls = type(self)
        cls.tokens.append(self.headers.get("Authorization"))
        self.send_response(302 if cls.to and "again" not in self.path else 200)
        if cls.to and "again" not in self.path:
            self.send_header("Location", cls.to)
        self.send_header("Content-Length", str(len(CSV)))
        self.end_headers()
        self.wfile.write(CSV)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[list[tuple[type[Server], str]]]:
    """Two servers of different origins on loopback: the class of each, and its address."""
    started = []
    for host in ("127.0.0.1", "127.0.0.2"):
        handler = type("Own", (Server,), {"tokens": [], "to": ""})
        started.append((handler, ThreadingHTTPServer((host, 0), handler)))
        threading.Thread(target=started[-1][1].serve_forever, args=(0.01,), daemon=True).start()
    yield [(handler, f"http://{http.server_address[0]}:{http.server_port}") for handler, http in started]
    for _, http in started:
        http.shutdown()
        http.server_close()


def test_a_token_goes_to_its_origin_alone(
    servers: list[tuple[type[Server], str]], telco: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, url), (second, other) = servers
    monkeypatch.setenv("CRM_TOKEN", "t0ken")
    first.to = f"{other}/customers.csv"
    given = source(kind="http", url=f"{url}/customers.csv", bearer="CRM_TOKEN", private_hosts=("127.0.0.2",))
    assert sources.read(given, telco)
    assert (first.tokens, second.tokens) == (["Bearer t0ken"], [None])
    first.to = f"{url}/again.csv"
    assert sources.read(given, telco)
    assert first.tokens == ["Bearer t0ken"] * 3, "the same origin keeps it"


def test_a_redirect_to_a_private_address_is_followed_only_where_configured(
    servers: list[tuple[type[Server], str]], telco: Dataset
) -> None:
    (first, url), (second, other) = servers
    first.to = f"{other}/customers.csv"
    with pytest.raises(ChurnError, match=r'127\.0\.0\.2, a private address .* private_hosts = \["127\.0\.0\.2"\]'):
        sources.read(source(kind="http", url=f"{url}/customers.csv"), telco)
    assert second.tokens == [], "nothing was sent there"
    assert sources.read(source(kind="http", url=f"{url}/customers.csv", private_hosts=("127.0.0.2",)), telco)


def test_the_services_key_goes_to_the_service_alone(servers: list[tuple[type[Server], str]]) -> None:
    (first, url), (second, other) = servers
    first.to = f"{other}/customers.csv"
    with pytest.raises(ChurnError, match="give the address that it leads to"):
        client.ask(url, key="t0ken")
    assert second.tokens == []
    with pytest.raises(ChurnError, match="unknown url type"):
        client.ask("file:///etc/passwd")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "data:text/csv,a"])
def test_a_redirect_to_another_protocol_is_refused(
    servers: list[tuple[type[Server], str]], telco: Dataset, to: str
) -> None:
    (first, url), _ = servers
    first.to = to
    with pytest.raises(ChurnError, match=r"neither http nor https|is not allowed"):
        sources.read(source(kind="http", url=f"{url}/customers.csv"), telco)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("93.184.216.34", True), ("10.0.0.1", False), ("::ffff:127.0.0.1", False), ("fd00::1", False), ("fe80::1%eth0", False),
     ("169.254.169.254", False), ("100.64.0.1", False)],
)  # fmt: skip
def test_what_a_name_turns_out_to_be_decides(address: str, allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import http.client
    from types import SimpleNamespace

    from churn.storage import web

    sock = SimpleNamespace(getpeername=lambda: (address, 80), sendall=lambda _: None, close=lambda: None)
    monkeypatch.setattr(http.client.HTTPConnection, "connect", lambda self: setattr(self, "sock", sock))
    opened = web.opener("http://here/", "here")
    with pytest.raises((AttributeError, ChurnError)) as error:  # AttributeError: it went on, to a socket that is none
        opened.open("http://elsewhere.example/", timeout=1)
    assert isinstance(error.value, AttributeError) is allowed


def test_the_machines_own_metadata_is_refused_even_when_it_is_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    import http.client
    from types import SimpleNamespace

    from churn.storage import web

    sock = SimpleNamespace(getpeername=lambda: ("169.254.169.254", 80), close=lambda: None)
    monkeypatch.setattr(http.client.HTTPConnection, "connect", lambda self: setattr(self, "sock", sock))
    with pytest.raises(ChurnError, match="private_hosts"):
        web.opener("http://metadata/", "metadata").open("http://metadata/latest", timeout=1)


FAILING = {
    "file": {"kind": "file", "path": f"https://churn:{quote(SECRET, safe='')}@127.0.0.1:1/f.csv?sig={SECRET}"},
    "s3": {"kind": "s3", "url": "s3://bucket/key"},
    "http": {"kind": "http", "url": "http://127.0.0.1:1/file.csv?sig=s3cretsig", "bearer": "CRM_PASSWORD"},
    "postgresql": {"kind": "sql", "url": "postgresql://churn:${CRM_PASSWORD}@127.0.0.1:1/crm", "query": "select 1"},
    "query": {
        "kind": "sql",
        "url": "postgresql://127.0.0.1:1/crm?user=churn&password=${CRM_PASSWORD}",
        "query": "select 1",
    },
    "driver": {"kind": "sql", "url": "mysql+pymysql://churn:${CRM_PASSWORD}@127.0.0.1:1/crm", "query": "select 1"},
    "dialect": {"kind": "sql", "url": "nonsense://churn:${CRM_PASSWORD}@127.0.0.1:1/crm", "query": "select 1"},
    "port": {"kind": "sql", "url": "postgresql://churn:${CRM_PASSWORD}@127.0.0.1:x/crm", "query": "select 1"},
    "sqlite": {"kind": "sql", "url": "sqlite:////nowhere/a@b/crm.db", "query": "select 1"},
}


@pytest.mark.parametrize("kind", FAILING)
def test_no_message_of_a_source_shows_a_secret(
    kind: str, telco: Dataset, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRM_PASSWORD", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    given = source(**FAILING[kind])
    with pytest.raises(ChurnError) as error:
        sources.read(given, telco)
    said = [str(error.value), given.name if kind != "file" else "", *capfd.readouterr()]
    parts = [SECRET, "s3cretsig", *re.split(r"[@/:?&#]", SECRET)]
    for part in filter(lambda part: len(part) > 1, parts):
        assert not [text for text in said if part in text.replace("s3://", "")], part
    assert "127.0.0.1" in said[0] or kind in ("sqlite", "s3", "dialect")


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "sql", "url": "postgresql://churn:hunter2@127.0.0.1/crm", "query": "select 1"},
        {"kind": "sql", "url": "postgresql://churn:hun/ter2@127.0.0.1/crm", "query": "select 1"},
        {"kind": "sql", "url": "postgresql://churn:hun@ter2@127.0.0.1/crm", "query": "select 1"},
        {"kind": "sql", "url": "postgresql://127.0.0.1/crm?password=hunter2", "query": "select 1"},
        {"kind": "s3", "url": "s3://key:hunter2@bucket/key"},
        {"kind": "gs", "url": "s3://bucket/hunter2"},
        {"kind": "http", "url": "https://churn:hunter2@host/file.csv"},
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(keys: dict[str, str]) -> None:
    lines = "\n".join(f'{key} = "{value}"' for key, value in keys.items())
    with pytest.raises(ChurnError) as error:
        core.parse(DataConfig, f"[[source]]\n{lines}\n", "data.toml")
    assert "ter2" not in str(error.value) or keys["kind"] == "gs"


def test_the_password_is_what_the_variable_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PASSWORD", SECRET)
    monkeypatch.setenv("CRM_HOST", "db.example")
    url = "postgresql+psycopg://ch%40urn:${CRM_PASSWORD}@${CRM_HOST}:5433/crm?sslmode=require"
    found = sources._database(source(kind="sql", url=url, query="select 1"))
    assert (found.username, found.password, found.host, found.port, found.database, dict(found.query)) == (
        "ch@urn", SECRET, "db.example", 5433, "crm", {"sslmode": "require"},
    )  # fmt: skip


def test_what_is_masked_and_what_is_not() -> None:
    assert masked("mysql://a:b@c/d and s3://bucket/key") == "mysql://a:***@c/d and s3://bucket/key"
    assert masked("https://h/f.csv?sig=a&b=c: gone") == "https://h/f.csv?*** gone"
    assert masked("postgresql://churn:${CRM}@h/d") == "postgresql://churn:${CRM}@h/d"
    assert masked("http://127.0.0.1:3000/page (mail@host)") == "http://127.0.0.1:3000/page (mail@host)"


def test_kinds_and_schemes_go_together() -> None:
    with pytest.raises(ValidationError, match="begins with gs://"):
        source(kind="gs", url="s3://bucket/key")
