"""HTTP for configured addresses: a token stays with its origin, and redirects lead only where the configuration allows.

urllib's own opener forwards every header to wherever a redirect leads, including this machine and its network.
"""

import urllib.request
from collections.abc import Callable, Collection
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from churn.errors import ChurnError

CONFIGURE = 'add it to this [[source]]: private_hosts = ["{}"]'
SECRETS = ("Authorization", "X-api-key")  # headers, as urllib spells them
Check = Callable[[str, str], None]  # host and resolved address; raises ChurnError


def opener(
    url: str, name: str, private_hosts: Collection[str] = (), remedy: str = CONFIGURE
) -> urllib.request.OpenerDirector:
    """An opener for ``url``, http and https only, which checks redirects at each connection.

    Args:
        url: The configured address. It may be private; its redirects may not.
        name: What messages call it.
        private_hosts: Further hosts that may have a private or link-local address.
        remedy: What messages suggest for a private address; {} stands for the host.

    Raises:
        ChurnError: On ``open``, if a redirect leads to another protocol, or if a host that is not configured has a private
            address, or any link-local one, where clouds serve their machines' credentials.
    """
    origin_host = urlsplit(url).hostname

    def check(host: str, address: str) -> None:
        ip = ip_address(address.partition("%")[0])
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if host in private_hosts or ((ip.is_global or host == origin_host) and not ip.is_link_local):
            return
        raise ChurnError(
            f"{name}: {host} is {address}, a private address that is not configured; if it is intended, {remedy.format(host)}"
        )

    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Connecting(check),
        _Redirect(name),
    ):
        director.add_handler(handler)
    return director


class _Connecting(urllib.request.AbstractHTTPHandler):
    """HTTP and HTTPS over connections that are checked before anything is sent; a proxy has its own checks."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self._kinds = {kind: _checked(kind, check) for kind in (HTTPConnection, HTTPSConnection)}

    def _open(self, kind: Any, request: urllib.request.Request) -> Any:
        proxied = request.host != urlsplit(request.full_url).netloc
        return self.do_open(kind if proxied else self._kinds[kind], request)

    def http_open(self, request: urllib.request.Request) -> Any:
        return self._open(HTTPConnection, request)

    def https_open(self, request: urllib.request.Request) -> Any:
        return self._open(HTTPSConnection, request)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_


def _checked(kind: type[HTTPConnection], check: Check) -> type[HTTPConnection]:
    class Checked(kind):  # type: ignore[valid-type, misc]
        def connect(self) -> None:
            super().connect()
            check(self.host, self.sock.getpeername()[0])

    return Checked


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Redirects to http and https only; to another origin without the token."""

    def __init__(self, name: str) -> None:
        self._name = name

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise ChurnError(
                f"{self._name}: the server redirects to {newurl}, which is neither http nor https; check the address"
            )
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and _origin(newurl) != _origin(req.full_url):
            for header in SECRETS:
                following.remove_header(header)
        return following


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
