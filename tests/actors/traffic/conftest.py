"""The traffic of a session, with nothing started."""

from __future__ import annotations

import threading
from typing import Any

import attrs
import pytest

from nyx_plugins import (
    Handshake,
    PluginHeader,
)
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.actors.waiting import Waiter
from nyx_plugins.plugins.negotiation import HandshakeOffer
from nyx_plugins.plugins.policy import Policy

HANDSHAKE, DATA, CONTROL = 0x51, 0x52, 0x53
ROUTE = m.Route(7, "p", "1.0", "ready", frozenset({"data_access", "control"}), Policy(), 4, 1 << 20, 1)
HEADER = PluginHeader(7, 0, b"").encode()
GREETS = attrs.evolve(ROUTE, permissions=frozenset({"handshake", "data_access"}), handshake=HandshakeOffer((1, 3)))
OTHERWISE = attrs.evolve(GREETS, version="2.0", handshake=HandshakeOffer((2,)))
GREETING = PluginHeader(7, 0, Handshake(3, "me").encode()).encode()


def routes(*changed: m.Route, gone: dict[int, bool] | None = None, version: int = 1) -> m.RoutesChanged:
    """Say that routes are others now."""
    return m.RoutesChanged(version, changed, gone or {})


@pytest.fixture
def traffic() -> Traffic:
    """Return the traffic of a session that holds two of a mailbox's four credits."""
    traffic = Traffic(1, FrameRules(), threading.Condition())
    traffic.outbox.dispatcher = "dispatcher"
    traffic.note(routes(ROUTE))
    traffic.note(m.CreditGranted(7, 2))
    return traffic


def sent(traffic: Traffic) -> list[Any]:
    """Take all that is to be sent."""
    messages = []
    while (work := traffic.outbox.next()) is not None:
        messages.append(work[1])
    return messages


def fill(traffic: Traffic) -> list[Receipt]:
    """Use up the credit."""
    entries = [traffic.enter(DATA, HEADER) for _ in range(2)]
    return [entry for entry in entries if isinstance(entry, Receipt)]


def line(traffic: Traffic, count: int, frame_type: int = DATA) -> list[Waiter]:
    """Let some wait."""
    entries = [traffic.enter(frame_type, HEADER) for _ in range(count)]
    assert all(isinstance(entry, Waiter) for entry in entries)
    return [entry for entry in entries if isinstance(entry, Waiter)]
