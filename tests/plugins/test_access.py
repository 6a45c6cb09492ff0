"""What a policy allows: connections before and after the name is resolved, paths, and control frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.access import check_control, network_allows, path_allows
from nyx_plugins.plugins.policy import Policy


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
        ("*", "127.0.0.1:1", False),
        ("*", "localhost:1", False),
        ("*:1", "anything:1", True),
        ("*.example.com", "www.example.com:443", True),
        ("*.example.com", "example.com:443", False),
        ("*.example.com", "badexample.com:443", False),
        ("10.0.0.0/8", "10.1.2.3:443", True),
        ("10.0.0.0/8", "11.1.2.3:443", False),
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
        b"SBX:CONNECT *.a:80",
        b"SBX:CONNECT 8.0.0.0/8:80",
        b"SBX:CONNECT 0x7f.1:80",
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


PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.7"


@pytest.mark.parametrize(
    ("network", "host", "address", "allowed"),
    [
        (("example.com",), "example.com", PUBLIC, True),
        (("example.com",), "EXAMPLE.com.", "2606:2800:220:1::", True),
        (("example.com",), "example.com", PRIVATE, False),
        (("example.com",), "example.com", "127.0.0.1", False),
        (("example.com",), "example.com", "::1", False),
        (("example.com",), "example.com", "::ffff:127.0.0.1", False),
        (("example.com",), "example.com", "64:ff9b::7f00:1", False),
        (("example.com",), "example.com", "2002:7f00:1::", False),
        (("example.com",), "example.com", "fe80::1%eth0", False),
        (("example.com",), "example.com", "169.254.169.254", False),
        (("example.com",), "example.com", "100.64.0.1", False),
        (("example.com",), "example.com", "0.0.0.0", False),
        (("example.com",), "example.com", "fec0::1", False),
        (("example.com", "10.0.0.0/8"), "example.com", PRIVATE, True),
        (("example.com", "10.0.0.0/8:81"), "example.com", PRIVATE, False),
        (("example.com", "10.0.0.0/8"), "example.com", "::ffff:10.0.0.7", True),
        (("example.com", "0.0.0.0/0"), "example.com", PRIVATE, False),
        (("*",), "anything.example", PUBLIC, True),
        (("*",), "anything.example", PRIVATE, False),
        (("*",), "localhost", "127.0.0.1", False),
        (("*.example.com",), "a.b.example.com", PUBLIC, True),
        (("*.example.com",), "a.example.com", PRIVATE, False),
        (("localhost",), "localhost", "127.0.0.1", True),
        (("localhost",), "localhost", "::1", True),
        (("localhost",), "LOCALHOST.", "127.0.0.53", True),
        (("localhost",), "localhost", PRIVATE, False),
        (("localhost",), "localhost", PUBLIC, False),
        (("*.localhost",), "a.localhost", "127.0.0.1", True),
        (("10.0.0.0/8",), PRIVATE, PRIVATE, True),
        (("10.0.0.0/8",), PRIVATE, "10.0.0.8", False),
        ((PUBLIC,), PUBLIC, PUBLIC, True),
        (("[::1]",), "[::1]", "::1", True),
        (("[fd00::/8]",), "fd12::1", "fd12::1", True),
        (("*",), PRIVATE, PRIVATE, False),
        (("*",), PUBLIC, PUBLIC, True),
        (("*:80",), PUBLIC, PUBLIC, True),
        (("*:81",), PUBLIC, PUBLIC, False),
        (("example.com",), "example.com", "other.example", False),
    ],
)
def test_a_connection_is_checked_by_the_address_too(
    network: tuple[str, ...], host: str, address: str, allowed: bool
) -> None:
    """Where a name leads counts as well: to a private address only where a rule names that, whatever the spelling."""
    assert (network_allows(Policy(network=network), host, 80, address) is None) is allowed


@pytest.mark.parametrize(
    ("denied", "host", "address", "allowed"),
    [
        ("a.example", "a.example", PUBLIC, False),
        ("*.example", "a.example", PUBLIC, False),
        ("b.example", "a.example", PUBLIC, True),
        (PUBLIC, "a.example", PUBLIC, False),
        ("93.0.0.0/8", "a.example", PUBLIC, False),
        ("93.0.0.0/8:81", "a.example", PUBLIC, True),
        ("*", "a.example", PUBLIC, False),
        ("*:81", "a.example", PUBLIC, True),
        ("10.0.0.7", "a.example", PRIVATE, False),
        ("10.0.0.7", "a.example", "10.0.0.8", True),
        ("10.0.0.7", "a.example", "64:ff9b::a00:7", False),
        ("10.0.0.7", "a.example", "64:ff9b::a00:8", True),
        ("10.0.0.7", "a.example", "2002:a00:7::1", False),
        ("localhost", "a.example", "127.0.0.1", False),
        ("localhost", "127.0.0.1", None, False),
        ("0.0.0.0/0", "a.example", "127.0.0.1", False),
    ],
)
def test_deny_wins_over_allow(denied: str, host: str, address: str | None, allowed: bool) -> None:
    """By name or by address, also when an IPv4 address is reached by way of an IPv6 one."""
    network = ("*", "10.0.0.0/8", "127.0.0.0/8", "[64:ff9b::/96]", "[2002::/16]")
    policy = Policy(network=network, deny_network=(denied,))
    assert (network_allows(policy, host, 80, address) is None) is allowed


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "127.1",
        "0177.0.0.1",
        "127.0.0.1.2",
        "127.0.0.01",
        "1.2.3.0x4",
        "1.2.3.4..",
        "",
        ".",
        "a..b",
        "a b",
        "a/b",
        "a%00",
        "a\n",
        "*",
        "*.a",
        "10.0.0.0/8",
        "[::1",
        "::1%lo",
        "[fe80::1%eth0]",
        "a:1",
    ],
)
def test_odd_spellings_of_hosts_are_denied_even_where_all_is_allowed(host: str) -> None:
    """What resolvers take for an address in one place and for a name in another is neither here."""
    everything = Policy(network=("*", "0.0.0.0/0", "127.0.0.0/8", "[::/3]", "localhost", "*.localhost"))
    reason = network_allows(everything, host, 80)
    assert reason is not None
    assert reason.startswith("the host must have ")


@pytest.mark.parametrize(
    ("rule", "host"),
    [
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "B\u00dcCHER\u3002example."),
        ("127.0.0.1", "\uff11\uff12\uff17.0.0.1"),
        ("127.0.0.1", "127.0.0.1."),
        ("127.0.0.1", "::ffff:7f00:1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[::ffff:127.0.0.0/104]", "127.0.0.1"),
    ],
)
def test_spellings_of_one_host_are_one_host(rule: str, host: str) -> None:
    """Case, dots, widths, international names and IPv4 within IPv6 make no difference."""
    assert network_allows(Policy(network=(rule,)), host, 80) is None


@pytest.mark.parametrize("port", [0, -1, 65_536, pytest.param(10**5000, id="huge")])
def test_ports_out_of_range_are_denied(port: int) -> None:
    """The reason holds the range."""
    assert "must be 1 to 65,535" in str(network_allows(Policy(network=("*",)), "a", port))


def test_reasons_name_the_culprit_and_the_list() -> None:
    """Whoever reads them knows what to add to which list."""
    policy = Policy(network=("a.example:443",), deny_network=("10.0.0.0/8",))
    assert network_allows(policy, "a.example", 443, "127.0.0.1") == (
        "host 'a.example' leads to 127.0.0.1, which is not public and not named in the network list (a.example:443)"
    )
    assert network_allows(policy, "a.example", 443, PRIVATE) == (
        "host 'a.example' leads to 10.0.0.7, and address '10.0.0.7' is denied (10.0.0.0/8)"
    )
    assert network_allows(policy, PRIVATE, 443) == "address '10.0.0.7' is denied (10.0.0.0/8)"
    assert network_allows(policy, "127.0.0.1", 443, PUBLIC) == (
        "host '127.0.0.1' is an address, and leads nowhere else, such as to 93.184.216.34"
    )


@given(st.text(max_size=300), st.integers(), st.none() | st.text(max_size=60))
def test_no_host_raises_anything_or_passes_an_empty_policy(host: str, port: int, address: str | None) -> None:
    """Whatever a plugin asks for, there is a reason."""
    assert network_allows(Policy(), host, port, address) is not None


def test_denied_paths_win_over_allowed_ones(tmp_path: Path) -> None:
    """What may be written may be read, unless reading is denied, which denies writing too; the list is shown."""
    root = str(tmp_path)
    policy = Policy(write_paths=(root,), deny_read_paths=(f"{root}/r",), deny_write_paths=(f"{root}/w",))
    assert path_allows(policy, f"{root}/x") is path_allows(policy, f"{root}/x", write=True) is None
    assert path_allows(policy, f"{root}/r/x") == f"path '{root}/r/x' is in the denied paths ({root}/r)"
    for name in ("r", "w"):
        reason = f"path '{root}/{name}/x' is in the denied paths ({root}/r, {root}/w)"
        assert path_allows(policy, f"{root}/{name}/x", write=True) == reason
    assert path_allows(policy, f"{root}/w/x") is None


def test_read_paths_may_not_be_written(tmp_path: Path) -> None:
    """Reading is not writing."""
    policy = Policy(read_paths=(str(tmp_path),))
    assert path_allows(policy, str(tmp_path / "x")) is None
    assert "not in the allowed paths" in str(path_allows(policy, str(tmp_path / "x"), write=True))


def test_a_link_into_a_denied_folder_is_denied(tmp_path: Path) -> None:
    """A path is judged by where it leads."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "link").symlink_to("secret")
    policy = Policy(read_paths=(str(tmp_path),), deny_read_paths=(str(tmp_path / "secret"),))
    assert path_allows(policy, str(tmp_path / "link" / "x")) is not None
