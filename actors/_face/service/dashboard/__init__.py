"""The web dashboard: one page that shows a running system, and with a token changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...config.errors import StartupError

if TYPE_CHECKING:
    from .app import Managed
    from .server import DashboardServer


def serve_dashboard(address: str, system: Managed, token: str | None = None) -> DashboardServer:
    """Serve the dashboard of ``system`` at ``http://ADDRESS`` until closed.

    Whoever can reach the address may read. Without ``token`` nobody can change anything; with it, whoever knows it.
    Raises :class:`StartupError`, also when the packages of the extra ``dashboard`` are missing.
    """
    try:
        from .server import DashboardServer
    except ModuleNotFoundError as missing:
        raise StartupError(
            f"the dashboard can't be served: it needs the package {missing.name}; "
            "pip install 'nyx-plugins[dashboard]' brings all that it needs"
        ) from None
    return DashboardServer.at(address, system, token)
