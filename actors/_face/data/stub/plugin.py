"""Stands for a plugin that another one depends on, in tests: replies as it is told, and emits what it was sent."""

from __future__ import annotations

from nyx_plugins.plugins import Context, Frame, Plugin


class Stub(Plugin):
    """Its configuration has ``replies``: for each data its ``reply`` (bytes or nothing) or its ``error``.

    That is the name of an exception's type, and its text.
    """

    def on_load(self, ctx: Context) -> None:
        """Learn the replies."""
        self._replies = {entry["data"]: entry for entry in ctx.config["replies"]}

    def on_data(self, frame: Frame) -> bytes | None:
        """Tell what came, and reply; to what is not known, nothing."""
        self.ctx.emit(frame.data, frame.type, frame.flags)
        entry = self._replies.get(frame.data, {})
        if "error" in entry:
            name, text = entry["error"]
            # Whoever sent the frame is told of both, and of nothing else.
            raise type(name, (Exception,), {})(text)
        reply: bytes | None = entry.get("reply")
        return reply

    on_handshake = on_control = on_error = on_frame = on_data
