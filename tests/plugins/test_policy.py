"""Policies: what is decided, why it is refused, and that it is never wider than the ceiling."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config import Ceiling, ConfigError, SandboxOverride, SandboxRequest
from nyx_plugins.plugins.access import network_allows, path_allows
from nyx_plugins.plugins.policy import Policy, PolicyLine, decide, is_within

MIB = 1024 * 1024


# Which keys are trusted is a matter of loading, not of what a plugin may do.
FIELDS = [field.name for field in attrs.fields(Ceiling) if field.name != "trusted_keys"]


def granted(request: SandboxRequest, ceiling: Ceiling, **options: Any) -> Policy:
    """The policy of a request that must not be refused."""
    decision = decide(request, ceiling, **options)
    assert isinstance(decision, Policy), decision
    return decision


def refused(request: SandboxRequest, ceiling: Ceiling, **options: Any) -> tuple[str, ...]:
    """The reasons of a request that must be refused."""
    decision = decide(request, ceiling, **options)
    assert isinstance(decision, tuple), decision
    return decision


def test_who_asks_for_nothing_gets_the_limits_and_no_access() -> None:
    """Numbers left open take the ceiling's value, lists stay empty."""
    ceiling = Ceiling(("/a",), ("/b",), ("*",), 64 * MIB, 9, 7.0, 99, ("TZ",), subprocesses=True)
    assert decide(SandboxRequest(), ceiling) == Policy(
        memory_bytes=64 * MIB, cpu_seconds=9, wall_time_s=7.0, open_files=99, threads=64
    )


def test_exactly_the_ceiling_is_granted() -> None:
    """The limit itself is not above the limit."""
    values: dict[str, Any] = dict(
        read_paths=("/a",),
        write_paths=("/b",),
        network=("x:1",),
        memory_bytes=64 * MIB,
        cpu_seconds=9,
        wall_time_s=7.0,
        open_files=99,
        environment=("TZ",),
        subprocesses=True,
        threads=9,
        scratch_bytes=5,
        packages=("numpy",),
        deny_read_paths=("/a/x",),
        deny_write_paths=("/b/x",),
        deny_network=("y",),
    )
    policy = granted(SandboxRequest(**values), Ceiling(**values))
    assert {name: value for name, value in attrs.asdict(policy).items() if name != "origins"} == values


def test_every_excess_is_a_reason_with_culprit_limit_and_value() -> None:
    """A refusal lists everything that is asked for in excess."""
    request = SandboxRequest(
        ("/etc",), ("/b/../etc",), ("evil:80",), 65 * MIB, 10, 8.0, 100, ("PATH",), True, 65, 2000, ("os", "numpy")
    )
    ceiling = Ceiling(("/a", "/b"), ("/b",), ("x:80",), 64 * MIB, 9, 7.5, 99, ("TZ",), False, 64, 1000, ("numpy",))
    assert refused(request, ceiling) == (
        "read_paths: '/etc' is not within the ceiling's (/a, /b)",
        "write_paths: '/b/../etc' is not within the ceiling's (/b)",
        "network: 'evil:80' is not covered by the ceiling's (x:80)",
        "memory_bytes: 68,157,440 is above the ceiling's 67,108,864",
        "cpu_seconds: 10 is above the ceiling's 9",
        "wall_time_s: 8.0 is above the ceiling's 7.5",
        "open_files: 100 is above the ceiling's 99",
        "environment: 'PATH' is not in the ceiling's (TZ)",
        "subprocesses: true is asked for, and the ceiling says false",
        "threads: 65 is above the ceiling's 64",
        "scratch_bytes: 2,000 is above the ceiling's 1,000",
        "packages: 'os' is not in the ceiling's (numpy)",
    )


def test_a_long_list_is_cut_in_reasons() -> None:
    """A ceiling with a hundred hosts does not drown the culprit."""
    [reason] = refused(SandboxRequest(network=("evil",)), Ceiling(network=tuple(f"h{n}" for n in range(100))))
    assert reason.endswith("(h0, h1, h2, h3, h4, h5, h6, h7 and 92 more)")


@pytest.mark.parametrize(
    ("asked", "default", "expected"), [(None, 5.0, 5.0), (None, 90.0, 60.0), (None, None, 60.0), (30.0, 5.0, 30.0)]
)
def test_the_default_wall_time_counts_where_nothing_is_asked(
    asked: float | None, default: float | None, expected: float
) -> None:
    """The default goes before the ceiling's value, never beyond it, and a request goes before both."""
    request = SandboxRequest(wall_time_s=asked)
    assert granted(request, Ceiling(), default_wall_time_s=default).wall_time_s == expected


@pytest.mark.parametrize(
    ("path", "root", "within"),
    [
        ("/srv/data", "/srv/data", True),
        ("/srv/data/x/y", "/srv/data", True),
        ("/srv/database", "/srv/data", False),
        ("/srv", "/srv/data", False),
        ("/anything", "/", True),
        ("/", "/", True),
    ],
)
def test_containment_is_by_component(path: str, root: str, within: bool) -> None:
    """A folder covers what is in it, not what only begins like it."""
    assert is_within(path, [root]) is within


def test_a_link_does_not_widen_the_ceiling(tmp_path: Path) -> None:
    """A request is judged by where its path leads."""
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "link").symlink_to("/etc")
    request = SandboxRequest(read_paths=(str(tmp_path / "allowed" / "link"),))
    assert len(refused(request, Ceiling(read_paths=(str(tmp_path / "allowed"),)))) == 1


def test_a_ceiling_that_is_a_link_means_its_target(tmp_path: Path) -> None:
    """Operators may name a folder by a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    link, real = str(tmp_path / "link"), str(tmp_path / "real")
    request = SandboxRequest(read_paths=(link, f"{real}/x"), write_paths=(link,))
    policy = granted(request, Ceiling(read_paths=(link,), write_paths=(real,)))
    assert (policy.read_paths, policy.write_paths) == ((real, f"{real}/x"), (real,))


def test_a_policy_survives_pickling() -> None:
    """Policies are published to other processes."""
    policy = Policy(read_paths=("/a",), network=("x:1",), memory_bytes=5)
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_a_policy_with_a_malformed_rule_can_not_be_built() -> None:
    """A check never meets a rule that it can't read."""
    with pytest.raises(ConfigError, match=r"Policy: network\[0\]: must be"):
        Policy(network=("::1",))


def test_what_the_entry_says_replaces_what_the_bundle_asks_for() -> None:
    """Value by value; what the entry leaves out stays as it was, and may be widened up to the ceiling."""
    ceiling = Ceiling(network=("*.example.com",), open_files=99, packages=("numpy", "PIL"))
    request = SandboxRequest(network=("a.example.com",), open_files=50, packages=("numpy",), threads=3)
    override = SandboxOverride(network=(), open_files=99, packages=("PIL",))
    policy = granted(request, ceiling, override=override)
    assert (policy.network, policy.open_files, policy.packages, policy.threads) == ((), 99, ("PIL",), 3)


def test_an_entry_beyond_the_ceiling_is_refused_by_name() -> None:
    """The operator's own entry is held to the ceiling, and the reason tells it from the bundle's request."""
    [reason] = refused(SandboxRequest(threads=4), Ceiling(threads=8), override=SandboxOverride(threads=9))
    assert reason == "threads (plugin entry): 9 is above the ceiling's 8"


def test_an_entry_can_take_back_what_the_ceiling_would_refuse() -> None:
    """A bundle that asks for too much loads where its entry narrows it."""
    override = SandboxOverride(network=(), subprocesses=False)
    request = SandboxRequest(network=("evil",), subprocesses=True)
    assert granted(request, Ceiling(), override=override).network == ()


def test_what_anybody_denies_is_denied() -> None:
    """Ceiling, entry and bundle add up, each item once."""
    policy = granted(
        SandboxRequest(deny_network=("a", "c"), deny_read_paths=("/r",)),
        Ceiling(deny_network=("a",)),
        override=SandboxOverride(deny_network=("b",), deny_write_paths=("/w",)),
    )
    assert (policy.deny_network, policy.deny_read_paths, policy.deny_write_paths) == (("a", "b", "c"), ("/r",), ("/w",))
    assert policy.origins["deny_network"] == "ceiling, plugin entry, manifest"


def test_what_the_ceiling_denies_as_a_whole_is_refused() -> None:
    """A plugin learns at its load, not at run time, that it will never get what it asks for."""
    ceiling = Ceiling(
        ("/a",), ("/a",), ("*",), deny_read_paths=("/a/b",), deny_write_paths=("/a",), deny_network=("x:1",)
    )
    request = SandboxRequest(("/a/b/c", "/a"), ("/a/d",), ("x:1", "x"))
    assert refused(request, ceiling) == (
        "read_paths: '/a/b/c' is denied by the ceiling's deny_read_paths (/a/b)",
        "write_paths: '/a/d' is denied by the ceiling's deny_write_paths (/a)",
        "network: 'x:1' is denied by the ceiling's deny_network (x:1)",
    )


def test_each_value_is_explained_with_its_origin() -> None:
    """Bundle, entry, ceiling and default are told apart."""
    policy = granted(
        SandboxRequest(network=("a:1",), threads=2),
        Ceiling(network=("a",), cpu_seconds=9),
        override=SandboxOverride(threads=3),
        default_wall_time_s=5.0,
    )
    lines = policy.explain()
    assert [line.key for line in lines] == FIELDS
    assert PolicyLine("network", ("a:1",), "manifest") in lines
    assert PolicyLine("threads", 3, "plugin entry") in lines
    assert PolicyLine("cpu_seconds", 9, "ceiling") in lines
    assert PolicyLine("wall_time_s", 5.0, "default") in lines
    assert PolicyLine("read_paths", (), "default") in lines


# A small world in which much overlaps: what each rule allows and what it denies, by hand.
HOSTS = ("a", "b", "w.a", "localhost", "8.8.8.8", "10.0.0.1", "::1")
ALLOWS = {
    "*": {"a", "b", "w.a", "8.8.8.8"},
    "A.": {"a"},
    "b": {"b"},
    "*.a": {"w.a"},
    "W.a": {"w.a"},
    "localhost": {"localhost"},
    "8.0.0.0/8": {"8.8.8.8"},
    "0.0.0.0/0": {"8.8.8.8"},
    "10.0.0.0/8": {"10.0.0.1"},
    "10.0.0.1": {"10.0.0.1"},
    "[0::1]": {"::1"},
    "[::/0]": set[str](),
}
DENIES = ALLOWS | {
    "*": set(HOSTS),
    "localhost": {"localhost", "::1"},
    "0.0.0.0/0": {"8.8.8.8", "10.0.0.1"},
    "[::/0]": {"::1"},
}
PORTS = (1, 2)

NAMES = st.sampled_from(["a", "b", "ab", "A"])
PATHS = st.lists(NAMES | st.just(".."), max_size=4).map(lambda parts: "/nowhere/" + "/".join(parts))
PATH_LISTS = st.lists(PATHS, max_size=3).map(tuple)
RULES = st.builds("{}{}".format, st.sampled_from(list(ALLOWS)), st.sampled_from(["", ":1", ":2"]))
RULE_LISTS = st.lists(RULES, max_size=3).map(tuple)
LISTS = dict(
    read_paths=PATH_LISTS,
    write_paths=PATH_LISTS,
    network=RULE_LISTS,
    environment=st.lists(st.sampled_from(["TZ", "LANG", "X"]), max_size=2).map(tuple),
    subprocesses=st.booleans(),
    packages=st.lists(st.sampled_from(["numpy", "PIL", "X"]), max_size=2).map(tuple),
    scratch_bytes=st.integers(0, 2),
    deny_read_paths=PATH_LISTS,
    deny_write_paths=PATH_LISTS,
    deny_network=RULE_LISTS,
)
TIMES = st.floats(0.5, 2)
NUMBERS: dict[str, st.SearchStrategy[Any]] = dict(
    wall_time_s=TIMES, open_files=st.integers(16, 18), threads=st.integers(1, 3)
)
LIMITS: dict[str, st.SearchStrategy[Any]] = dict(
    memory_bytes=st.none() | st.integers(16 * MIB, 18 * MIB), cpu_seconds=st.none() | st.integers(1, 3)
)
OPTIONAL = {name: st.none() | strategy for name, strategy in NUMBERS.items()}
REQUESTS = st.builds(SandboxRequest, **LISTS, **LIMITS, **OPTIONAL)
CEILINGS = st.builds(Ceiling, **LISTS, **LIMITS, **NUMBERS)
OVERRIDES = st.builds(
    SandboxOverride, **{name: st.none() | strategy for name, strategy in (LISTS | LIMITS | NUMBERS).items()}
)


def targets(rules: Iterable[str], meaning: dict[str, set[str]]) -> set[tuple[str, int]]:
    """What a list of rules comes to in this world."""
    found = set()
    for rule in rules:
        host, port = (rule[:-2], int(rule[-1])) if rule.endswith((":1", ":2")) else (rule, 0)
        found |= {(name, number) for name in meaning[host] for number in PORTS if port in (0, number)}
    return found


def outside(path: str, roots: Iterable[str]) -> bool:
    """Whether a resolved path is in none of the roots."""
    return not any(Path(path).is_relative_to(os.path.realpath(root)) for root in roots)


def wider(policy: Policy, ceiling: Ceiling) -> list[str]:
    """The fields in which a policy exceeds a ceiling, found without the code under test."""

    def above(value: float | None, limit: float | None) -> bool:
        return limit is not None and (value is None or value > limit)

    found = {
        "read_paths": any(outside(path, ceiling.read_paths) for path in policy.read_paths),
        "write_paths": any(outside(path, ceiling.write_paths) for path in policy.write_paths),
        "network": not targets(policy.network, ALLOWS) <= targets(ceiling.network, ALLOWS),
        "environment": not set(policy.environment) <= set(ceiling.environment),
        "subprocesses": policy.subprocesses and not ceiling.subprocesses,
        "packages": not set(policy.packages) <= set(ceiling.packages),
        "deny_read_paths": not set(map(os.path.realpath, ceiling.deny_read_paths)) <= set(policy.deny_read_paths),
        "deny_write_paths": not set(map(os.path.realpath, ceiling.deny_write_paths)) <= set(policy.deny_write_paths),
        "deny_network": not set(ceiling.deny_network) <= set(policy.deny_network),
    }
    numbers = ("memory_bytes", "cpu_seconds", "wall_time_s", "open_files", "threads", "scratch_bytes")
    found |= {name: above(getattr(policy, name), getattr(ceiling, name)) for name in numbers}
    assert set(found) == set(FIELDS)
    return [name for name, exceeds in found.items() if exceeds]


@given(REQUESTS, CEILINGS, st.none() | OVERRIDES, st.none() | TIMES)
def test_a_decided_policy_is_never_wider_than_the_ceiling(
    request: SandboxRequest, ceiling: Ceiling, override: SandboxOverride | None, default: float | None
) -> None:
    """Whatever is asked for and set, what is granted stays below the ceiling in every field."""
    decision = decide(request, ceiling, override=override, default_wall_time_s=default)
    if isinstance(decision, Policy):
        assert wider(decision, ceiling) == []
        assert set(decision.origins) == set(FIELDS)
    else:
        assert decision


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
def test_one_field_alone_is_never_wider_than_the_ceiling(name: str, data: st.DataObject) -> None:
    """The same with all else left open, so that nothing else is the reason of a refusal; the entry counts as well."""
    strategies = LISTS | LIMITS | NUMBERS
    ceiling = Ceiling(**{name: data.draw(strategies[name])})
    request = SandboxRequest(**{name: data.draw((LISTS | LIMITS | OPTIONAL)[name])})
    override = SandboxOverride(**{name: data.draw(st.none() | strategies[name])})
    decision = decide(request, ceiling, override=override)
    if isinstance(decision, Policy):
        assert wider(decision, ceiling) == []
    else:
        assert all(reason.startswith(name) for reason in decision)


@given(REQUESTS)
def test_a_request_below_its_own_ceiling_is_granted_as_asked(request: SandboxRequest) -> None:
    """Nothing is refused that the operator allows word for word and does not deny."""
    defaults = attrs.asdict(Ceiling())
    values = {name: defaults[name] if value is None else value for name, value in attrs.asdict(request).items()}
    values |= {name: () for name in values if name.startswith("deny_")}
    policy = granted(request, Ceiling(**values))
    assert (policy.network, policy.environment) == (request.network, request.environment)
    assert policy.read_paths == tuple(map(os.path.realpath, request.read_paths))


@given(REQUESTS, CEILINGS, OVERRIDES, PATHS)
def test_nothing_outside_the_ceiling_is_reached(
    request: SandboxRequest, ceiling: Ceiling, override: SandboxOverride, path: str
) -> None:
    """What a decided policy lets through is within the ceiling, and denied by nobody."""
    policy = decide(request, ceiling, override=override)
    if not isinstance(policy, Policy):
        return
    denied = targets(ceiling.deny_network + request.deny_network + (override.deny_network or ()), DENIES)
    reached = {(host, port) for host in HOSTS for port in PORTS if network_allows(policy, host, port) is None}
    assert reached <= targets(ceiling.network, ALLOWS) - denied
    if path_allows(policy, path) is None:
        assert not outside(os.path.realpath(path), ceiling.read_paths + ceiling.write_paths)
        assert outside(os.path.realpath(path), ceiling.deny_read_paths + request.deny_read_paths)
    if path_allows(policy, path, write=True) is None:
        assert not outside(os.path.realpath(path), ceiling.write_paths)
        assert outside(os.path.realpath(path), ceiling.deny_write_paths + request.deny_write_paths)


@given(RULE_LISTS, RULE_LISTS)
def test_a_network_list_means_what_is_written_down_here(network: tuple[str, ...], denied: tuple[str, ...]) -> None:
    """Exactly that is allowed which a rule allows and none denies."""
    policy = Policy(network=network, deny_network=denied)
    reached = {(host, port) for host in HOSTS for port in PORTS if network_allows(policy, host, port) is None}
    assert reached == targets(network, ALLOWS) - targets(denied, DENIES)
