"""Addresses that are listened at, and the hosts by which browsers may reach them."""

from __future__ import annotations

import socket

import pytest

from nyx_plugins import StartupError
from nyx_plugins.service.listening import Place, listen, place_of

LOOPBACK = Place("localhost", "127.0.0.1", 8080)
ANYWHERE = Place("0.0.0.0", "0.0.0.0", 8080)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "localhost."]
)
def test_loopback_is_reached_by_its_names(host: str) -> None:
    """Every name of loopback is allowed, on any port: a forwarded one has another."""
    assert LOOPBACK.allows(host)
    assert ANYWHERE.allows(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            None,
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost/",
        ),
        *(
            "10.0.0.1:8080",
            "localhost:8080:1",
            "user@localhost",
            "[::1",
            "::1",
            "localhost\n",
            "2130706433",
            "[fe80::1%lo]",
        ),
    ],
)
def test_loopback_is_not_reached_by_other_names(host: str | None) -> None:
    """A name that somebody else makes lead to us is refused, and so is whatever is no host at all."""
    assert not LOOPBACK.allows(host)


def test_other_addresses_are_reached_by_any_address_and_this_machines_name() -> None:
    """What listens on a network has many addresses, and this machine's name; a stranger's name is refused even so."""
    assert ANYWHERE.allows("10.0.0.1:8080")
    assert ANYWHERE.allows("[2001:db8::1]:8080")
    assert ANYWHERE.allows(socket.gethostname())
    assert not ANYWHERE.allows("evil.example:8080")


def test_the_configured_name_is_allowed() -> None:
    """Who configures a name means it."""
    assert Place("box.example", "10.0.0.1", 80).allows("box.example:80")


def test_an_address_that_is_taken_is_told_in_one_sentence() -> None:
    """A busy port is an error of the start that names what, where and why."""
    with listen("127.0.0.1:0", "metrics") as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartupError) as told:
            listen(address, "metrics")
    assert str(told.value) == f"metrics can't be served at {address}: Address already in use; give another address"


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:70000", "no-such-host.invalid:80", "203.0.113.1:80"])
def test_an_address_that_is_none_is_told_in_one_sentence(address: str) -> None:
    """Nonsense, unknown names and addresses of other machines are errors of the start too."""
    with pytest.raises(StartupError, match=f"the dashboard can't be served at {address}: ") as told:
        listen(address, "the dashboard")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0"])
def test_a_place_has_its_url(address: str) -> None:
    """Port 0 becomes the port that was free."""
    with listen(address, "metrics") as listener:
        place = place_of(listener, address)
        assert place.url.endswith(f":{listener.getsockname()[1]}") and place.port != 0
        host = place.url.removeprefix("http://").rpartition(":")[0].strip("[]")
        socket.create_connection((host, place.port), timeout=30).close()


def test_an_ipv6_url_has_brackets() -> None:
    """A URL puts an IPv6 address in brackets."""
    assert Place("::1", "::1", 80).url == "http://[::1]:80"
