"""HTTP and HTTPS over brokered connections, with the standard library; loaded when a plugin asks for it."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ..errors import RedirectRefused, ResponseTooLarge

MAX_BYTES = 8 << 20
MAX_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
# Of no use to another host than the one they were meant for.
_SECRETS = ("authorization", "cookie", "proxy-authorization")
_BODY_FIELDS = ("content-length", "content-type", "content-encoding", "transfer-encoding")
# What a URL may hold besides letters and digits; everything else is written as %XX.
_SAFE = "/:?#[]@!$&'()*+,;=-._~%"

Connect = Callable[[str, int, float], socket.socket]


class Response(NamedTuple):
    """What a server answered. ``headers`` take any case: ``response.headers["content-type"]``."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    url: str
    """Where it came from, after all redirects."""


class Http:
    """Makes requests over the connections of ``connect``, one connection for each.

    ``timeout`` is for connecting, and again for each wait after that. Raises, besides what ``connect`` does,
    :class:`ssl.SSLError`, :class:`http.client.HTTPException` for what is no HTTP, :class:`ResponseTooLarge`,
    :class:`RedirectRefused`, and :class:`ValueError` for a URL or a header that can't be sent. A status such as 404
    raises nothing.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 10.0,
        max_bytes: int = MAX_BYTES,
        max_redirects: int = MAX_REDIRECTS,
        ca: str | None = None,
    ) -> Response:
        """Get a resource; see :meth:`request`."""
        return self.request(
            "GET", url, headers, timeout=timeout, max_bytes=max_bytes, max_redirects=max_redirects, ca=ca
        )

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        timeout: float = 10.0,
        *,
        max_bytes: int = MAX_BYTES,
        max_redirects: int = MAX_REDIRECTS,
        ca: str | None = None,
    ) -> Response:
        """Make one request, and follow redirects as far as the policy allows; a ``body`` of text is sent as UTF-8.

        A server of HTTPS has to have a certificate of the system's authorities, or of those in ``ca`` (PEM). The
        response's body may have ``max_bytes``. Other hosts that redirects lead to do not see credentials.
        """
        call = _Call(method, _split(url), dict(headers or {}), body.encode() if isinstance(body, str) else body)
        for _ in range(max_redirects + 1):
            response = self._made(call, timeout, max_bytes, ca)
            location = response.headers["location"]
            if response.status not in _REDIRECTS or location is None:
                return response
            call = _redirected(call, response, location)
        raise RedirectRefused(url, f"more than {max_redirects} redirects")

    def _made(self, call: _Call, timeout: float, max_bytes: int, ca: str | None) -> Response:
        host, port = _host(call.url), call.url.port or _PORTS[call.url.scheme]
        scheme = call.url.scheme
        connection = _Connection(host, port, _PORTS[scheme], lambda: self._opened(scheme, host, port, timeout, ca))
        try:
            connection.request(call.method, _target(call.url), call.body, call.headers)
            with connection.getresponse() as answer:
                body = _read(answer, call, max_bytes)
                return Response(answer.status, answer.headers, body, call.url.geturl())
        finally:
            connection.close()

    def _opened(self, scheme: str, host: str, port: int, timeout: float, ca: str | None) -> socket.socket:
        plain = self._connect(host, port, timeout)
        if scheme == "http":
            return plain
        try:
            return self._context(ca).wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def _context(self, ca: str | None) -> ssl.SSLContext:
        """Return the settings for TLS; reading all authorities takes milliseconds, so the last are kept."""
        if ca not in self._contexts:
            self._contexts = {ca: ssl.create_default_context(cadata=ca)}
        return self._contexts[ca]


class _Call(NamedTuple):
    method: str
    url: SplitResult
    headers: dict[str, str]
    body: bytes | None


class _Connection(http.client.HTTPConnection):
    """One that does not make its socket, or look at the environment."""

    def __init__(self, host: str, port: int, default_port: int, opened: Callable[[], socket.socket]) -> None:
        super().__init__(f"[{host}]" if ":" in host else host, port)
        self.default_port = default_port
        self._opened = opened

    def connect(self) -> None:
        """Take the socket from elsewhere."""
        self.sock = self._opened()


def _split(url: str) -> SplitResult:
    parts = urlsplit(quote(url, safe=_SAFE) if url.isascii() else _ascii(url))
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"URL must begin with http:// or https:// and a host, not be {url[:200]!r}")
    if "@" in parts.netloc:
        raise ValueError("URL must not hold a user or a password: send a header 'Authorization'")
    if parts.port == 0:
        raise ValueError("URL must have a port from 1 to 65,535, not 0")
    return parts._replace(fragment="")


def _ascii(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    if "@" in parts.netloc:
        netloc = f"@{netloc}"
    return parts._replace(
        netloc=netloc, path=quote(parts.path, safe=_SAFE), query=quote(parts.query, safe=_SAFE), fragment=""
    ).geturl()


def _host(url: SplitResult) -> str:
    assert url.hostname is not None
    return url.hostname


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _read(answer: http.client.HTTPResponse, call: _Call, max_bytes: int) -> bytes:
    if answer.length is not None and answer.length > max_bytes:
        raise ResponseTooLarge(call.url.geturl(), max_bytes)
    body = answer.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise ResponseTooLarge(call.url.geturl(), max_bytes)
    if answer.length:
        raise http.client.IncompleteRead(body, answer.length)
    return body


def _redirected(call: _Call, response: Response, location: str) -> _Call:
    """Work out the next call as browsers do: after 303, and after 301 and 302 to a POST, it is a GET."""
    try:
        url = _split(urljoin(response.url, location))
    except ValueError as error:
        raise RedirectRefused(response.url, str(error)) from None
    if call.url.scheme == "https" and url.scheme == "http":
        raise RedirectRefused(response.url, f"from https to {url.geturl()}, which is not encrypted")
    method, body, drop = call.method, call.body, set[str]()
    if (response.status == 303 and method != "HEAD") or (response.status in (301, 302) and method == "POST"):
        method, body = "GET", None
        drop |= set(_BODY_FIELDS)
    if (url.scheme, url.netloc) != (call.url.scheme, call.url.netloc):
        drop |= {*_SECRETS, "host"}
    return _Call(method, url, {name: value for name, value in call.headers.items() if name.lower() not in drop}, body)
