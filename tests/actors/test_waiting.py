"""A line of waiters: first come, first served, and anybody may leave."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.waiting import Waiter, WaitingLine


def test_an_empty_line_has_no_first() -> None:
    """Nobody's turn, nobody to leave."""
    line = WaitingLine()
    assert (len(line), line.first, list(line)) == (0, None, [])
    assert not line.leave(Waiter(7, 0x52, b""))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9))))
def test_it_is_a_list_that_may_be_left(steps: list[tuple[bool, int]]) -> None:
    """Whatever the order of joining and leaving, the line is what a list would be."""
    waiters = [Waiter(7, 0x52, b"%d" % number) for number in range(10)]
    line, model = WaitingLine(), []
    for joins, number in steps:
        waiter = waiters[number]
        if joins and waiter not in model:
            line.join(waiter)
            model.append(waiter)
        elif not joins:
            assert line.leave(waiter) == (waiter in model)
            model = [other for other in model if other is not waiter]
        assert list(line) == model
        assert line.first is (model[0] if model else None)


def test_who_leaves_while_the_line_is_gone_through_does_no_harm() -> None:
    """Going through the line sees those who stood in it at the beginning."""
    line = WaitingLine()
    for _ in range(5):
        line.join(Waiter(7, 0x52, b""))
    for waiter in line:
        line.leave(waiter)
    assert len(line) == 0
