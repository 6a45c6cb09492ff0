"""The frames of a session, with nothing started: who gets room, who is refused, and where credit goes."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins import (
    Agreement,
    FateUnknown,
    Handshake,
    HandshakeRequired,
    MailboxFull,
    PermissionDenied,
    PluginHeader,
    PluginNotRegistered,
    SystemStopped,
)
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.receipt import OutcomeKind, Receipt
from nyx_plugins.actors.results import Failed
from nyx_plugins.actors.series import each
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.actors.waiting import Waiter
from nyx_plugins.actors.word_book import NOTHING, Words
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


def test_a_plugin_that_is_loaded_anew_lets_in_who_waited(traffic: Traffic) -> None:
    """When the old one has gone and the new one is there in one message, nobody has waited in vain."""
    fill(traffic)
    [waiter] = line(traffic, 1)
    traffic.note(routes(attrs.evolve(ROUTE, epoch=2), gone={7: False}))
    traffic.note(m.CreditGranted(7, 4))
    assert waiter.result().seq == 3


def doubtful() -> tuple[Traffic, list[Receipt]]:
    """Return a session that hears late of the end of a plugin, and its frames: two were sent, one accepted."""
    traffic = Traffic(1, FrameRules(), threading.Condition(), "supervisor")
    traffic.outbox.dispatcher = "dispatcher"
    traffic.note(routes(ROUTE))
    traffic.note(m.CreditGranted(7, 3))
    receipts = fill(traffic)
    sent(traffic)
    traffic.note(m.Accepted(7, ((1, 1),)))
    receipts.append(traffic.offer(DATA, HEADER))
    traffic.note(routes(gone={7: True}))
    return traffic, receipts


def test_whoever_hears_late_of_the_end_asks_what_became_of_what_was_sent() -> None:
    """What was never sent is refused at once; of the rest the supervisor knows, whom nobody has killed."""
    traffic, (first, second, unsent) = doubtful()
    with pytest.raises(PluginNotRegistered):
        unsent.raise_refusal()
    assert not first.done and not second.done
    assert traffic.outbox.next() == ("supervisor", m.AskLastWords(1, 7, 2))
    traffic.note(m.LastWords(7, 2, Words(((1, None), (2, Failed("ValueError", "no"))))))
    assert first.result().kind is OutcomeKind.PROCESSED
    assert second.accepted and second.result().kind is OutcomeKind.FAILED
    traffic.note(m.Settled(7, ((1, b"late"),)))
    assert traffic.outstanding() == {}


def test_what_the_last_words_do_not_speak_of_was_not_accepted() -> None:
    """It is refused, and counted as a frame that was sent; what is accepted and unfinished stays."""
    traffic, (first, second, _) = doubtful()
    sent(traffic)
    traffic.note(m.LastWords(7, 2, Words((), (1,))))
    assert first.accepted and not first.done
    with pytest.raises(PluginNotRegistered):
        second.raise_refusal()
    [submit] = sent(traffic)
    assert [(refusal.cause, refusal.was_submitted) for refusal in submit.refusals] == [("PluginNotRegistered", True)]


def test_what_is_in_doubt_is_not_sent_to_another_plugin() -> None:
    """Neither to the next one of that id, nor by way of the next dispatcher; and its answers still count."""
    traffic, (first, second, _) = doubtful()
    traffic.note(routes(attrs.evolve(ROUTE, epoch=2), version=2))
    traffic.note(m.CreditGranted(7, 4))
    newer = traffic.offer(DATA, HEADER)
    traffic.rejoin("next", 2)
    batches = [batch for message in sent(traffic) for batch in getattr(message, "batches", ())]
    assert [frame[0] for batch in batches for frame in batch.frames] == [newer.seq]
    traffic.note(m.Accepted(7, ((2, 2),)))
    traffic.note(m.Settled(7, ((1, None), (2, None))))
    traffic.note(m.LastWords(7, 2, NOTHING))
    assert first.done and second.done and not newer.done


def test_of_a_plugin_that_was_not_drained_nobody_is_asked(traffic: Traffic) -> None:
    """Nobody has told the supervisor: what was accepted is dead-lettered, the rest is refused."""
    first, second = fill(traffic)
    sent(traffic)
    traffic.note(m.Accepted(7, ((1, 1),)))
    traffic.note(routes(gone={7: False}))
    assert first.result().kind is OutcomeKind.DEAD_LETTERED
    with pytest.raises(PluginNotRegistered):
        second.raise_refusal()


@pytest.mark.parametrize("drained", [True, False])
def test_what_outlives_the_system_has_no_outcome_in_it(traffic: Traffic, drained: bool) -> None:
    """Left to the next system, whoever had it, a frame is neither dead-lettered nor refused: its fate is unknown."""
    first, second = fill(traffic)
    sent(traffic)
    traffic.note(m.Accepted(7, ((1, 1),)))
    traffic.note(routes(attrs.evolve(ROUTE, state="draining", stopping=True, durable=True)))
    traffic.note(routes(gone={7: drained}))
    if drained:
        traffic.note(m.LastWords(7, 2, Words((), (1, 2))))
    assert not first.done and not second.done
    traffic.stop(SystemStopped("it was closed"))
    assert [(type(receipt.error), receipt.accepted) for receipt in (first, second)] == [
        (FateUnknown, True),
        (FateUnknown, True if drained else None),
    ]


def test_what_outlives_the_system_does_not_outlive_an_unload(traffic: Traffic) -> None:
    """As long as the system does not stop, nobody goes on with the frames of a plugin that is gone."""
    first, _ = fill(traffic)
    sent(traffic)
    traffic.note(m.Accepted(7, ((1, 1),)))
    traffic.note(routes(attrs.evolve(ROUTE, durable=True)))
    traffic.note(routes(gone={7: False}))
    assert first.result().kind is OutcomeKind.DEAD_LETTERED


def test_a_system_that_stops_says_so_to_all_whom_it_refuses(traffic: Traffic) -> None:
    """Whether the plugin drains or is gone, whether the frame is new, waits, or comes back from the dispatcher."""
    first, second = fill(traffic)
    [waiter] = line(traffic, 1)
    sent(traffic)
    traffic.note(routes(attrs.evolve(ROUTE, state="draining", stopping=True)))
    with pytest.raises(SystemStopped, match="it is stopping"):
        waiter.result()
    traffic.note(m.Rejected(7, ((1, PluginNotRegistered(7)),)))
    traffic.note(routes(gone={7: True}))
    traffic.note(m.LastWords(7, 2, NOTHING))
    for receipt in (first, second):
        with pytest.raises(SystemStopped, match="it is stopping"):
            receipt.raise_refusal()
    with pytest.raises(SystemStopped, match="it is stopping"):
        traffic.offer(DATA, HEADER)


def test_the_end_ends_everything(traffic: Traffic) -> None:
    """Frames, waits and what comes later end with the reason; late messages do no harm."""
    receipts, waiters = fill(traffic), line(traffic, 2)
    assert traffic.outstanding() == {7: 2}
    stopped = SystemStopped("it was closed")
    traffic.stop(stopped)
    assert [(receipt.error, receipt.accepted) for receipt in receipts] == [(stopped, False), (stopped, False)]
    for waiter in waiters:
        with pytest.raises(SystemStopped):
            waiter.result()
    for send in (traffic.offer, traffic.enter):
        with pytest.raises(SystemStopped):
            send(DATA, HEADER)
    traffic.note(m.Settled(7, ((1, None),)))
    assert traffic.lost and traffic.outstanding() == {}


def test_of_frames_that_were_sent_the_end_claims_nothing(traffic: Traffic) -> None:
    """One that is accepted stays so; one that was sent may be; one that never was, was not and is refused."""
    traffic.note(m.CreditGranted(7, 1))
    receipts = fill(traffic)
    sent(traffic)
    traffic.note(m.Accepted(7, ((1, 1),)))
    never_sent = traffic.offer(DATA, HEADER)
    traffic.stop(SystemStopped("it was closed"))
    assert [receipt.accepted for receipt in (*receipts, never_sent)] == [True, None, False]
    assert [type(receipt.error) for receipt in (*receipts, never_sent)] == [FateUnknown, FateUnknown, SystemStopped]
    assert all(receipt.done and receipt.decided for receipt in receipts)
    assert "#2 of unknown fate: the plugin system has stopped" in repr(receipts[1])
    with pytest.raises(FateUnknown, match="was accepted, and may or may not have been handled") as of_accepted:
        receipts[0].result()
    with pytest.raises(FateUnknown, match="may or may not have been accepted") as of_sent:
        receipts[1].wait_accepted(0.0)
    assert [(each.value.receipt, each.value.accepted) for each in (of_accepted, of_sent)] == [
        (receipts[0], True),
        (receipts[1], None),
    ]


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


def test_each_refusal_of_a_stopped_system_has_a_traceback_of_its_own(traffic: Traffic) -> None:
    """Who closes it afterwards, and is refused too, takes no line of the traceback of the first one away."""

    def first() -> None:
        traffic.check()

    traffic.check()
    traffic.stop(SystemStopped("its host process ended"))
    with pytest.raises(SystemStopped, match="its host process ended") as caught:
        try:
            first()
        finally:
            with pytest.raises(SystemStopped):
                traffic.enter(DATA, HEADER)
    assert "first" in [entry.name for entry in caught.traceback]
