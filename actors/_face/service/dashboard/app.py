"""The application: a page, its stream of events, and the actions for whoever knows the token."""

from __future__ import annotations

import json
import logging
from importlib import resources
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ... import __version__
from ...config.errors import NyxPluginError
from ...plugins.permissions import known_permissions
from ...plugins.worker.jail.level import Enforcement
from . import actions
from .actions import BadAction, action_of, status_of
from .browsers import MAX_BROWSERS, Browsers, message
from .guard import knows
from .recorder import Recorded, Recorder
from .stream import EventStream

MAX_BODY_BYTES = 4096
CONTENT_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

_log = logging.getLogger("nyx_plugins.service")


class Managed(Recorded, actions.Managed, Protocol):
    """What the dashboard shows and changes: a ``PluginSystem``."""

    @property
    def enforcement(self) -> Enforcement:
        """How well plugins are confined."""


class Application:
    """What the dashboard answers. Without ``token`` nothing can be changed."""

    def __init__(self, system: Managed, token: str | None, browsers: Browsers, recorder: Recorder) -> None:
        self._system = system
        self._token = token
        self._browsers = browsers
        self._recorder = recorder

    def routes(self) -> Starlette:
        """The application for a server."""
        static = [Route(path, _File(content_type, data)) for path, content_type, data in _files()]
        return Starlette(
            routes=[
                *static,
                Route("/api/stream", _Stream(self)),
                Route("/api/token", self._check_token, methods=["POST"]),
                Route("/api/plugins/{plugin_id}/{action}", self._act, methods=["POST"]),
            ]
        )

    def stream(self) -> Response | EventStream:
        """A stream for one more browser, or why there is none."""
        browser = self._browsers.join()
        if browser is None:
            return _refused(503, f"{MAX_BROWSERS} browsers are looking already: close one.")
        self._recorder.look()
        enforcement = self._system.enforcement
        hello = {
            "version": __version__,
            "read_only": self._token is None,
            "permissions": sorted(known_permissions(self._system.settings.frame_types)),
            "enforcement": {"level": enforcement.level, "missing": list(enforcement.reasons())},
            **self._recorder.so_far(),
        }
        return EventStream(browser, message("hello", hello), self._browsers.leave)

    async def _check_token(self, request: Request) -> Response:
        return self._unauthorized(request) or Response(status_code=204)

    async def _act(self, request: Request) -> Response:
        if (refused := self._unauthorized(request)) is not None:
            return refused
        plugin_id, action = request.path_params["plugin_id"], request.path_params["action"]
        try:
            permission = (await _body(request)).get("permission")
            await run_in_threadpool(action_of(self._system, plugin_id, action, permission))
        except BadAction as error:
            return _refused(400, str(error))
        except NyxPluginError as error:
            return _refused(status_of(error), f"{error}.")
        _log.info("by the dashboard: %s plugin %s%s", action, plugin_id, f" {permission}" if permission else "")
        self._recorder.look()
        return Response(status_code=204)

    def _unauthorized(self, request: Request) -> Response | None:
        if self._token is None:
            return _refused(403, "This dashboard is read-only: the service was started without a token for it.")
        if not knows(self._token, request.headers.get("authorization")):
            return _refused(401, "This is not the token.", {"WWW-Authenticate": "Bearer"})
        return None


class _Stream:
    """The route to the stream; Starlette takes a class's instance for an ASGI application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await _refused(405, "The stream is to be read.", {"Allow": "GET"})(scope, receive, send)
        else:
            await self._application.stream()(scope, receive, send)


class _File:
    """One of the files that the page is made of."""

    def __init__(self, content_type: str, data: bytes) -> None:
        self._response = Response(data, media_type=content_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = scope["method"] in {"GET", "HEAD"}
        response = self._response if allowed else _refused(405, "This is to be read.", {"Allow": "GET, HEAD"})
        await response(scope, receive, send)


def _files() -> list[tuple[str, str, bytes]]:
    """Path, content type and content of each file beside this module."""
    found = []
    for file in sorted((resources.files(__package__) / "static").iterdir(), key=lambda file: file.name):
        content_type = CONTENT_TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            path = "/" if file.name == "index.html" else f"/{file.name}"
            found.append((path, content_type, file.read_bytes()))
    return found


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty one. Raises :class:`BadAction`."""
    data = b""
    try:
        async for part in request.stream():
            data += part
            if len(data) > MAX_BODY_BYTES:
                raise BadAction(f"A request has at most {MAX_BODY_BYTES:,} bytes.")
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError, ClientDisconnect) as error:
        raise error if isinstance(error, BadAction) else BadAction("A request is a JSON object.") from None
    if not isinstance(value, dict):
        raise BadAction("A request is a JSON object.")
    return value


def _refused(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers)
