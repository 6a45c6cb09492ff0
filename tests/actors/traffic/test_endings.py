"""What is said of frames when their plugin, or the system, comes to its end."""

from __future__ import annotations

import threading

import attrs
import pytest

from nyx_plugins import (
    FateUnknown,
    PluginNotRegistered,
    SystemStopped,
)
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.receipt import OutcomeKind, Receipt
from nyx_plugins.actors.results import Failed
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.actors.word_book import NOTHING, Words

from .conftest import DATA, HEADER, ROUTE, fill, line, routes, sent


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


def test_who_never_knew_the_plugin_says_nothing_of_what_is_in_doubt() -> None:
    """The next dispatcher refuses what is sent again; of what the plugin had accepted its last words tell."""
    traffic, (first, second, _) = doubtful()
    sent(traffic)
    traffic.note(m.Rejected(7, ((1, PluginNotRegistered(7)), (2, PluginNotRegistered(7)))))
    assert not first.done and not second.done
    traffic.note(m.LastWords(7, 2, Words(((1, None),))))
    assert first.result().kind is OutcomeKind.PROCESSED
    with pytest.raises(PluginNotRegistered):
        second.raise_refusal()
    counts = [(each.count, each.was_submitted) for message in sent(traffic) for each in message.refusals]
    assert sorted(counts) == [(-2, True), (1, True)]


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
