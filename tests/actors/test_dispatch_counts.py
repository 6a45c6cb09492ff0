"""Counters of dispatchers that follow one another."""

from __future__ import annotations

from pathlib import Path

from nyx_plugins.actors import dispatch_counts
from nyx_plugins.actors.dispatch_counts import DispatchCounts
from nyx_plugins.actors.events import DispatchStats


def test_the_next_dispatcher_goes_on_from_there(tmp_path: Path) -> None:
    """Nothing is lost with a dispatcher; what a session then says replaces what was counted for it alone."""
    first = DispatchCounts(tmp_path / "counts")
    for session in (7, 9):
        first.join(session)
    first.dispatched(7, 10)
    first.dispatched(9, 5)
    first.refused(7, "MailboxFull")
    first.refused(9, "MailboxFull", 2)
    second = DispatchCounts(tmp_path / "counts")
    assert second.statistics() == DispatchStats(0, 0, 15, 3, {"MailboxFull": 3})
    second.rejoin(7, 8, {"PermissionDenied": 4}, {1: 12})
    assert (second.last_seen(7, 1), second.last_seen(7, 2), second.last_seen(9, 1)) == (12, 0, 0)
    assert second.statistics() == DispatchStats(0, 0, 13, 6, {"MailboxFull": 2, "PermissionDenied": 4})
    second.leave(9)
    second.leave(7)
    third = DispatchCounts(tmp_path / "counts")
    assert third.statistics() == second.statistics()
    for counts in (first, second, third):
        counts.close()


def test_frames_that_are_sent_again_are_counted_once() -> None:
    """By their numbers, per session and plugin; what comes of a session that has gone is counted nowhere."""
    counts = DispatchCounts(None)
    counts.join(7)
    counts.seen(7, 1, [1, 2])
    counts.seen(7, 1, [2, 3])
    counts.seen(7, 2, [2])
    assert (counts.statistics().frames_dispatched, counts.last_seen(7, 1)) == (4, 3)
    counts.leave(7)
    counts.seen(7, 1, [4])
    counts.dispatched(7, -1)
    assert (counts.statistics().frames_dispatched, counts.last_seen(7, 1)) == (3, 0)
    counts.close()


def test_loads_and_unloads_are_counted_once() -> None:
    """However often they are told, by however many dispatchers."""
    counts = DispatchCounts(None)
    for load_id in (1, 2, 1):
        counts.loaded(load_id)
    for _ in range(2):
        counts.unloaded(2, 7, range(3, 5), drained=True)
    counts.unloaded(5, 7, range(3, 5), drained=True)
    assert counts.statistics() == DispatchStats(2, 1, 0, 0, {})
    counts.close()


def test_whether_a_plugin_was_drained_is_remembered_by_the_epochs_of_its_routes() -> None:
    """Two plugins with the same id, one after the other, are told apart; of a stranger nobody knows."""
    counts = DispatchCounts(None)
    for load_id in (1, 2, 3):
        counts.loaded(load_id)
    counts.unloaded(1, 7, range(3, 5), drained=True)
    counts.unloaded(2, 7, range(6, 7), drained=False)
    counts.unloaded(3, 77, range(8, 9), drained=True)
    assert [counts.was_drained(7, epoch) for epoch in range(2, 9)] == [False, True, True, False, False, False, False]
    assert not counts.was_drained(8, 3)
    counts.close()


def test_many_loads_leave_their_sum() -> None:
    """What has ended long since is added up; the last ones, and what has not ended, are still told apart."""
    counts = DispatchCounts(None)
    counts.loaded(1)
    many = dispatch_counts._MANY
    for load_id in range(2, many + 2):
        counts.loaded(load_id)
        counts.unloaded(load_id, 7, range(load_id, load_id + 1), drained=True)
    assert len(counts._file) <= many + 2
    counts.unloaded(1, 8, range(1), drained=True)
    counts.unloaded(many + 1, 7, range(many + 1, many + 2), drained=True)
    assert counts.statistics() == DispatchStats(many + 1, many + 1, 0, 0, {})
    counts.close()
