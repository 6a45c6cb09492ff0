"""A plugin's state on its way from one version to the next: a version and CBOR, which only workers look into."""

from __future__ import annotations

from _collections_abc import Mapping, Sequence

from cbor2 import CBORTag, dumps, loads

from .protocol import MAX_STATE_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    from ..sdk import Plugin

    State: TypeAlias = tuple[int, bytes]

MAX_DEPTH = 100
"""How many lists, maps and other containers may be within each other."""
# A set is a tag and an array within it, a decimal number too.
_MAX_READ_DEPTH = 2 * MAX_DEPTH + 2
_PLAIN = frozenset({int, str, bytes, float, bool, type(None)})
_USUAL = frozenset({list, tuple, dict, set})
_CONTAINERS = (*_USUAL, frozenset, CBORTag, Mapping, Sequence)
_NO_CONTAINERS = (str, bytes, bytearray, memoryview, range)


def taken(plugin: Plugin, max_bytes: int) -> State | None:
    """Return what ``snapshot`` returns, with its version; raises what it raises.

    :class:`TypeError` and :class:`ValueError` for a state that CBOR can't hold, of more than ``max_bytes``, or nested
    more than ``MAX_DEPTH`` deep.
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
        state = loads(data, max_depth=_MAX_READ_DEPTH)
    except Exception as error:
        raise ValueError(f"the state of the other version can't be read: {error}") from None
    plugin.restore(state, version)


def _encoded(state: object) -> bytes:
    _check_depth(state)
    try:
        data: bytes = dumps(state)
    except Exception as error:
        raise TypeError(f"snapshot returned what CBOR can't hold: {error}") from None
    return data


def _check_depth(state: object) -> None:
    """Go from level to level, each container once: what is too deep for cbor2's stack would end the process."""
    level = _containers([state])
    for _ in range(MAX_DEPTH):
        level = _containers(inner for outer in level for inner in _inside(outer))
    if level:
        raise ValueError(f"snapshot returned a state nested more than {MAX_DEPTH} deep, or that holds itself")


def _containers(values: Iterable[object]) -> Iterable[Any]:
    others = {id(value): value for value in values if type(value) not in _PLAIN}
    return [value for value in others.values() if type(value) in _USUAL or _is_container(value)]


def _is_container(value: object) -> bool:
    return isinstance(value, _CONTAINERS) and not isinstance(value, _NO_CONTAINERS)


def _inside(container: Any) -> Iterable[Any]:
    # What the encoder finds in them, whatever a subclass makes of its methods.
    kinds: tuple[Any, ...] = (list, tuple, set, frozenset)
    for kind in kinds:
        if isinstance(container, kind):
            inside: Iterable[Any] = kind.__iter__(container)
            return inside
    if isinstance(container, dict):
        return (*dict.keys(container), *dict.values(container))
    if isinstance(container, Mapping):
        return (*container.keys(), *container.values())
    return (container.value,) if isinstance(container, CBORTag) else container
