"""Who gets room, who waits for it, who is refused, and where credit goes."""

from __future__ import annotations

import threading
from collections import deque

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins import (
    MailboxFull,
    PermissionDenied,
    PluginHeader,
    PluginNotRegistered,
)
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.actors.series import each
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.actors.waiting import Waiter

from .conftest import CONTROL, DATA, HEADER, ROUTE, fill, line, routes, sent


def test_credit_that_comes_lets_in_as_many_as_it_is(traffic: Traffic) -> None:
    """First come, first served; their frames leave together, and credit was asked for once."""
    fill(traffic)
    sent(traffic)
    waiters = line(traffic, 4)
    [want] = sent(traffic)
    assert want == m.WantCredit(1, 7, 2)
    traffic.note(m.CreditGranted(7, 2))
    assert [waiter.done for waiter in waiters] == [True, True, False, False]
    assert [waiter.result().seq for waiter in waiters[:2]] == [3, 4]
    [submit] = sent(traffic)
    assert [frame[0] for frame in submit.batches[0].frames] == [3, 4]


def test_outcomes_and_refusals_let_in(traffic: Traffic) -> None:
    """Each frame that has come to its end makes room for one."""
    fill(traffic)
    waiters = line(traffic, 3)
    traffic.note(m.Settled(7, ((1, None),)))
    assert [waiter.done for waiter in waiters] == [True, False, False]
    traffic.note(m.Rejected(7, ((2, PermissionDenied(7, "data_access", DATA)),)))
    assert [waiter.done for waiter in waiters] == [True, True, False]


def test_who_comes_later_waits_behind_and_who_does_not_wait_is_refused() -> None:
    """A frame that would fit does not overtake one that does not."""
    large = PluginHeader(7, 0, bytes(60_000)).encode()
    small_room = Traffic(2, FrameRules(), threading.Condition())
    small_room.note(routes(attrs.evolve(ROUTE, capacity_bytes=65_536)))
    small_room.note(m.CreditGranted(7, 4))
    assert isinstance(small_room.enter(DATA, large), Receipt)
    first, second = small_room.enter(DATA, large), small_room.enter(DATA, HEADER)
    assert isinstance(first, Waiter) and isinstance(second, Waiter)
    with pytest.raises(MailboxFull, match="bytes taken"):
        small_room.offer(DATA, large)
    small_room.leave(first)
    small_room.leave(first)
    assert second.done and not first.done


def test_credit_is_kept_for_who_waits_and_given_back_when_they_leave() -> None:
    """A credit that goes round is not passed on unused; nor is it kept for nobody."""
    traffic = Traffic(1, FrameRules(), threading.Condition())
    traffic.outbox.dispatcher = "dispatcher"
    traffic.note(routes(attrs.evolve(ROUTE, capacity_bytes=65_536)))
    traffic.note(m.CreditGranted(7, 4))
    large = PluginHeader(7, 0, bytes(60_000)).encode()
    traffic.enter(DATA, large)
    waiter = traffic.enter(DATA, large)
    assert isinstance(waiter, Waiter)
    sent(traffic)
    traffic.note(m.CreditRecalled(7, 3))
    assert sent(traffic) == [m.ReturnCredit(1, 7, 2, epoch=1)]
    traffic.leave(waiter)
    assert sent(traffic) == [m.ReturnCredit(1, 7, 1, epoch=1)]


def test_a_route_that_is_another_refuses_whom_it_concerns(traffic: Traffic) -> None:
    """A revoked permission, a plugin that goes: those who would wait in vain hear of it, and are counted."""
    fill(traffic)
    [data] = line(traffic, 1)
    [control] = line(traffic, 1, CONTROL)
    traffic.note(routes(attrs.evolve(ROUTE, permissions=frozenset({"control"}))))
    with pytest.raises(PermissionDenied):
        data.result()
    assert not control.done
    traffic.note(routes(gone={7: True}))
    with pytest.raises(PluginNotRegistered):
        control.result()
    refusals = [refusal for message in sent(traffic) for refusal in getattr(message, "refusals", ())]
    assert {"PermissionDenied", "PluginNotRegistered"} <= {refusal.cause for refusal in refusals}


def test_a_plugin_that_is_loaded_anew_lets_in_who_waited(traffic: Traffic) -> None:
    """When the old one has gone and the new one is there in one message, nobody has waited in vain."""
    fill(traffic)
    [waiter] = line(traffic, 1)
    traffic.note(routes(attrs.evolve(ROUTE, epoch=2), gone={7: False}))
    traffic.note(m.CreditGranted(7, 4))
    assert waiter.result().seq == 3


def test_who_has_waited_in_vain_is_counted(traffic: Traffic) -> None:
    """The error names plugin, room and time, and the dispatcher hears of it."""
    fill(traffic)
    [waiter] = line(traffic, 1)
    sent(traffic)
    late = traffic.too_late(waiter, 0.5)
    used_up = "room of this sender in the mailbox of plugin 7 is used up: 2 of 2 frames taken, of 4 for all"
    asked = "more is asked for: wait for it"
    assert str(late) == f"plugin 7: room in its mailbox ({used_up}; {asked}) not within 0.5 s"
    [report] = sent(traffic)
    assert [(refusal.cause, refusal.count) for refusal in report.refusals] == [("DispatchTimeout", 1)]


def test_a_mailbox_is_called_full_by_who_has_filled_it() -> None:
    """Who has been lent no room yet says so, and not that others have taken it; with all of it lent, it is full."""
    traffic = Traffic(1, FrameRules(), threading.Condition())
    traffic.outbox.dispatcher = "dispatcher"
    traffic.note(routes(ROUTE))
    with pytest.raises(
        MailboxFull, match="no room in the mailbox of plugin 7 has been lent to this sender yet"
    ) as none:
        traffic.offer(DATA, HEADER)
    assert (none.value.depth, none.value.capacity, none.value.lent) == (0, 4, 0)
    traffic.note(m.CreditGranted(7, 4))
    for _ in range(4):
        traffic.offer(DATA, HEADER)
    with pytest.raises(MailboxFull, match=r"^mailbox of plugin 7 is full: 4 of 4 frames taken$") as full:
        traffic.offer(DATA, HEADER)
    assert full.value.lent is None


@given(st.lists(st.sampled_from(["enter", "leave", "settle", "grant"]), max_size=60), st.data())
def test_room_is_neither_lost_nor_overtaken(steps: list[str], data: st.DataObject) -> None:
    """Whatever comes and goes, frames leave in the order of their coming, and nobody waits while there is room."""
    traffic = Traffic(1, FrameRules(), threading.Condition())
    traffic.note(routes(ROUTE))
    granted, entries, left, unsettled = 0, [], set(), deque[int]()
    for step in steps:
        waiting = [entry for entry in entries if isinstance(entry, Waiter) and not entry.done and entry not in left]
        if step == "enter":
            entries.append(traffic.enter(DATA, HEADER))
        elif step == "leave" and waiting:
            leaver = data.draw(st.sampled_from(waiting))
            traffic.leave(leaver)
            left.add(leaver)
        elif step == "settle" and unsettled:
            traffic.note(m.Settled(7, ((unsettled.popleft(), None),)))
        elif step == "grant" and granted < ROUTE.capacity:
            granted += 1
            traffic.note(m.CreditGranted(7, 1))
        inside = [entry.result() if isinstance(entry, Waiter) else entry for entry in entries if _is_in(entry)]
        assert [receipt.seq for receipt in inside] == list(range(1, len(inside) + 1))
        unsettled = deque(receipt.seq for receipt in inside if not receipt.done)
        still = [entry for entry in entries if not _is_in(entry) and entry not in left]
        assert not still or len(unsettled) == granted
        assert traffic.outstanding() == ({7: len(unsettled)} if unsettled else {})


def _is_in(entry: Receipt | Waiter) -> bool:
    return isinstance(entry, Receipt) or entry.done


def test_a_message_tells_whether_somebody_waits_for_acceptance(traffic: Traffic) -> None:
    """One frame is enough; who waits for the outcome alone, or for nothing, is told of acceptance with the outcome."""
    for enter, is_awaited in (
        (lambda: [traffic.offer(DATA, HEADER)], False),
        (lambda: [traffic.enter(DATA, HEADER, is_awaited=False)], False),
        (lambda: list(each(traffic.enter_many([(DATA, HEADER, None)]))), True),
        (lambda: [traffic.enter(DATA, HEADER), traffic.offer(DATA, HEADER)], True),
    ):
        receipts = enter()
        [submit] = sent(traffic)
        assert [batch.is_awaited for batch in submit.batches] == [is_awaited]
        traffic.note(m.Settled(7, tuple((receipt.seq, None) for receipt in receipts)))
        sent(traffic)


def test_an_acceptance_may_come_with_outcomes_of_others(traffic: Traffic) -> None:
    """Then it is heard as well."""
    first, second = fill(traffic)
    sent(traffic)
    traffic.note(m.Settled(7, ((1, None),), None, ((1, 2),)))
    assert (first.done, second.accepted, second.done) == (True, True, False)


def test_frames_that_somebody_waits_for_are_not_gathered(traffic: Traffic) -> None:
    """They go as soon as they can; those of a flow may wait for others."""
    traffic.offer(DATA, HEADER)
    assert traffic.outbox.loose_frames == 1
    traffic.enter(DATA, HEADER, is_awaited=False)
    assert traffic.outbox.loose_frames == 0
    sent(traffic)
    assert not traffic.outbox.is_awaited
