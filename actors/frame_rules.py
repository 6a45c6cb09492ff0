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


def frame_rules(settings: Settings) -> FrameRules:
    """What the settings say of frames."""
    return FrameRules(settings.limits.max_header_bytes, permission_table(settings.frame_types))
