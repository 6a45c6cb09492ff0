"""State on its way from one version of a plugin to the next."""

from __future__ import annotations

import datetime
import decimal
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


def nested(depth: int) -> list[Any]:
    """Make lists within lists."""
    outer: list[Any] = []
    for _ in range(depth - 1):
        outer = [outer]
    return outer


def test_state_travels_whole() -> None:
    """What snapshot() returns is what restore() is given, with its version; on_ready() comes after it."""
    old, new = Runner(_Keeper(VALUES, 3), 10), _Keeper()
    taken = old.snapshot(10_000)
    assert taken is not None
    assert Runner(new, 10).take_over(*taken) is None
    assert new.calls == [("restore", VALUES, 3), ("on_ready",)]


def test_without_state_nothing_is_restored() -> None:
    """None is no state: restore() is not called, on_ready() is."""
    assert Runner(_Keeper(), 10).snapshot(0) is None
    new = _Keeper()
    assert Runner(new, 10).take_over(0, None) is None
    assert new.calls == [("on_ready",)]


def test_a_state_has_a_size() -> None:
    """A state of the limit's size is taken, one byte more is refused with both sizes."""
    size = len(cbor2.dumps(b"x" * 1_000))
    assert Runner(_Keeper(b"x" * 1_000), 10).snapshot(size) is not None
    with pytest.raises(ValueError, match=f"snapshot of {size:,} bytes: the limit is {size - 1:,}"):
        Runner(_Keeper(b"x" * 1_000), 10).snapshot(size - 1)


@pytest.mark.parametrize("version", [-1, 2**32, True, 1.0, "1", None])
def test_a_version_is_a_number(version: object) -> None:
    """A snapshot_version that is no number of 32 bits is refused by its name."""
    with pytest.raises(ValueError, match="snapshot_version must be an int"):
        Runner(_Keeper({}, version), 10).snapshot(10)


def endless() -> list[Any]:
    """Make a list that holds itself."""
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize("state", [object(), {"f": len}, endless()])
def test_a_state_is_plain(state: object) -> None:
    """What CBOR can't hold is refused, and nothing else happens."""
    with pytest.raises(TypeError, match="snapshot returned what CBOR can't hold"):
        Runner(_Keeper(state), 10).snapshot(10_000)


def test_a_state_is_nested_so_deep() -> None:
    """A state nested as deep as the limit is restored, one that is clearly deeper is not."""
    for depth, calls in ((MAX_DEPTH, 2), (MAX_DEPTH + 2, 0)):
        new = _Keeper()
        taken = Runner(_Keeper(nested(depth)), 10).snapshot(10_000)
        assert taken is not None
        failed = Runner(new, 10).take_over(*taken)
        assert len(new.calls) == calls
        assert failed is None if calls else failed is not None and failed[:2] == ["restore", "ValueError"]


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
