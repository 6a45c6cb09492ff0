"""A plugin's state on its way from one version to the next: a version and CBOR, which only workers look into."""

from __future__ import annotations

from cbor2 import dumps, loads

from .protocol import MAX_STATE_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from ..sdk import Plugin

    State: TypeAlias = tuple[int, bytes]

MAX_DEPTH = 100


def taken(plugin: Plugin, max_bytes: int) -> State | None:
    """Return what ``snapshot`` returns, with its version; raises what it raises.

    :class:`TypeError` and :class:`ValueError` for a state that CBOR can't hold, or of more than ``max_bytes``.
    """
    state = plugin.snapshot()
    if state is None:
        return None
    version = plugin.snapshot_version
    if type(version) is not int or not 0 <= version <= MAX_STATE_VERSION:
        raise ValueError(f"snapshot_version must be an int from 0 to {MAX_STATE_VERSION:,}, not {version!r}")
    data = _encoded(state)
    if len(data) > max_bytes:
        raise ValueError(f"snapshot of {len(data):,} bytes: the limit is {max_bytes:,} (limits.snapshot_bytes)")
    return version, data


def restore(plugin: Plugin, version: int, data: bytes) -> None:
    """Give ``restore`` the state; raises what it raises, and :class:`ValueError` for CBOR nested too deep."""
    try:
        state = loads(data, max_depth=MAX_DEPTH)
    except Exception as error:
        raise ValueError(f"the state of the other version can't be read: {error}") from None
    plugin.restore(state, version)


def _encoded(state: object) -> bytes:
    try:
        data: bytes = dumps(state)
    except Exception as error:
        raise TypeError(f"snapshot returned what CBOR can't hold: {error}") from None
    return data
