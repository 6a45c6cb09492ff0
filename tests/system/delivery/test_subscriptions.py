"""Subscribers hear of the life of plugins and get what they emit, as far as they keep up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nyx_plugins import Emitted, Event, EventKind, PluginHeader, PluginSystem, SandboxViolation, Subscription

DATA, CONTROL = 0x52, 0x53
P = 7
LONG_S = 30.0


def header(data: bytes = b"", plugin_id: int = P) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


def events_of(subscription: Subscription, last: EventKind) -> list[Event]:
    """Read until this event of plugin ``P``."""
    found: list[Event] = []
    while not found or found[-1].kind is not last:
        item = subscription.get(LONG_S)
        assert item is not None
        if isinstance(item, Event) and item.plugin_id == P:
            found.append(item)
    return found


def test_a_subscriber_hears_of_a_plugins_life(shared: PluginSystem) -> None:
    """Loaded, ready and unloaded arrive in order, and a denied request in between, with what it was."""
    with shared.subscribe() as subscription:
        shared.load("builtin:echo", plugin_id=P)
        with pytest.raises(SandboxViolation):
            shared.dispatch(CONTROL, header(b"SBX:OPEN /etc/passwd"))
        # What happened before may be told late.
        found = events_of(subscription, EventKind.LOADED)[-1:]
        found += events_of(subscription, EventKind.VIOLATION)
        shared.unload(P)
        found += events_of(subscription, EventKind.UNLOADED)
    assert [event.kind for event in found] == ["loaded", "ready", "violation", "unloaded"]
    assert found[2].reason == "SBX:OPEN /etc/passwd (1x)"


def test_a_subscriber_gets_what_plugins_emit(load: Callable[..., PluginSystem]) -> None:
    """Emitted frames arrive in order, whole, and only from the moment of subscribing to the moment of closing."""
    system = load()
    system.request(DATA, header(b"emit 3"), LONG_S)
    with system.subscribe() as subscription:
        system.request(DATA, header(b"emit 200"), LONG_S)
        found: list[Emitted] = []
        while len(found) < 200:
            item = subscription.get(LONG_S)
            assert item is not None
            found += [item] if isinstance(item, Emitted) else []
    assert found[-200:] == [Emitted(P, 0x53, 7, b"%d" % number) for number in range(200)]
    assert subscription.dropped == 0
    system.request(DATA, header(b"emit 3"), LONG_S)
    assert subscription.get(0) is None


def test_a_slow_subscriber_loses_the_oldest_and_is_told(load: Callable[..., PluginSystem]) -> None:
    """A full queue drops what is oldest and counts it; a subscriber beside it with room gets everything."""
    system = load()
    with system.subscribe(capacity=10) as narrow, system.subscribe(capacity=1000) as wide:
        system.request(DATA, header(b"emit 50"), LONG_S)
        taken = [wide.get(LONG_S)]
        while taken[-1] != Emitted(P, 0x53, 7, b"49"):
            taken.append(wide.get(LONG_S))
        # Subscribers are served in the order in which they came: the narrow one has had it all by now.
        assert [narrow.get(0) for _ in range(10)] == taken[-10:]
        assert (narrow.get(0), narrow.dropped, wide.dropped) == (None, len(taken) - 10, 0)
