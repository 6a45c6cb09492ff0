"""How many violations are too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.violations import STEPS, ViolationLog


def test_one_more_than_the_limit_within_the_window_is_too_many() -> None:
    """The limit itself is allowed; what is older than the window does not count."""
    log = ViolationLog()
    verdicts = [log.note(1, float(now), most=2, within_s=10.0) for now in (0, 5, 10, 15, 16)]
    assert verdicts == [False, False, False, False, True]


def test_several_at_once_count_as_several() -> None:
    """A report of three is three violations; with a limit of 0 the first is too many."""
    assert ViolationLog().note(3, 0.0, most=2, within_s=1.0)
    assert ViolationLog().note(1, 0.0, most=0, within_s=1.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5)), max_size=60), st.integers(0, 50))
def test_the_log_agrees_with_counting_to_within_a_step(steps: list[tuple[float, int]], most: int) -> None:
    """Never more than what is in the window, and never less than what is in the window but for its oldest part."""
    log, now, all_seen = ViolationLog(), 0.0, list[tuple[float, int]]()
    for pause, count in steps:
        now += pause
        all_seen.append((now, count))
        within = sum(count for at, count in all_seen if at > now - 10.0)
        surely = sum(count for at, count in all_seen if at > now - 10.0 + 10.0 / STEPS)
        assert (surely > most) <= log.note(count, now, most=most, within_s=10.0) <= (within > most)


def test_a_flood_takes_no_room() -> None:
    """However many there are, it holds no more than its steps."""
    log = ViolationLog()
    for number in range(10_000):
        log.note(1, number / 100, most=10**6, within_s=10.0)
    assert len(log) <= STEPS + 1
