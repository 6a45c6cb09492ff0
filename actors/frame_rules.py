"""What holds for the frames of one system, whoever sends them and wherever they are checked."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..config.settings import Settings
from ..plugins.header import MAX_HEADER_BYTES
from ..plugins.permissions import PERMISSION_OF_FRAME_TYPE, permission_table


@attrs.frozen
class FrameRules:
    """The largest header in bytes, and the permission that each frame type needs."""

    max_header_bytes: int = MAX_HEADER_BYTES
    permissions: Mapping[int, str] = PERMISSION_OF_FRAME_TYPE

    def permission(self, frame_type: object) -> str | None:
        """What a frame of this type needs; ``None`` for what is no type of frames, be it equal to one, as 82.0 is."""
        return self.permissions.get(frame_type) if isinstance(frame_type, int) else None


def frame_rules(settings: Settings) -> FrameRules:
    """What the settings say of frames."""
    return FrameRules(settings.limits.max_header_bytes, permission_table(settings.frame_types))
