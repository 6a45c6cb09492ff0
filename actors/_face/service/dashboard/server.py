"""``DashboardServer``: the dashboard in an event loop and a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading

import uvicorn

from ..listening import listen, place_of
from ..places import Places
from ..token import check_token
from .app import Application, Managed
from .browsers import Browsers
from .guard import Guard
from .protocol import Protocol
from .recorder import Recorder

CONNECTIONS = 64
STOP_S = 2


class DashboardServer:
    """Serves until closed; whatever happens to the system or a browser, it goes on."""

    @classmethod
    def at(cls, address: str, system: Managed, token: str | None) -> DashboardServer:
        """Listen at ``host:port`` and serve there. Raises :class:`StartupError`."""
        if token is not None:
            check_token(token)
        listener = listen(address, "the dashboard")
        try:
            return cls(listener, address, system, token)
        except BaseException:
            listener.close()
            raise

    def __init__(self, listener: socket.socket, address: str, system: Managed, token: str | None) -> None:
        self.place = place_of(listener, address)
        """Where it listens."""
        self._listener = listener
        self._browsers = Browsers()
        self._recorder = Recorder(system, self._browsers.publish, lambda: len(self._browsers) > 0)
        application = Application(system, token, self._browsers, self._recorder)
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(application.routes(), self.place),
                loop="asyncio",
                # Made like a class; uvicorn calls it and no more.
                http=functools.partial(Protocol, Places(CONNECTIONS)),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_S,
            )
        )
        self._thread = threading.Thread(target=self._run, name="nyx-plugins-dashboard", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is reached, without a path."""
        return self.place.url

    def close(self) -> None:
        """Tell the browsers that this is the end, and stop serving. Idempotent; the system goes on."""
        self._recorder.close()
        self._browsers.publish("stopped", "the service has ended")
        self._browsers.close()
        self._server.should_exit = True
        self._thread.join(STOP_S + 5.0)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._browsers.run_in(asyncio.get_running_loop())
        await self._server.serve(sockets=[self._listener])
