"""Who has to greet a plugin, and when again."""

from __future__ import annotations

import attrs
import pytest

from nyx_plugins import Agreement, HandshakeRequired
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.actors.waiting import Waiter
from nyx_plugins.plugins.negotiation import HandshakeOffer

from .conftest import DATA, GREETING, GREETS, HANDSHAKE, HEADER, OTHERWISE, routes


def test_who_has_greeted_greets_again_where_the_rules_are_others(traffic: Traffic) -> None:
    """Another version with the same rules knows everybody; with others it knows nobody."""
    traffic.note(m.CreditGranted(7, 2))
    traffic.note(routes(GREETS))
    with pytest.raises(HandshakeRequired):
        traffic.offer(DATA, HEADER)
    traffic.offer(HANDSHAKE, GREETING)
    traffic.note(m.Settled(7, ((1, None),)))
    traffic.offer(DATA, HEADER)
    traffic.note(routes(attrs.evolve(GREETS, version="1.1", handshake=HandshakeOffer((3, 1)))))
    traffic.offer(DATA, HEADER)
    traffic.note(routes(OTHERWISE))
    with pytest.raises(HandshakeRequired):
        traffic.offer(DATA, HEADER)


def test_a_handshake_under_way_is_none_by_other_rules(traffic: Traffic) -> None:
    """What it came to was worked out from rules that do not hold any more."""
    traffic.note(routes(GREETS))
    traffic.offer(HANDSHAKE, GREETING)
    traffic.note(routes(OTHERWISE))
    traffic.note(m.Settled(7, ((1, None),)))
    with pytest.raises(HandshakeRequired):
        traffic.offer(DATA, HEADER)
    traffic.offer(HANDSHAKE, GREETING)
    traffic.note(m.Settled(7, ((2, None),)))
    traffic.offer(DATA, HEADER)


def test_a_handshake_that_waits_for_room_keeps_to_the_rules_that_hold_when_it_is_let_in(traffic: Traffic) -> None:
    """It comes to what the present version understands."""
    traffic.note(routes(GREETS))
    for _ in range(2):
        traffic.offer(HANDSHAKE, GREETING)
    waiter = traffic.enter(HANDSHAKE, GREETING)
    assert isinstance(waiter, Waiter)
    traffic.note(routes(OTHERWISE))
    traffic.note(m.CreditGranted(7, 1))
    assert waiter.result().agreement == Agreement(2, "me")
    traffic.note(m.Settled(7, ((3, None),)))
    traffic.offer(DATA, HEADER)
