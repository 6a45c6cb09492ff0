"""Messages are written down as pickles, and kinds that were registered by the values in them."""

from __future__ import annotations

import pickle
from typing import NamedTuple

import pytest

from nyx_plugins.actors.transports.unix import short


class _Point(NamedTuple):
    x: int
    y: int


@pytest.fixture(autouse=True)
def _points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short, "_kinds", {})
    monkeypatch.setattr(short, "_makers", {})
    short.register(7, _Point, tuple, lambda values: _Point(*values))


class _Place(_Point):
    """Not the class that was registered."""


@pytest.mark.parametrize("message", [_Point(1, 2), _Place(1, 2), (7, (1, 2)), b"\1", None, "text"])
def test_what_was_written_is_read(message: object) -> None:
    """Each message is read as it was written, of its own class, whether its kind has a short form or not."""
    read = short.loads(short.dumps(message))
    assert read == message and type(read) is type(message)


def test_a_short_form_names_no_class() -> None:
    """What is registered is written without the name of its class, and is no pickle."""
    written = short.dumps(_Point(1, 2))
    assert b"_Point" not in written and b"_Place" in short.dumps(_Place(1, 2))
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(written)


@pytest.mark.parametrize("content", [b"", b"\1", b"\1" + pickle.dumps((8, ())), b"\1" + pickle.dumps(3)])
def test_what_nobody_wrote_is_refused(content: bytes) -> None:
    """Rubbish and unknown numbers raise an exception, which their receiver takes for an unreadable message."""
    with pytest.raises(Exception, match=r".*"):
        short.loads(content)
