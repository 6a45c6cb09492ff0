"""Network rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config.network import NetworkRule, listening_address, network_rule, parse_address, parse_rule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", NetworkRule("*")),
        ("Example.COM", NetworkRule("example.com")),
        ("example.com.", NetworkRule("example.com")),
        ("localhost:80", NetworkRule("localhost", 80)),
        ("127.0.0.1:65535", NetworkRule("127.0.0.1", 65535)),
        ("my_host-1", NetworkRule("my_host-1")),
        ("[::1]", NetworkRule("::1")),
        ("[0:0:0:0:0:0:0:1]:443", NetworkRule("::1", 443)),
        ("[FE80::A]", NetworkRule("fe80::a")),
        ("*:80", NetworkRule("*", 80)),
        ("*.Example.com.:80", NetworkRule("*.example.com", 80)),
        ("10.0.0.0/8", NetworkRule("10.0.0.0/8")),
        ("10.1.2.3/32:80", NetworkRule("10.1.2.3", 80)),
        ("[FD00::/8]:80", NetworkRule("fd00::/8", 80)),
        ("[::ffff:10.0.0.0/104]", NetworkRule("10.0.0.0/8")),
        ("[::ffff:10.0.0.1]", NetworkRule("10.0.0.1")),
        ("ex\u00e4mple.com", NetworkRule("xn--exmple-cua.com")),
    ],
)
def test_rules_are_read_in_one_spelling(text: str, expected: NetworkRule) -> None:
    """Case, a final dot and the many spellings of an IPv6 address make no difference."""
    assert parse_rule(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " host",
        "host:",
        "host:0",
        "host:65536",
        "host:080",
        "host:٨٠",
        "host:1:2",
        "::1",
        "[::1",
        "[nonsense]",
        "[fe80::1%eth0]",
        "ex ample",
        "a..b",
        "-a.com",
        "http://a",
        "a/b",
        "a\n",
        "a" * 64,
        "host\0",
        "0x7f.1",
        "127.1",
        "2130706433",
        "010.0.0.1",
        "10.1.2.3/8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "fd00::/8",
        "[fd00::]/8",
        "host/8",
        "**",
        "*.",
        "*.10.0.0.1",
        "*.[::1]",
        "*.*.com",
        "a.*",
        "\udc80.com",
    ],
)
def test_other_forms_are_refused_with_the_text_in_question(text: str) -> None:
    """What is no rule is refused, never read as something near it."""
    with pytest.raises(ValueError, match="must "):
        parse_rule(text)
    assert len(network_rule.faults(text)) == 1


def test_a_port_out_of_range_is_named() -> None:
    """The reason holds the range and the actual port."""
    with pytest.raises(ValueError, match=r"must have a port from 1 to 65,535, not 70000"):
        parse_rule("host:70000")


def test_only_text_is_a_rule() -> None:
    """A number is refused, not converted."""
    assert network_rule.faults(80)[0].reason == "must be host, *.host, v4, v4/8, [v6], [v6/8] or *, maybe :port, not 80"


@pytest.mark.parametrize(
    ("rule", "other", "covered"),
    [
        ("*", "*", True),
        ("*", "a:1", True),
        ("a", "a", True),
        ("a", "A:1", True),
        ("a:1", "a:1", True),
        ("a:1", "a", False),
        ("a:1", "a:2", False),
        ("a", "*", False),
        ("a", "b", False),
        ("a.b", "b", False),
        ("b", "a.b", False),
        ("[::1]:80", "[0::1]:80", True),
        ("*:1", "a:1", True),
        ("*:1", "a", False),
        ("*", "8.8.8.8", True),
        ("*", "127.0.0.1", False),
        ("*", "localhost", False),
        ("*", "*.localhost", False),
        ("*", "10.0.0.0/8", False),
        ("*", "0.0.0.0/0", True),
        ("*.a", "b.a", True),
        ("*.a", "c.b.a", True),
        ("*.a", "*.b.a", True),
        ("*.a", "a", False),
        ("*.a", "ba", False),
        ("*.a", "*", False),
        ("*.b.a", "*.a", False),
        ("*.a", "1.2.3.4", False),
        ("10.0.0.0/8", "10.1.0.0/16", True),
        ("10.1.0.0/16", "10.0.0.0/8", False),
        ("10.0.0.0/8", "[fd00::1]", False),
        ("[fd00::/8]", "[fd00::1]", True),
        ("0.0.0.0/0", "10.0.0.1", False),
        ("0.0.0.0/0", "8.0.0.0/8", True),
        ("8.0.0.0/6", "10.0.0.1", False),
        ("[::/0]", "[::1]", False),
        ("10.0.0.1", "a", False),
    ],
)
def test_a_rule_covers_its_host_on_its_port_or_on_any(rule: str, other: str, covered: bool) -> None:
    """A rule without a port covers every port, one with a port only that, and no rule covers other hosts."""
    assert parse_rule(rule).covers(parse_rule(other)) is covered


@given(st.text(max_size=300))
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    """Whatever a peer sends, reading it as a rule gives a rule or a ValueError."""
    try:
        rule = parse_rule(text)
    except ValueError:
        return
    assert rule.host == rule.host.lower()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:0", ("::1", 0)),
        ("LocalHost:65535", ("localhost", 65535)),
    ],
)
def test_addresses_to_listen_on_are_read(text: str, expected: tuple[str, int]) -> None:
    """Host and port come apart, brackets gone; port 0 is for any that is free."""
    assert parse_address(text) == expected
    assert listening_address.faults(text) == []


@pytest.mark.parametrize(
    "text",
    ["", "9464", ":9464", "localhost", "::1:80", "[::1]", "[::x]:1", "a:65536", "a:-1", "a:08", "a b:1", "*:1", 80],
)
def test_what_is_no_address_to_listen_on_is_refused(text: object) -> None:
    """Each with a reason that says what was found."""
    [fault] = listening_address.faults(text)
    assert fault.reason.startswith("must ")
