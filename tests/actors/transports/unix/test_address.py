"""Addresses and the ways to write them down."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thespian.actors import ActorAddress, InvalidActorAddress

from nyx_plugins.actors.transports.unix import directory
from nyx_plugins.actors.transports.unix.address import (
    CONVENTION_CAPABILITY,
    UnixAddress,
    address,
    admin_address,
    convention_addresses,
    parse,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=10)


def _path(found: ActorAddress) -> str:
    return found.addressDetails.path


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where systems without a directory of their own lie."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / f"thespian-{os.getuid()}"


def test_a_path_is_an_address() -> None:
    """What has a slash is the path of a socket, made absolute and plain."""
    assert _path(parse("/run/x/admin")) == "/run/x/admin"
    assert _path(parse("/run/x/../y//admin")) == "/run/y/admin"
    assert _path(parse("./admin")) == os.path.join(os.getcwd(), "admin")


@pytest.mark.parametrize("text", ["localhost:1234", ":1234", ("localhost", 1234), ("", "1234"), "anything:1234"])
def test_a_port_means_the_admin_of_that_number(text: str | tuple[object, ...], base: Path) -> None:
    """Of Thespian's host and port the host is ignored, and the port names a directory."""
    assert _path(parse(text)) == str(base / "1234" / "admin")


@pytest.mark.parametrize("text", ["localhost", "", ("localhost",), ()])
def test_without_a_port_the_usual_one_is_meant(text: str | tuple[object, ...], base: Path) -> None:
    """A host alone means the admin of Thespian's default port."""
    assert _path(parse(text)) == str(base / "1900" / "admin")


@pytest.mark.parametrize(
    "text", ["host:", "host:port", "::1", ("host", "port"), ("host", None), ("host", [1]), "a:1 2"]
)
def test_nonsense_is_no_address(text: str | tuple[object, ...]) -> None:
    """What is neither a path nor has a number for a port is refused as Thespian's own bases do, with the text."""
    with pytest.raises(InvalidActorAddress, match="neither the path of a socket nor HOST:PORT"):
        parse(text)


def test_equal_paths_are_equal_addresses() -> None:
    """Addresses of one path are one address for dictionaries, and no others are."""
    assert UnixAddress("/a/b") == UnixAddress("/a/b") != UnixAddress("/a/c")
    assert UnixAddress("/a/b") != "/a/b"
    assert len({UnixAddress("/a/b"), UnixAddress("/a/b"), UnixAddress("/a/c")}) == 2
    assert address("/a/b") == address("/a/b") != address("/a/c")


def test_an_address_is_written_as_thespian_does() -> None:
    """The text has the form of Thespian's addresses: a letter, the name and the directory."""
    assert str(UnixAddress("/run/x/12-ab")) == "(U|12-ab:/run/x)"
    assert str(address("/run/x/12-ab")) == "ActorAddr-(U|12-ab:/run/x)"
    assert repr(UnixAddress("/run/x/12-ab")) == "UnixAddress('/run/x/12-ab')"


@given(st.lists(NAMES, min_size=1, max_size=4), st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_addresses_travel(names: list[str], protocol: int) -> None:
    """An address is the same after pickling and copying."""
    one = address("/" + "/".join(names))
    assert pickle.loads(pickle.dumps(one, protocol)) == one
    assert copy.deepcopy(one) == one
    assert hash(pickle.loads(pickle.dumps(one, protocol)).addressDetails) == hash(one.addressDetails)


def test_the_admin_of_a_system_is_found(base: Path) -> None:
    """The capabilities name the directory, or a port that stands for one, or neither."""
    assert _path(admin_address({directory.DIRECTORY_CAPABILITY: "/run/x/"})) == "/run/x/admin"
    assert _path(admin_address({directory.PORT_CAPABILITY: 12})) == str(base / "12" / "admin")
    assert _path(admin_address({})) == str(base / "1900" / "admin")


@pytest.mark.parametrize("capabilities", [{}, {CONVENTION_CAPABILITY: ""}, {CONVENTION_CAPABILITY: None}])
def test_no_convention_is_meant(capabilities: dict[str, object]) -> None:
    """A system without the capability, or with an empty one, belongs to no convention."""
    assert convention_addresses(capabilities) is None


@pytest.mark.parametrize(
    "wanted", ["/run/x/admin", ["/run/x/admin"], ["/run/x/admin", "host:1234"], ("host", 1234), [("host", 1234)]]
)
def test_the_leaders_of_a_convention(wanted: object, base: Path) -> None:
    """The leaders are named by one address or a list of them, each in any of the ways to write one down."""
    known = {"/run/x/admin": address("/run/x/admin")}
    other = address(str(base / "1234" / "admin"))
    expected = [known.get(each, other) for each in (wanted if isinstance(wanted, list) else [wanted])]
    assert convention_addresses({CONVENTION_CAPABILITY: wanted}) == expected
