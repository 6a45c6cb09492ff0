"""Never returns from ``on_load``; logs ``hanging`` first."""

from __future__ import annotations

import threading

from nyx_plugins.plugins import Context, Plugin


class Fault(Plugin):
    """Never becomes ready."""

    def on_load(self, ctx: Context) -> None:
        """Hang."""
        ctx.logger.info("hanging")
        threading.Event().wait()
