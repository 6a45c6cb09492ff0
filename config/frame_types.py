"""Frame types of one's own: the reserved numbers that a system gives a name, and the permission that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
from attrs import field

from . import checks
from .checks import Check, shown, shown_key
from .errors import Fault

RESERVED = (0x50, *range(0x55, 0x60))
"""Numbers that the protocol leaves to its users."""
BUILT_IN_NAMES = ("handshake", "data", "control", "error")

permission_name = checks.text("[a-z][a-z0-9_]{0,63}", "a permission ([a-z][a-z0-9_]*, at most 64)")
frame_type_name = checks.text("[a-z][a-z0-9_-]{0,63}", "the name of a frame type ([a-z][a-z0-9_-]*, at most 64)")


def _number_reason(value: object) -> str | None:
    if type(value) is int and value in RESERVED:
        return None
    found = f"0x{value:02x}" if type(value) is int and 0 <= value <= 0xFF else shown(value)
    return f"must be 0x50 or one of 0x55 to 0x5f, not {found}"


@attrs.frozen
class FrameTypeSettings:
    """One frame type: its number, and the permission that a plugin needs for frames of it."""

    type: int = field(validator=checks.check(_number_reason))
    permission: str = field(validator=permission_name)


def _faults(table: object) -> Iterator[Fault]:
    if not isinstance(table, Mapping):
        yield Fault("", f"must be a table, not {shown(table)}")
        return
    seen: dict[int, object] = {}
    for name, item in table.items():
        yield from frame_type_name.faults(name, shown_key(name))
        if name in BUILT_IN_NAMES:
            yield Fault(shown_key(name), "must have a name of its own, not that of a type of the protocol")
        if not isinstance(item, FrameTypeSettings):
            yield Fault(shown_key(name), f"must be a FrameTypeSettings, not {shown(item)}")
        elif (first := seen.setdefault(item.type, name)) != name:
            reason = f"must be its own, not 0x{item.type:02x} of {shown_key(first)}"
            yield Fault(f"{shown_key(name)}.type", reason)


frame_types = Check(_faults)
