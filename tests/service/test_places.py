"""Places for connections: how many, and who gives way to whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.service.places import Places


def test_who_has_waited_longest_gives_way() -> None:
    """There is always room for one more, at the cost of the oldest that has asked for nothing."""
    room: Places[str] = Places(2)
    assert [room.enter(name) for name in "abc"] == [None, None, "a"]
    assert len(room) == 2 and not room.overfull


def test_who_is_answered_keeps_the_place() -> None:
    """Among those that are answered and those that wait, the latter go, though they came later."""
    room: Places[str] = Places(2)
    room.enter("a"), room.answer("a")
    assert [room.enter(name) for name in "bcd"] == [None, "b", "c"]


def test_when_all_are_answered_one_more_is_too_many() -> None:
    """It is let in to be told so, and gives way to the next; when somebody leaves, there is room for it."""
    room: Places[str] = Places(1)
    room.enter("a"), room.answer("a")
    assert room.enter("b") is None and room.overfull
    assert room.enter("c") == "b" and room.overfull
    room.leave("a")
    assert not room.overfull


def test_after_its_answer_a_connection_waits_again() -> None:
    """One that is kept for more requests is the youngest of those that wait."""
    room: Places[str] = Places(2)
    room.enter("a"), room.answer("a"), room.enter("b"), room.wait("a")
    assert [room.enter("c"), room.enter("d")] == ["b", "a"]


def test_those_that_wait_too_long_are_known() -> None:
    """The time counts from when they came, or had their answer; who is answered is never late."""
    now_s = 0.0
    room: Places[str] = Places(9, lambda: now_s)
    room.enter("waits"), room.enter("answered"), room.enter("again")
    room.answer("answered"), room.answer("again")
    now_s = 10.0
    room.enter("new"), room.wait("again")
    assert room.late(9.0) == ["waits"]


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from(["enter", "answer", "wait", "leave"]), st.integers(0, 9))))
def test_there_is_never_more_than_one_too_many(limit: int, steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, to connections that are there or not."""
    room: Places[int] = Places(limit)
    inside: set[int] = set()
    for step, connection in steps:
        if (step == "enter") == (connection in inside):
            continue
        gone = getattr(room, step)(connection)
        inside = (
            inside | {connection} if step == "enter" else inside - {connection} if step == "leave" else inside
        ) - {gone}
        assert len(room) == len(inside) <= limit + 1
