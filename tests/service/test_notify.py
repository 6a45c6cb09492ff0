"""What systemd is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyx_plugins.service.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Return the socket on which systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30.0)
        yield listener


def test_states_go_to_the_socket_that_is_named(systemd: socket.socket) -> None:
    """One datagram for each, and the variables are gone from the environment."""
    environ = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "3000000", "OTHER": "x"}
    notifier = Notifier(environ)
    assert environ == {"OTHER": "x"}
    assert notifier.watchdog_s == 1.5
    notifier.ready("3 plugins loaded")
    notifier.reloading()
    notifier.alive()
    notifier.stopping()
    assert systemd.recv(999) == b"READY=1\nSTATUS=3 plugins loaded"
    assert systemd.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert [systemd.recv(999), systemd.recv(999)] == [b"WATCHDOG=1", b"STOPPING=1"]


def test_abstract_names_are_understood() -> None:
    """A name that begins with "@" is one in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0nyx-plugins-test-{os.getpid()}")
        listener.settimeout(30.0)
        Notifier({"NOTIFY_SOCKET": f"@nyx-plugins-test-{os.getpid()}"}).alive()
        assert listener.recv(99) == b"WATCHDOG=1"


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    """No socket, one that is gone, or a watchdog that is another process's."""
    Notifier({}).ready("up")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("up")
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getppid())}).watchdog_s is None
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 0.5
    assert Notifier({"WATCHDOG_USEC": "nonsense"}).watchdog_s is None
