"""HTTP and HTTPS for plugins, against real servers on loopback."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from nyx_plugins.plugins import RedirectRefused, ResponseTooLarge
from nyx_plugins.plugins.worker.http import Http

HOST = "service.example"


class Handler(BaseHTTPRequestHandler):
    """Echoes what it is asked.

    ``/to/STATUS/URL`` redirects, ``/circle`` to itself; ``/big/N`` answers N bytes, ``/short`` too few.
    """

    def _answer(self) -> None:
        _, what, rest = (self.path + "/").split("/", 2)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if what == "to":
            status, url = rest.rstrip("/").split("/", 1)
            self._send(int(status), b"", Location=url)
        elif what == "circle":
            self._send(302, b"", Location=self.path)
        elif what == "big":
            self._send(200, b"x" * int(rest.rstrip("/")))
        elif what == "endless":
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200_000)
        elif what == "short":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        elif what == "noise":
            self.wfile.write(b"\0\xff no HTTP\r\n\r\n")
        else:
            seen = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.items())
            self._send(404 if what == "missing" else 200, f"{self.command} {self.path}\n{seen}\n".encode() + body)

    do_GET = do_POST = do_PUT = _answer

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.send_response(200)
        self.send_header("Content-Length", "123")
        self.end_headers()

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Servers:
    """A server of HTTP and one of HTTPS, whatever host and port is asked for; keeps what was."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.asked: list[tuple[str, int, float]] = []
        self.plain, self.tls = (ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(HOST).configure_cert(context)
        self.tls.socket = context.wrap_socket(self.tls.socket, server_side=True)
        self.tls.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that trusts nobody hangs up
        for server in (self.plain, self.tls):
            server.daemon_threads = False
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    @property
    def ca(self) -> str:
        """The authority's certificate."""
        return self.authority.cert_pem.bytes().decode()

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect to the server that speaks what is usual on this port."""
        self.asked.append((host, port, timeout))
        server = self.tls if port in (443, 8443) else self.plain
        return socket.create_connection(server.server_address[:2], timeout)

    def close(self) -> None:
        """Stop both."""
        for server in (self.plain, self.tls):
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def running() -> Iterator[Servers]:
    """Run the servers for all tests."""
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def servers(running: Servers) -> Servers:
    """Return the servers, of which nothing was asked yet."""
    running.asked.clear()
    return running


@pytest.fixture
def client(servers: Servers) -> Http:
    """Return a client of the servers."""
    return Http(servers.connect)


def test_get(client: Http, servers: Servers) -> None:
    """A GET sends path and query, connects to the port of the scheme, and returns status, headers and body."""
    response = client.get(f"http://{HOST}/a/b?c=d#e", timeout=3.0)
    assert (response.status, response.url) == (200, f"http://{HOST}/a/b?c=d")
    assert response.headers["content-LENGTH"] == str(len(response.body))
    assert response.body.startswith(b"GET /a/b?c=d\n")
    assert f"host: {HOST}\n".encode() in response.body
    assert servers.asked == [(HOST, 80, 3.0)]


def test_https_with_a_given_authority(client: Http, servers: Servers) -> None:
    """The server's certificate is checked against the authority and the host's name."""
    assert client.get(f"https://{HOST}:8443/x", ca=servers.ca).body.startswith(b"GET /x\n")
    assert servers.asked == [(HOST, 8443, 10.0)]
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        client.get("https://other.example/", ca=servers.ca)


def test_https_with_the_system_s_authorities(client: Http) -> None:
    """Without an authority of its own, a server that nobody vouches for is refused."""
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        client.get(f"https://{HOST}/")


@pytest.mark.parametrize(("body", "sent"), [(b"\xff\0", b"\xff\0"), ("é", "é".encode()), (None, b"")])
def test_a_body_is_sent(client: Http, body: bytes | str | None, sent: bytes) -> None:
    """Bytes go as they are, text as UTF-8; headers go along."""
    response = client.request("PUT", f"http://{HOST}/", {"X-Mine": "yes"}, body)
    head, _, echoed = response.body.partition(b"\n\n")
    assert head.startswith(b"PUT /\n")
    assert b"x-mine: yes" in head
    assert echoed == sent


def test_a_status_is_no_error(client: Http) -> None:
    """404 is an answer like any other."""
    assert client.get(f"http://{HOST}/missing").status == 404


def test_head(client: Http) -> None:
    """A response that has a length and no body is whole."""
    response = client.request("HEAD", f"http://{HOST}/")
    assert (response.headers["content-length"], response.body) == ("123", b"")


@pytest.mark.parametrize("path", ["big/1001", "endless"])
def test_a_body_is_bounded(client: Http, path: str) -> None:
    """A body beyond the limit raises, whether the server says its length or not; one at the limit does not."""
    url = f"http://{HOST}/{path}"
    with pytest.raises(ResponseTooLarge, match=f"{url} has more than 1,000 bytes") as caught:
        client.get(url, max_bytes=1000)
    assert caught.value.limit == 1000
    assert len(client.get(f"http://{HOST}/big/1000", max_bytes=1000).body) == 1000


@pytest.mark.parametrize(
    ("path", "error"), [("short", http.client.IncompleteRead), ("noise", http.client.BadStatusLine)]
)
def test_what_is_no_http_raises(client: Http, path: str, error: type[Exception]) -> None:
    """A body that is cut off, and what is no response at all, are errors."""
    with pytest.raises(error):
        client.get(f"http://{HOST}/{path}")


def test_an_unusual_url(client: Http, servers: Servers) -> None:
    """Names and paths in any script are sent in the form that servers know."""
    response = client.get("http://bücher.example:8080/straße ü?q=ä b")
    assert response.body.startswith(b"GET /stra%C3%9Fe%20%C3%BC?q=%C3%A4%20b\nhost: xn--bcher-kva.example:8080\n")
    assert servers.asked[0][:2] == ("xn--bcher-kva.example", 8080)


@pytest.mark.parametrize(
    "url",
    ["", "x", "/x", "ftp://h/", "file:///etc/passwd", "http://", "http://:80/", "http://u:p@h/", "http://h:0/",
     "http://h:99999/", "http://h:x/", "http://[::1/", "http://ü@h/"],
)  # fmt: skip
def test_wrong_urls_are_not_asked(client: Http, servers: Servers, url: str) -> None:
    """What is no address of HTTP, or holds a password, raises ValueError, and nothing is connected to."""
    with pytest.raises(ValueError, match=r"\w"):
        client.get(url)
    assert servers.asked == []


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("GET / HTTP/1.1\r\nX: y", f"http://{HOST}/", {}),
        ("GET", f"http://{HOST}/", {"A": "b\r\nX: y"}),
        ("GET", f"http://{HOST}/", {"A\r\nX": "y"}),
    ],
)
def test_nothing_can_be_smuggled_into_a_request(client: Http, method: str, url: str, headers: dict[str, str]) -> None:
    """Line ends in a method or a header raise ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        client.request(method, url, headers)


def test_line_ends_in_a_url_are_harmless(client: Http) -> None:
    """Line ends in a URL do not get into the request as such."""
    head = client.get(f"http://{HOST}/a\r\nX-Smuggled: yes").body.lower()
    assert b"\nx-smuggled" not in head


def test_no_proxy_is_taken_from_the_environment(
    client: Http, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections go where the URL says, and to nobody else."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    client.get(f"http://{HOST}/")
    assert servers.asked[0][:2] == (HOST, 80)


# Redirects.


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("GET", 301, "GET"),
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("PUT", 302, "PUT"),
        ("POST", 303, "GET"),
        ("PUT", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
    ],
)
def test_redirects_are_followed(client: Http, servers: Servers, method: str, status: int, then: str) -> None:
    """A redirect is followed by a connection of its own; the method and the body are kept where they have to be."""
    response = client.request(method, f"http://{HOST}/to/{status}/http://two.example:81/x", body=b"body")
    head, _, body = response.body.partition(b"\n\n")
    assert response.url == "http://two.example:81/x"
    assert head.startswith(f"{then} /x\n".encode())
    assert body == (b"body" if then == method else b"")
    assert (b"content-length" in head) == (then == method)
    assert [asked[:2] for asked in servers.asked] == [(HOST, 80), ("two.example", 81)]


def test_credentials_stay_with_their_host(client: Http) -> None:
    """Another host does not see them; the same host does."""
    headers = {"Authorization": "secret", "COOKIE": "secret", "X-Other": "kept"}
    elsewhere = client.get(f"http://{HOST}/to/302/http://two.example/x", headers).body
    assert (b"secret" in elsewhere, b"x-other: kept" in elsewhere) == (False, True)
    assert client.get(f"http://{HOST}/to/302//x", headers).body.count(b"secret") == 2


def test_a_redirect_that_the_policy_denies_raises(servers: Servers) -> None:
    """Each step is a connection that is asked for, and what that raises is raised."""

    def connect(host: str, port: int, timeout: float) -> socket.socket:
        if host != HOST:
            raise PermissionError(f"{host} denied")
        return servers.connect(host, port, timeout)

    with pytest.raises(PermissionError, match=r"169\.254\.169\.254 denied"):
        Http(connect).get(f"http://{HOST}/to/302/http://169.254.169.254/latest")


@pytest.mark.parametrize(
    ("scheme", "location", "reason"),
    [
        ("http", "file:///etc/passwd", "URL must begin with http:// or https://"),
        ("http", "http://u:p@h/", "must not hold a user or a password"),
        ("https", "http://two.example/", "from https to http://two.example/?, which is not encrypted"),
    ],
)
def test_redirects_that_are_not_followed(
    client: Http, servers: Servers, scheme: str, location: str, reason: str
) -> None:
    """A redirect to what is no HTTP, or that gives up encryption, is refused with the reason."""
    with pytest.raises(RedirectRefused, match=reason):
        client.get(f"{scheme}://{HOST}/to/302/{location}", ca=servers.ca)


@pytest.mark.parametrize(("allowed", "asked"), [(5, 6), (0, 1)])
def test_redirects_in_a_circle_end(client: Http, servers: Servers, allowed: int, asked: int) -> None:
    """After so many redirects the next one is refused."""
    with pytest.raises(RedirectRefused, match=f"more than {allowed} redirects"):
        client.get(f"http://{HOST}/circle", max_redirects=allowed)
    assert len(servers.asked) == asked


def test_connections_are_closed_whatever_happens(servers: Servers) -> None:
    """No socket is left, neither after success nor after any failure."""
    opened: list[Any] = []

    def connect(host: str, port: int, timeout: float) -> socket.socket:
        opened.append(servers.connect(host, port, timeout))
        return opened[-1]

    client = Http(connect)
    client.get(f"http://{HOST}/")
    for call in (_too_large, _untrusted):
        with pytest.raises((ResponseTooLarge, ssl.SSLError)):
            call(client)
    assert [connection.fileno() for connection in opened] == [-1] * 3


def _too_large(client: Http) -> None:
    client.get(f"http://{HOST}/big/10", max_bytes=1)


def _untrusted(client: Http) -> None:
    client.get(f"https://{HOST}/")
