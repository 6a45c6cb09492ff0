"""Checks of single values."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config import ConfigError, checks
from nyx_plugins.config.checks import Check, joined, shown, shown_key


def reasons(check: Check, value: object) -> list[tuple[str, str]]:
    """The faults of a value as pairs of key and reason."""
    return [(fault.key, fault.reason) for fault in check.faults(value)]


@pytest.mark.parametrize("value", [1, 5, 10])
def test_whole_accepts_its_bounds_and_what_lies_between(value: int) -> None:
    """An integer check includes both bounds."""
    assert reasons(checks.whole(1, 10), value) == []


@pytest.mark.parametrize("value", [0, 11, True, 5.0, "5", None, math.nan])
def test_whole_refuses_other_values_and_names_the_range(value: object) -> None:
    """An integer check refuses what is outside its range, and everything that is no integer."""
    [(key, reason)] = reasons(checks.whole(1, 10), value)
    assert (key, reason) == ("", f"must be a whole number from 1 to 10, not {shown(value)}")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 1.1, False, "1", None])
def test_number_refuses_nan_infinity_and_booleans(value: object) -> None:
    """A number check lets nothing through that does not lie between its bounds."""
    assert reasons(checks.number(0, 1), value) == [("", f"must be a number from 0 to 1, not {shown(value)}")]


def test_text_matches_the_whole_string() -> None:
    """A text check is not satisfied by a matching prefix or a line before a line break."""
    check = checks.text("[a-z]+", "lower case")
    assert reasons(check, "abc") == []
    assert reasons(check, "abc\n") == [("", r"must be lower case, not 'abc\n'")]
    assert reasons(check, 5) == [("", "must be lower case, not 5")]


def test_one_of_suggests_the_nearest_choice() -> None:
    """A choice that is nearly right is answered with the right one."""
    [(_, reason)] = reasons(checks.one_of("permanent", "transient"), "permament")
    assert reason == "must be one of 'permanent', 'transient', not 'permament'; did you mean 'permanent'?"


@pytest.mark.parametrize("value", [True, 1.0, 2, "1", None, [1]])
def test_one_of_compares_types_too(value: object) -> None:
    """True and 1.0 are not the choice 1, although they are equal to it."""
    assert reasons(checks.one_of(1), value) == [("", f"must be 1, not {shown(value)}")]


def test_each_lists_every_bad_item_under_its_index() -> None:
    """All bad items of a tuple are found, not only the first."""
    found = reasons(checks.each(checks.whole(1, 3)), (0, 1, 9))
    assert [key for key, _ in found] == ["[0]", "[2]"]


@pytest.mark.parametrize("value", ["ab", ["a"], None, 5])
def test_each_wants_a_tuple(value: object) -> None:
    """A string is no tuple of its letters."""
    assert reasons(checks.each(checks.string), value) == [("", f"must be a tuple, not {shown(value)}")]


def test_optional_accepts_none_besides() -> None:
    """None passes, and everything else is up to the inner check."""
    check = checks.optional(checks.flag)
    assert reasons(check, None) == []
    assert reasons(check, 1) == [("", "must be a bool, not 1")]


@pytest.mark.parametrize("value", ["relative", "./x", "", "/a\0b", 5, None])
def test_absolute_path_refuses_what_is_relative_or_no_path(value: object) -> None:
    """Relative paths mean something else in each process, so they are refused."""
    assert len(reasons(checks.absolute_path, value)) == 1


def test_a_path_longer_than_the_system_takes_is_refused_with_both_numbers() -> None:
    """The text holds the limit and the actual length."""
    [(_, reason)] = reasons(checks.absolute_path, "/" + "é" * 2048)
    assert reason == "must be a path of at most 4,096 bytes, not 4,097"


def test_the_validator_raises_all_faults_and_names_the_class() -> None:
    """Building a class with bad values raises ConfigError that lists the key of each."""

    @attrs.frozen
    class Thing:
        sizes: tuple[int, ...] = attrs.field(validator=checks.each(checks.whole(1, 3)))

    with pytest.raises(ConfigError, match=r"Thing: sizes\[0\]: must be .* not 0; sizes\[1\]: must be") as caught:
        Thing((0, 7))
    assert [fault.key for fault in caught.value.faults] == ["sizes[0]", "sizes[1]"]


def test_plain_table_accepts_what_toml_and_cbor_share() -> None:
    """Text, numbers, booleans, lists and tables go through."""
    assert reasons(checks.plain_table, {"a": [1, 2.5, True, "x", {"b": "\U0001f600", "c": b""}]}) == []


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_plain_table_refuses_integers_beyond_64_bits(value: int) -> None:
    """Integers that the workers' protocol can't carry are found at once, with their key."""
    assert reasons(checks.plain_table, {"a": {"b": [value]}}) == [("a.b[0]", f"must fit into 64 bits, not {value:,}")]


def test_plain_table_refuses_objects_and_keys_that_are_no_text() -> None:
    """Other types are named."""
    assert [reason for _, reason in reasons(checks.plain_table, {"a": object(), 5: 1})] == [
        "must be text, a number, a boolean, a list or a table, not object",
        "must have text keys, not 5",
    ]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "must be text, a number, a boolean, a list or a table, not NoneType"),
        (float("nan"), "must be a finite number, not nan"),
        (float("-inf"), "must be a finite number, not -inf"),
        ("a\ud800", r"must be Unicode text, not 'a\ud800' with half a character"),
        ({"\udc00": 1}, r"must have text keys, not '\udc00'"),
        ({5: 1}, "must have text keys, not 5"),
    ],
)
def test_plain_table_refuses_what_no_document_can_say(value: object, why: str) -> None:
    """What TOML has no words for, or UTF-8 no bytes, is found before it is sent to a worker."""
    assert reasons(checks.plain_table, {"a": value}) == [("a", why)]


def test_plain_table_refuses_bottomless_nesting() -> None:
    """A table that holds itself is refused, and does not end in a RecursionError."""
    table: dict[str, object] = {}
    table["x"] = table
    [(_, reason)] = reasons(checks.plain_table, table)
    assert reason == "must be nested at most 32 deep"


def test_shown_prints_huge_integers_by_their_size() -> None:
    """An integer that Python refuses to print does not break the message about it."""
    assert shown(16**5000) == "an integer of 20,001 bits"


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=10))
def test_shown_is_short_and_on_one_line(value: object) -> None:
    """Whatever is quoted, an error stays readable."""
    text = shown(value)
    assert "\n" not in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("prefix", "key", "expected"), [("", "a", "a"), ("a", "", "a"), ("a", "b", "a.b"), ("a", "[0]", "a[0]")]
)
def test_joined_puts_a_dot_only_between_names(prefix: str, key: str, expected: str) -> None:
    """Indexes follow without a dot."""
    assert joined(prefix, key) == expected


def test_keys_that_toml_would_quote_are_quoted() -> None:
    """A hostile key can't pretend to be another one, or fill the message."""
    assert shown_key("plain-key_1") == "plain-key_1"
    assert shown_key("a.b\n") == r"'a.b\n'"
    assert len(shown_key("x" * 10_000)) < 100
