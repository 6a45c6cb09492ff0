"""For tests of directories: locks that are held and sockets that are listened at, until the test ends."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nyx_plugins.actors.transports.unix import directory


@pytest.fixture
def listening() -> Iterator[Callable[[Path], socket.socket]]:
    """Return a function that listens at a path until the test ends."""
    with contextlib.ExitStack() as sockets:

        def listen(path: Path) -> socket.socket:
            listener = sockets.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen()
            return listener

        yield listen


@pytest.fixture
def locked() -> Iterator[Callable[[Path], int]]:
    """Return a function that takes the lock of a directory until the test ends."""
    with contextlib.ExitStack() as locks:

        def lock(path: Path) -> int:
            held = directory.lock(str(path))
            assert held is not None
            locks.callback(os.close, held)
            return held

        yield lock


@pytest.fixture
def root(short: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where systems without a directory of their own lie."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    return Path(directory.root())
