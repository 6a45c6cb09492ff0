"""Greets whoever a data frame names."""

from __future__ import annotations

from nyx_plugins.plugins import Context, Frame, Plugin


class Greeter(Plugin):
    """Replies to a name with a greeting; ``greeting`` in its configuration replaces the word."""

    def on_load(self, ctx: Context) -> None:
        """Get ready, before the first frame; raising here refuses the load."""
        self._greeting = str(ctx.config.get("greeting", "Hello"))
        ctx.logger.info("greeting with %r", self._greeting)

    def on_data(self, frame: Frame) -> bytes:
        """Reply to one frame; raising fails this frame only, and its sender is told why."""
        name = frame.data.decode()
        return f"{self._greeting}, {name}!".encode()
