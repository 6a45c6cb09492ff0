"""For tests of the transport's parts: short private directories, and a check that no descriptor is left open."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nyx_plugins.actors.transports.unix import directory

NewDirectory = Callable[[], contextlib.AbstractContextManager[Path]]


@contextlib.contextmanager
def _new_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="u", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path)
        directory.forget_key(str(path))


@pytest.fixture(scope="session")
def new_directory() -> NewDirectory:
    """Return a maker of private directories with paths short enough for sockets; a property test needs many."""
    return _new_directory


@pytest.fixture
def short(new_directory: NewDirectory) -> Iterator[Path]:
    """Return a private directory with a short path."""
    with new_directory() as path:
        yield path


@pytest.fixture(scope="session")
def open_descriptors() -> Callable[[], set[int]]:
    """Return a function that lists the open descriptors of this process."""
    return _open_descriptors


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    """Fail a test after which other descriptors are open than before."""
    before = _open_descriptors()
    yield
    assert _open_descriptors() == before


def _open_descriptors() -> set[int]:
    names = os.listdir("/proc/self/fd")  # with the one that lists them, which is closed then
    return {int(name) for name in names if os.path.lexists(f"/proc/self/fd/{name}")}
