"""Permissions and policies of two versions, compared."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.differences import Difference, differences, growing, of_handshakes
from nyx_plugins.plugins.negotiation import HandshakeOffer
from nyx_plugins.plugins.policy import Policy


def compared(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, bool]]:
    """Compare two policies; returns each difference in words, and whether it grows."""
    found = differences((), Policy(**old), (), Policy(**new))
    return [(str(difference), difference.grows) for difference in found]


def test_equal_versions_do_not_differ() -> None:
    """The same permissions and policy are no difference, whatever their order and origin."""
    old = Policy(environment=("A", "B"), origins={"environment": "manifest"})
    new = Policy(environment=("B", "A"), origins={"environment": "plugin entry"})
    assert differences(("control", "data_access"), old, ("data_access", "control"), new) == ()


def test_permissions_grow_and_shrink() -> None:
    """A permission that is new grows, one that is gone shrinks."""
    assert differences(("control",), Policy(), ("data_access",), Policy()) == (
        Difference("permissions", "'data_access' is new", True),
        Difference("permissions", "'control' is gone", False),
    )


MORE = [
    ({}, {"read_paths": ("/data",)}, "read_paths: '/data' is new"),
    ({"read_paths": ("/data/a",)}, {"read_paths": ("/data",)}, "read_paths: '/data' is new"),
    ({"read_paths": ("/data",)}, {"write_paths": ("/data",)}, "write_paths: '/data' is new"),
    ({}, {"network": ("a.example:443",)}, "network: 'a.example:443' is new"),
    ({"network": ("a.example:443",)}, {"network": ("a.example",)}, "network: 'a.example' is new"),
    ({"network": ("*",)}, {"network": ("*", "10.0.0.1:80")}, "network: '10.0.0.1:80' is new"),
    ({"memory_bytes": 8_000_000}, {}, "memory_bytes: 8,000,000 becomes no limit"),
    ({"cpu_seconds": 1}, {"cpu_seconds": 2}, "cpu_seconds: 1 becomes 2"),
    ({"wall_time_s": 1.5}, {"wall_time_s": 2.0}, "wall_time_s: 1.5 becomes 2.0"),
    ({"open_files": 10}, {"open_files": 11}, "open_files: 10 becomes 11"),
    ({}, {"environment": ("HOME",)}, "environment: 'HOME' is new"),
    ({}, {"subprocesses": True}, "subprocesses: false becomes true"),
    ({"threads": 1}, {"threads": 2}, "threads: 1 becomes 2"),
    ({}, {"scratch_bytes": 4096}, "scratch_bytes: 0 becomes 4,096"),
    ({}, {"packages": ("numpy",)}, "packages: 'numpy' is new"),
]


@pytest.mark.parametrize(("old", "new", "what"), MORE)
def test_what_grows_one_way_shrinks_the_other(old: dict[str, Any], new: dict[str, Any], what: str) -> None:
    """Whatever allows more is found as growth; the way back never is."""
    assert (what, True) in compared(old, new)
    assert growing(differences((), Policy(**new), (), Policy(**old))) == ()


@pytest.mark.parametrize(
    ("key", "item"),
    [("deny_read_paths", "/data"), ("deny_write_paths", "/data"), ("deny_network", "*.example")],
)
def test_what_is_denied_no_more_grows(key: str, item: str) -> None:
    """A denial that is gone allows more, a new one less."""
    assert compared({key: (item,)}, {}) == [(f"{key}: {item!r} is denied no more", True)]
    assert compared({}, {key: (item,)}) == [(f"{key}: {item!r} is denied now", False)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"read_paths": ("/data",)}, {"read_paths": ("/data", "/data/a")}),
        ({"write_paths": ("/data",)}, {"write_paths": ("/data",), "read_paths": ("/data/a",)}),
        ({"network": ("*.example",)}, {"network": ("*.example", "a.example:443")}),
        ({"deny_read_paths": ("/data",)}, {"deny_read_paths": ("/data", "/data/a")}),
        ({"deny_network": ("*",)}, {"deny_network": ("*", "a.example")}),
    ],
)
def test_the_same_in_other_words_is_no_difference(old: dict[str, Any], new: dict[str, Any]) -> None:
    """What is within something that both allow, or deny, is not new."""
    assert compared(old, new) == []


def test_every_value_of_a_policy_is_compared() -> None:
    """No value of a policy is left out, so that a new one can't widen in silence."""
    names = {field.name for field in attrs.fields(Policy)} - {"origins"}
    seen = {what.partition(":")[0] for _, _, what in MORE} | {"deny_read_paths", "deny_write_paths", "deny_network"}
    assert seen == names


names = st.sets(st.sampled_from(["control", "data_access", "handshake", "inter_plugin"]))
limits = st.none() | st.integers(1, 3)


@given(names, names, limits, limits)
def test_growth_is_what_would_shrink_on_the_way_back(old: Any, new: Any, less: Any, more: Any) -> None:
    """Comparing the other way round finds the same, turned over."""
    before, after = Policy(threads=less), Policy(threads=more)
    there, back = differences(old, before, new, after), differences(new, after, old, before)
    assert len(growing(there)) + len(growing(back)) == len(there) == len(back)
    assert (there == ()) == (old == new and less == more)


ONE, TWO = HandshakeOffer((1,), (1, 2)), HandshakeOffer((2, 1), (1, 7))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (None, None, []),
        (ONE, HandshakeOffer((1,), (2, 1)), []),
        (None, ONE, ["require_handshake: false becomes true"]),
        (ONE, None, ["require_handshake: true becomes false"]),
        (ONE, TWO, ["handshake.versions: 1 becomes 1, 2", "handshake.capabilities: 1, 2 becomes 1, 7"]),
        (TWO, HandshakeOffer((1, 2), ()), ["handshake.capabilities: 1, 7 becomes none"]),
    ],
)
def test_a_handshake_is_no_right(old: HandshakeOffer | None, new: HandshakeOffer | None, found: list[str]) -> None:
    """What senders have to come to terms with is shown where it changes, and never as growth."""
    differing = of_handshakes(old, new)
    assert [str(difference) for difference in differing] == found
    assert growing(differing) == growing(of_handshakes(new, old)) == ()
    assert (differing == ()) == (old == new)
