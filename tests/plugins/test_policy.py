"""Policies: the decision, and the check of control frames."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config import Ceiling, ConfigError, SandboxRequest
from nyx_plugins.config.network import parse_rule
from nyx_plugins.plugins.policy import Policy, check_control, decide, is_within

MIB = 1024 * 1024


def granted(request: SandboxRequest, ceiling: Ceiling, **options: Any) -> Policy:
    """The policy of a request that must not be refused."""
    decision = decide(request, ceiling, **options)
    assert isinstance(decision, Policy), decision
    return decision


def refused(request: SandboxRequest, ceiling: Ceiling) -> tuple[str, ...]:
    """The reasons of a request that must be refused."""
    decision = decide(request, ceiling)
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


NAMES = st.sampled_from(["a", "b", "ab", "A"])
PATHS = st.lists(NAMES | st.just(".."), max_size=4).map(lambda parts: "/nowhere/" + "/".join(parts))
RULES = st.sampled_from(["*", "a", "A:1", "a:1", "a:2", "b", "b:1", "[::1]", "[0::1]:1", "[::2]:1"])


def access(cls: Any, **numbers: Any) -> st.SearchStrategy[Any]:
    """Requests or ceilings over a small world in which much overlaps."""
    lists = dict(
        read_paths=st.lists(PATHS, max_size=3).map(tuple),
        write_paths=st.lists(PATHS, max_size=3).map(tuple),
        network=st.lists(RULES, max_size=3).map(tuple),
        environment=st.lists(st.sampled_from(["TZ", "LANG", "X"]), max_size=2).map(tuple),
        subprocesses=st.booleans(),
        memory_bytes=st.none() | st.integers(16 * MIB, 18 * MIB),
        cpu_seconds=st.none() | st.integers(1, 3),
    )
    return st.builds(cls, **lists, **numbers)


TIMES, FILES = st.floats(0.5, 2), st.integers(16, 18)
REQUESTS = access(SandboxRequest, wall_time_s=st.none() | TIMES, open_files=st.none() | FILES)
CEILINGS = access(Ceiling, wall_time_s=TIMES, open_files=FILES)


def wider(policy: Policy, ceiling: Ceiling) -> list[str]:
    """The fields in which a policy exceeds a ceiling, found without the code under test."""

    def outside(path: str, roots: tuple[str, ...]) -> bool:
        return not any(Path(path).is_relative_to(os.path.realpath(root)) for root in roots)

    def reachable(rules: tuple[str, ...]) -> set[tuple[str, int]]:
        hosts, ports = ("a", "b", "::1", "::2", "c"), (1, 2, 3)
        parsed = [parse_rule(rule) for rule in rules]
        return {
            (host, port)
            for host in hosts
            for port in ports
            if any(rule.host in ("*", host) and rule.port in (None, port) for rule in parsed)
        }

    def above(value: float | None, limit: float | None) -> bool:
        return limit is not None and (value is None or value > limit)

    found = {
        "read_paths": any(outside(path, ceiling.read_paths) for path in policy.read_paths),
        "write_paths": any(outside(path, ceiling.write_paths) for path in policy.write_paths),
        "network": not reachable(policy.network) <= reachable(ceiling.network),
        "environment": not set(policy.environment) <= set(ceiling.environment),
        "subprocesses": policy.subprocesses and not ceiling.subprocesses,
        "memory_bytes": above(policy.memory_bytes, ceiling.memory_bytes),
        "cpu_seconds": above(policy.cpu_seconds, ceiling.cpu_seconds),
        "wall_time_s": above(policy.wall_time_s, ceiling.wall_time_s),
        "open_files": above(policy.open_files, ceiling.open_files),
    }
    return [name for name, exceeds in found.items() if exceeds]


@given(REQUESTS, CEILINGS, st.none() | TIMES)
def test_a_decided_policy_is_never_wider_than_the_ceiling(
    request: SandboxRequest, ceiling: Ceiling, default: float | None
) -> None:
    """Whatever is asked for, what is granted stays below the ceiling in every field."""
    decision = decide(request, ceiling, default_wall_time_s=default)
    if isinstance(decision, Policy):
        assert wider(decision, ceiling) == []
    else:
        assert decision


@given(REQUESTS)
def test_a_request_below_its_own_ceiling_is_granted_as_asked(request: SandboxRequest) -> None:
    """Nothing is refused that the operator allows word for word."""
    values = attrs.asdict(request)
    defaults = attrs.asdict(Ceiling())
    values = {name: defaults[name] if value is None else value for name, value in values.items()}
    policy = granted(request, Ceiling(**values))
    assert (policy.network, policy.environment) == (request.network, request.environment)
    assert policy.read_paths == tuple(map(os.path.realpath, request.read_paths))


@given(REQUESTS, CEILINGS, st.sampled_from(["a", "A.", "b", "[::1]", "[::2]", "c"]), st.integers(1, 3), PATHS)
def test_control_frames_reach_nothing_outside_the_ceiling(
    request: SandboxRequest, ceiling: Ceiling, host: str, port: int, path: str
) -> None:
    """What a decided policy lets through, a policy as wide as the ceiling lets through as well."""
    decision = decide(request, ceiling)
    if isinstance(decision, Policy):
        widest = Policy(ceiling.read_paths, ceiling.write_paths, ceiling.network)
        for data in (f"SBX:CONNECT {host}:{port}".encode(), f"SBX:OPEN {path}".encode()):
            assert check_control(decision, data) is not None or check_control(widest, data) is None


@pytest.mark.parametrize("data", [b"", b"hello", b"sbx:CONNECT a:1", b" SBX:OPEN /etc", b"SBX", b"\xff\xfe"])
def test_other_control_data_are_none_of_the_policys_business(data: bytes) -> None:
    """Only data that begin with SBX: are requests."""
    assert check_control(Policy(), data) is None


@pytest.mark.parametrize(
    ("rule", "target", "allowed"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1", "127.0.0.1:81", True),
        ("example.com", "EXAMPLE.com.:443", True),
        ("example.com", "www.example.com:443", False),
        ("example.com", "example.com.evil:443", False),
        ("[::1]", "[0:0::1]:9", True),
        ("[::1]:8", "[::1]:9", False),
        ("*", "anything:1", True),
    ],
)
def test_connects_are_compared_with_the_network_list(rule: str, target: str, allowed: bool) -> None:
    """Hosts compare without case, ports only where the rule names one."""
    assert (check_control(Policy(network=(rule,)), f"SBX:CONNECT {target}".encode()) is None) is allowed


def test_a_denied_connect_names_the_culprit_and_the_list() -> None:
    """The reason tells a wrong host from a wrong port, and shows what is allowed."""
    policy = Policy(network=("127.0.0.1:80",))
    assert check_control(policy, b"SBX:CONNECT evil.example:80") == (
        "host 'evil.example' is not in the network list (127.0.0.1:80)"
    )
    assert check_control(policy, b"SBX:CONNECT 127.0.0.1:81") == (
        "port 81 of host '127.0.0.1' is not in the network list (127.0.0.1:80)"
    )
    assert check_control(Policy(), b"SBX:CONNECT a:1") == "host 'a' is not in the network list (none)"


@pytest.mark.parametrize(
    "data",
    [
        b"SBX:",
        b"SBX:CONNECT",
        b"SBX:CONNECT ",
        b"SBX:CONNECT a",
        b"SBX:CONNECT *",
        b"SBX:CONNECT *:80",
        b"SBX:CONNECT a:0",
        b"SBX:CONNECT a:99999",
        b"SBX:CONNECT  a:1",
        b"SBX:CONNECT a:1 ",
        b"SBX:CONNECT a:1\n",
        b"SBX:CONNECT ::1:80",
        b"SBX:CONNECT\ta:1",
        b"SBX:connect a:1",
        b"SBX:OPEN",
        b"SBX:OPEN ",
        b"SBX:OPEN relative",
        b"SBX:OPEN /a\0b",
        b"SBX:OPEN \xff",
        b"SBX:DELETE /",
        b"SBX:OPEN /" + b"a/" * 40_000,
    ],
)
def test_requests_of_another_form_are_denied_even_where_all_is_allowed(data: bytes) -> None:
    """A request that can't be read is never let through, and its reason is short."""
    reason = check_control(Policy(read_paths=("/",), write_paths=("/",), network=("*",)), data)
    assert reason is not None
    assert len(reason) < 250


def test_open_is_allowed_in_read_and_in_write_paths(tmp_path: Path) -> None:
    """Either list will do; what does not exist yet counts by its folder."""
    policy = Policy(read_paths=(str(tmp_path / "r"),), write_paths=(str(tmp_path / "w"),))
    for allowed in ("r", "r/x", "w/new/file", "r/../w/x"):
        assert check_control(policy, f"SBX:OPEN {tmp_path}/{allowed}".encode()) is None
    for denied in ("", "rr/x", "r/..", "r/../../x"):
        assert check_control(policy, f"SBX:OPEN {tmp_path}/{denied}".encode()) is not None


def test_a_denied_open_says_where_the_path_leads() -> None:
    """The reason shows the resolved path and both lists."""
    assert check_control(Policy(read_paths=("/nowhere",)), b"SBX:OPEN /nowhere/../other") == (
        "path '/nowhere/../other' (which is '/other') is not in the allowed paths "
        "(read paths: /nowhere; write paths: none)"
    )


def test_a_link_inside_the_paths_does_not_lead_out(tmp_path: Path) -> None:
    """A path is judged by where it leads."""
    (tmp_path / "link").symlink_to("/etc")
    reason = check_control(Policy(read_paths=(str(tmp_path),)), f"SBX:OPEN {tmp_path}/link/passwd".encode())
    assert reason is not None
    assert "which is '/etc/passwd'" in reason


def test_replacing_an_allowed_folder_by_a_link_does_not_widen_the_policy(tmp_path: Path) -> None:
    """A policy means the folder that was there when it was decided."""
    own = tmp_path / "own"
    own.mkdir()
    policy = Policy(write_paths=(str(own),))
    own.rmdir()
    own.symlink_to("/etc")
    assert check_control(policy, f"SBX:OPEN {own}/passwd".encode()) is not None


def test_a_loop_of_links_is_denied(tmp_path: Path) -> None:
    """A path that leads nowhere raises nothing."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert check_control(Policy(read_paths=("/nowhere",)), f"SBX:OPEN {tmp_path}/a/x".encode()) is not None


@given(st.binary(max_size=50).map(lambda rest: b"SBX:" + rest))
def test_no_bytes_raise_anything_or_pass_an_empty_policy(data: bytes) -> None:
    """A policy that allows nothing gives a reason for every request."""
    assert check_control(Policy(), data) is not None
