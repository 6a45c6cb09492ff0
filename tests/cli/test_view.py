"""What keys do to the view of ``top``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.cli.view import DOWN, END, HOME, PAGE_DOWN, PAGE_UP, UP, View, keys_of

COLUMNS = ("id", "plugin", "cpu")


def pressed(view: View, *keys: str, rows: int = 100, page: int = 10) -> View:
    """The view after some keys."""
    for key in keys:
        view = view.press(key, COLUMNS, rows, page)
    return view


def test_a_digit_sorts_by_the_column_at_its_place_and_then_the_other_way_round() -> None:
    """Columns are counted as they are shown."""
    assert pressed(View("id"), "3") == View("cpu")
    assert pressed(View("id"), "3", "3") == View("cpu", reverse=True)
    assert pressed(View("id"), "3", "3", "2") == View("plugin")


@pytest.mark.parametrize("key", ["0", "4", "9", "x", "é", "²"])
def test_other_keys_change_nothing(key: str) -> None:
    """A digit without a column is such a key."""
    assert pressed(View("id", first=5), key) == View("id", first=5)


def test_s_goes_through_the_columns_that_are_shown() -> None:
    """After the last comes the first; from a column that is hidden, the first."""
    assert [pressed(View("id"), *"s" * times).sort for times in (1, 2, 3)] == ["plugin", "cpu", "id"]
    assert pressed(View("memory"), "s") == View("id")


def test_r_turns_the_order_round_and_shows_its_beginning() -> None:
    """Twice is as before."""
    assert pressed(View("cpu", first=7), "r") == View("cpu", reverse=True)
    assert pressed(View("cpu"), "r", "r") == View("cpu")


@pytest.mark.parametrize(
    ("key", "first"),
    [(UP, 49), ("k", 49), (DOWN, 51), ("j", 51), (PAGE_UP, 40), (PAGE_DOWN, 60), (" ", 60), (HOME, 0), (END, 90)],
)
def test_keys_scroll(key: str, first: int) -> None:
    """By a line, by a page, and to both ends."""
    assert pressed(View("id", first=50), key).first == first


@given(st.lists(st.sampled_from([UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END, "r", "s"])), st.integers(0, 50))
def test_nothing_scrolls_out_of_sight(keys: list[str], rows: int) -> None:
    """However many keys and rows there are, the page is as full as it can be."""
    view = pressed(View("id"), *keys, rows=rows)
    assert 0 <= view.first <= max(0, rows - 10)


def test_keys_are_told_apart() -> None:
    """Letters, arrows in both forms, and pages arrive in one read."""
    assert keys_of(b"qj\x1b[A\x1bOB\x1b[5~\x1b[6~ ") == ["q", "j", UP, DOWN, PAGE_UP, PAGE_DOWN, " "]


@pytest.mark.parametrize(
    "raw", [b"\x1b", b"\x1b[", b"\x1b[24~", b"\x1b[1;5q", b"\x1bOq", b"\xc3\xa9", b"\xff\x00\x07", b""]
)
def test_what_is_no_key_of_ours_is_left_out(raw: bytes) -> None:
    """Function keys, letters of other alphabets and broken sequences do nothing, not even by their last letter."""
    assert keys_of(raw) == []


@given(st.binary(max_size=64))
def test_any_input_is_read_to_its_end(raw: bytes) -> None:
    """No bytes stop or break the reading."""
    assert all(keys_of(raw))
