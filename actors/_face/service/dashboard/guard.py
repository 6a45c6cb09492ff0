"""``Guard``: only those get an answer who are meant to, with headers that keep it to the page it is for."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..listening import Place

# Nothing from elsewhere, nothing inline, and no text that becomes code or markup.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Stands before the application: refuses strangers' host names and other pages' requests."""

    def __init__(self, app: ASGIApp, place: Place) -> None:
        self._app = app
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            return
        why = refusal(Headers(scope=scope), scope["method"], scope["path"], self._place)
        app = self._app if why is None else PlainTextResponse(f"{why}\n", 403)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await app(scope, receive, send_with_headers)


def refusal(headers: Headers, method: str, path: str, place: Place) -> str | None:
    """Why a request is refused, or ``None``."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not place.allows(hosts[0]):
        return "The Host header names another machine: use the address that is configured."
    if any(origin.partition("://")[2] != hosts[0] for origin in headers.getlist("origin")):
        return "The Origin header names another page: this one answers its own alone."
    is_link = method in {"GET", "HEAD"} and not path.startswith("/api/")
    if not is_link and headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        return "The request comes from another page: this one answers its own alone."
    return None


def knows(token: str, authorization: str | None) -> bool:
    """Whether the ``Authorization`` header holds the token; takes as long for a near miss as for any other."""
    scheme, _, given = (authorization or "").partition(" ")
    return hmac.compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"
