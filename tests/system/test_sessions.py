"""Several sessions of one system: they share a mailbox's room by leases that can be recalled."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from nyx_plugins import DispatchTimeout, MailboxFull, OutcomeKind, PluginHeader, PluginSystem
from nyx_plugins.actors.backing import OwnHost
from nyx_plugins.actors.frame_rules import frame_rules
from nyx_plugins.actors.session import Session
from nyx_plugins.actors.transports import sockets

HEADER = PluginHeader(7, 0, b"x").encode()

pytestmark = pytest.mark.needs_worker(reason="an inline system has one session, its own")


def _second_session(system: PluginSystem) -> Session:
    assert isinstance(system._backing, OwnHost)
    host = system._backing.host
    session = Session(sockets.Endpoint(host.runtime_dir, host.key, host.supervisor), frame_rules(system.settings))
    session.attach(60.0)
    return session


def _fill(offer: Callable[[], object], full: type[Exception], least: int = 0) -> int:
    """Send until there is no room, and until ``least`` frames went in; return how many did."""
    count, until = 0, time.monotonic() + 30.0
    while True:
        try:
            offer()
        except full as error:
            # Where time is up before it is known to be accepted, the frame is on its way.
            if getattr(error, "receipt", None) is None:
                if count >= least or time.monotonic() > until:
                    return count
                continue
        count += 1


def test_two_sessions_share_a_mailbox_fairly_and_lose_nothing(system: PluginSystem) -> None:
    """What one session holds unused comes to the other; together they fill exactly the capacity."""
    system.load("builtin:echo", plugin_id=7, capacity=10)
    other = _second_session(system)
    try:
        until = time.monotonic() + 30.0
        receipts = [other.offer_waiting(0x52, HEADER, until, 30.0) for _ in range(50)]
        other.flush()
        assert {receipt.outcome(30.0).kind for receipt in receipts} == {OutcomeKind.PROCESSED}
        system.pause(7)
        mine = _fill(lambda: system.dispatch(0x52, HEADER, timeout=0.5), DispatchTimeout)
        # On a slow machine each may have given up too early.
        wait_s, least = 0.5, 10 - mine
        theirs = _fill(
            lambda: other.offer_waiting(0x52, HEADER, time.monotonic() + wait_s, wait_s), DispatchTimeout, least
        )
        other.flush()
        assert mine + theirs == 10
        assert min(mine, theirs) >= 1
        system.resume(7)
        system.drain(30.0)
        other.drain(30.0)
    finally:
        other.close()


def test_the_room_of_a_session_that_has_left_is_free_once_its_frames_are_finished(system: PluginSystem) -> None:
    """A session's frames are finished although nobody waits for them, and its lease goes to the others."""
    system.load("builtin:echo", plugin_id=7, capacity=10)
    system.pause(7)
    other = _second_session(system)
    _fill(lambda: other.offer_waiting(0x52, HEADER, time.monotonic() + 0.5, 0.5), DispatchTimeout)
    other.flush()
    other.close()
    system.resume(7)
    for _ in range(10):
        system.dispatch(0x52, HEADER)
    system.drain(30.0)
    system.pause(7)
    assert _fill(lambda: system.dispatch(0x52, HEADER, timeout=0.5), DispatchTimeout, least=10) == 10
    with pytest.raises(MailboxFull):
        system.dispatch_nowait(0x52, HEADER)
    system.resume(7)
