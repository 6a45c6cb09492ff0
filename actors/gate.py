"""Lets frames pass that look like others that did, without checking all of it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ..plugins.header import canonical_lead
from .admission import CONTROL, Admitted, admit
from .frame_rules import FrameRules
from .messages import Route

# So many looks of frames are remembered at the most.
MOST_LOOKS = 1024
# Where the plugin's id ends in a header, at the latest.
_ID = slice(4, 9)

_Look: TypeAlias = tuple[int, int, bytes]
"""A frame's type, the length of its header, and the bytes in which the plugin's id is."""

Known: TypeAlias = tuple[bytes, Admitted]
"""The bytes of a header before its data, and what is known of frames that have them."""


class Gate:
    """Of one sender. What is in a frame's data is looked at each time, where that matters; call `changed` with routes.

    Frames of one type and length, for one plugin, with the same bytes before their data, differ in their data only.
    """

    def __init__(self, routes: Mapping[int, Route], rules: FrameRules) -> None:
        self._routes = routes
        self._rules = rules
        self._passed: dict[_Look, Known] = {}
        self.introduced: set[int] = set()
        """The plugins that have processed a handshake of this sender."""

    def changed(self) -> None:
        """The routes are others now."""
        self._passed.clear()

    def admit(self, frame_type: int, header: bytes) -> Admitted:
        """Check one frame, as :func:`admit` does."""
        known = self.known(frame_type, header)
        if known is not None:
            return known[1]
        admitted = admit(self._routes, frame_type, header, self._rules, self.introduced)
        if header.__class__ is bytes:
            self._note((frame_type, len(header), header[_ID]), header, admitted)
        return admitted

    def known(self, frame_type: int, header: object) -> Known | None:
        """Return the bytes before the data of this frame, and what is known of all that have them and its length.

        ``None`` where it has to be checked.
        """
        if type(header) is not bytes or not isinstance(frame_type, int):
            return None
        like = self._passed.get((frame_type, len(header), header[_ID]))
        return like if like is not None and header.startswith(like[0]) else None

    def _note(self, look: _Look, header: bytes, admitted: Admitted) -> None:
        if look[0] == CONTROL or admitted.route.handshake is not None:
            return
        lead = canonical_lead(header)
        if lead is not None:
            if len(self._passed) >= MOST_LOOKS:
                self._passed.clear()
            self._passed[look] = header[: lead[2]], admitted
