"""State on its way from one version of a plugin to the next."""

from __future__ import annotations

import collections
import datetime
import decimal
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from nyx_plugins.plugins.sdk import Plugin
from nyx_plugins.plugins.worker.runner import Runner
from nyx_plugins.plugins.worker.state import MAX_DEPTH

VALUES = {
    "count": 2**70,
    "names": ["a", "é", b"\xff"],
    "nothing": None,
    "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    "price": decimal.Decimal("1.10"),
    "set": {1, 2},
    7: 1.5,
}


class _Keeper(Plugin):
    """Hands over ``state``, and notes what is called."""

    def __init__(self, state: object = None, version: object = 1) -> None:
        self.state = state
        self.snapshot_version = version  # type: ignore[assignment, misc]  # as a mistaken author would
        self.calls: list[tuple[Any, ...]] = []

    def snapshot(self) -> object:
        return self.state

    def restore(self, state: Any, version: int) -> None:
        self.calls.append(("restore", state, version))

    def on_ready(self) -> None:
        self.calls.append(("on_ready",))


def taken(keeper: _Keeper, max_bytes: int = 10_000) -> tuple[int, bytes] | None:
    """Take the state, which is no failure."""
    state = Runner(keeper, 10).snapshot(max_bytes)
    assert not isinstance(state, list)
    return state


def refused(keeper: _Keeper, max_bytes: int = 10_000) -> list[str]:
    """Return why the state can't be taken."""
    failure = Runner(keeper, 10).snapshot(max_bytes)
    assert isinstance(failure, list)
    return failure


def nested(depth: int) -> list[Any]:
    """Make lists within lists."""
    outer: list[Any] = []
    for _ in range(depth - 1):
        outer = [outer]
    return outer


def test_state_travels_whole() -> None:
    """What snapshot() returns is what restore() is given, with its version; on_ready() comes after it."""
    found, new = taken(_Keeper(VALUES, 3)), _Keeper()
    assert found is not None
    assert Runner(new, 10).take_over(*found) is None
    assert new.calls == [("restore", VALUES, 3), ("on_ready",)]


def test_without_state_nothing_is_restored() -> None:
    """None is no state: restore() is not called, on_ready() is."""
    assert taken(_Keeper(), 0) is None
    new = _Keeper()
    assert Runner(new, 10).take_over(0, None) is None
    assert new.calls == [("on_ready",)]


def test_a_state_has_a_size() -> None:
    """A state of the limit's size is taken, one byte more is refused with both sizes."""
    size = len(cbor2.dumps(b"x" * 1_000))
    assert taken(_Keeper(b"x" * 1_000), size) is not None
    assert refused(_Keeper(b"x" * 1_000), size - 1) == [
        "ValueError",
        f"snapshot of {size:,} bytes: the limit is {size - 1:,} (limits.snapshot_bytes)",
    ]


@pytest.mark.parametrize("version", [-1, 2**32, True, 1.0, "1", None])
def test_a_version_is_a_number(version: object) -> None:
    """A snapshot_version that is no number of 32 bits is refused by its name."""
    error_type, text = refused(_Keeper({}, version), 10)
    assert error_type == "ValueError"
    assert text.startswith("snapshot_version must be an int")


def endless() -> list[Any]:
    """Make a list that holds itself."""
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize("state", [object(), {"f": len}])
def test_a_state_is_plain(state: object) -> None:
    """What CBOR can't hold is refused, and nothing else happens."""
    error_type, text = refused(_Keeper(state))
    assert error_type == "TypeError"
    assert text.startswith("snapshot returned what CBOR can't hold")


TOO_DEEP = ["ValueError", f"snapshot returned a state nested more than {MAX_DEPTH} deep, or that holds itself"]
LAYERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda inner: [inner],
    "tuple": lambda inner: (inner,),
    "value": lambda inner: {"k": inner},
    "set": lambda inner: frozenset({inner}),
    "tag": lambda inner: cbor2.CBORTag(6000, inner),
    "sequence": lambda inner: collections.UserList([inner]),
    "mapping": lambda inner: collections.UserDict({"k": inner}),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_a_state_is_nested_so_deep(layer: Callable[[Any], Any]) -> None:
    """A state nested as deep as the limit is restored whatever is in it, one that is deeper is never handed over."""
    state: Any = decimal.Decimal("1.10")
    for _ in range(MAX_DEPTH):
        state = layer(state)
    found = taken(_Keeper(state))
    assert found is not None
    new = _Keeper()
    assert Runner(new, 10).take_over(*found) is None
    assert len(new.calls) == 2
    assert refused(_Keeper(layer(state))) == TOO_DEEP


class _Shallow(dict[str, Any]):
    def keys(self) -> Any:
        """Say that there is nothing."""
        return ()

    values = keys


def shallow(depth: int) -> dict[str, Any]:
    """Nest dicts that deny what they hold, and that an encoder looks into all the same."""
    state = _Shallow()
    for _ in range(depth):
        state = _Shallow(k=state)
    return state


@pytest.mark.parametrize("state", [endless(), nested(100_000), shallow(100_000)], ids=["endless", "deep", "denied"])
def test_no_state_is_too_deep_for_the_stack(state: Any) -> None:
    """A state that holds itself, or that is nested as no encoder could follow, is refused, and the process lives."""
    assert refused(_Keeper(state)) == TOO_DEEP


def test_what_is_in_many_places_is_looked_at_once() -> None:
    """A list that holds another twice, and so on, is refused by its depth before its copies fill the memory."""
    shared: list[Any] = []
    for _ in range(MAX_DEPTH):
        shared = [shared, shared]
    assert refused(_Keeper(shared)) == TOO_DEEP


def test_what_is_nested_too_deep_is_not_read() -> None:
    """State that another runtime has let through, and that is clearly too deep, is refused by restore()."""
    new = _Keeper()
    failed = Runner(new, 10).take_over(1, cbor2.dumps(nested(300)))
    assert failed is not None
    assert failed[:2] == ["restore", "ValueError"]
    assert not new.calls


def test_state_needs_a_restore() -> None:
    """A version without restore() refuses state, rather than lose it in silence."""
    assert Runner(Plugin(), 10).take_over(4, cbor2.dumps({})) == [
        "restore",
        "NotImplementedError",
        "there is state of version 4, and this plugin has no restore()",
    ]


@pytest.mark.parametrize(("step", "calls"), [("restore", 0), ("on_ready", 1)])
def test_a_step_that_raises_is_named(step: str, calls: int) -> None:
    """What restore() or on_ready() raises is told with the step, and ends the taking over."""
    new = _Keeper()

    def fail(*arguments: object) -> None:
        raise KeyError("gone")

    setattr(new, step, fail)
    assert Runner(new, 10).take_over(1, cbor2.dumps({})) == [step, "KeyError", "'gone'"]
    assert len(new.calls) == calls
