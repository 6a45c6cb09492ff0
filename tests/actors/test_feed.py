"""``Feed``: frames of an iterator go as they come, in order, whoever sends them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins import PluginNotRegistered
from nyx_plugins.actors import feed as module
from nyx_plugins.actors.feed import Feed
from nyx_plugins.actors.series import MOST_WAITING, Piece, Sendable, Series
from nyx_plugins.actors.waiting import Waiter


class Sender:
    """Answers each frame with an error that names it; a frame of type 0 can't be sent at all."""

    def __init__(self) -> None:
        self.told = 0
        self.series = Series(self.enter)
        self.feed = Feed(self.series, self.send, self.tell)

    def tell(self) -> None:
        """Count."""
        self.told += 1

    def enter(self, frames: Iterable[Sendable]) -> list[Piece]:
        """Send, as a session does it for a caller."""
        self.feed.flow()
        return self.send(frames)

    def send(self, frames: Iterable[Sendable]) -> list[Piece]:
        """Send."""
        found: list[Piece] = []
        for frame_type, _, _ in frames:
            if not frame_type:
                raise TypeError("unhashable")
            found.append(PluginNotRegistered(frame_type))
        return found

    @property
    def sent(self) -> list[int]:
        """What was sent, in order."""
        return [piece.plugin_id for piece in self.series.entries if isinstance(piece, PluginNotRegistered)]


def frames(*numbers: int) -> Iterator[Sendable]:
    """Make frames of these types."""
    return ((number, b"", None) for number in numbers)


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_order_is_kept_whoever_sends(flows: list[bool], most: int) -> None:
    """The thread that sends may take frames at any moment; each is sent once, and counted once."""
    sender, count = Sender(), 0

    def iterator() -> Iterator[Sendable]:
        for number, is_taken in enumerate(flows, 1):
            yield number, b"", None
            if is_taken:
                sender.feed.flow()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GO_FRAMES", most)
        for go, come in sender.feed.goes(iterator()):
            sender.series.send(go)
            count += come
            assert len(sender.sent) == count
    assert sender.sent == list(range(1, len(flows) + 1))


def test_what_has_come_does_not_wait_for_the_next() -> None:
    """The first goes at once, somebody is told of each other one, and nothing is asked of the iterator before."""
    sender, asked = Sender(), []

    def iterator() -> Iterator[Sendable]:
        for number in range(1, 5):
            asked.append((number, len(sender.sent), sender.told))
            sender.feed.flow()
            yield number, b"", None

    for go, _ in sender.feed.goes(iterator()):
        sender.series.send(go)
    assert asked == [(1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 2, 2)]


def test_what_comes_before_an_error_goes_before_it() -> None:
    """Whatever the error is, Ctrl-C too."""

    def iterator() -> Iterator[Sendable]:
        yield from frames(1, 2, 3)
        raise KeyboardInterrupt

    sender = Sender()
    with pytest.raises(KeyboardInterrupt):
        for go, _ in sender.feed.goes(iterator()):
            sender.series.send(go)
    assert sender.sent == [1, 2, 3]


@pytest.mark.parametrize("is_taken", [True, False])
def test_what_can_not_be_sent_ends_it(is_taken: bool) -> None:
    """The caller is told, in whatever thread it was found; no frame behind it is sent, and no other asked for."""
    sender, rest = Sender(), frames(*range(6, 1000))

    def iterator() -> Iterator[Sendable]:
        yield from frames(1, 2, 0, 4)
        if is_taken:
            sender.feed.flow()
        yield from frames(5)
        yield from rest

    with pytest.raises(TypeError, match="unhashable"):
        for go, _ in sender.feed.goes(iterator()):
            sender.series.send(go)
    assert sender.sent == [1]
    assert (next(rest)[0] == 6) is is_taken


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_nothing_is_asked_for_once_time_is_over(asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for before is sent; an error takes the place of the rest, of which nothing is lost."""
    sender, now = Sender(), [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def iterator() -> Iterator[Sendable]:
        for number in itertools.count(1):
            now[0] = 5.0 * (number > asked)
            yield number, b"", None

    feed = Feed(sender.series, sender.send, sender.tell, 5.0)
    rest = iterator()
    for go, _ in feed.goes(rest):
        feed.flow()
        sender.series.send(go)
    assert sender.sent == list(range(1, asked + 2))
    assert str(sender.series.entries[-1]) == "the end of the iterator of frames not within 5 s"
    assert next(rest)[0] == asked + 2


def test_a_crowd_holds_it_up() -> None:
    """With many in line the caller has its turn, before another frame is asked for."""
    sender, asked = Sender(), 0

    def iterator() -> Iterator[Sendable]:
        nonlocal asked
        for number in range(1, 10):
            asked = number
            yield number, b"", None

    goes = sender.feed.goes(iterator())
    sender.series.send(next(goes)[0])
    sender.series.add([Waiter(7, 0x52, b"")] * MOST_WAITING)
    assert (next(goes), asked) == (([], 1), 2)
