"""Counts visits. The counts are in the plugin ``kv``; each visit is told to the plugin ``journal``, if there is one."""

from __future__ import annotations

from typing import Any

import cbor2

from nyx_plugins.plugins import DependencyMissing, Frame, Plugin


class Visits(Plugin):
    """Replies to a name with how often it has come. What is counted outlives this worker."""

    def on_data(self, frame: Frame) -> bytes:
        """Count one visit."""
        name = frame.data.decode()
        count = 1 + (self._ask({"op": "get", "key": name}) or 0)
        # Frames of one plugin for another keep their order: the next question finds this there.
        self.ctx.send("kv", cbor2.dumps({"op": "put", "key": name, "value": count}))
        self._tell(f"{name} was here, {count} in all")
        return b"%d" % count

    def _ask(self, question: dict[str, Any]) -> Any:
        return cbor2.loads(self.ctx.request("kv", cbor2.dumps(question)) or b"\xf6")

    def _tell(self, line: str) -> None:
        try:
            self.ctx.send("journal", line.encode())
        except DependencyMissing:
            self.ctx.logger.debug("no journal: %s", line)
