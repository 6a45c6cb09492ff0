"""What waits is bounded on both sides: senders wait for room, and receivers read no more than they hand out."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from .conftest import Member, Town

QUEUE_BYTES = 64 << 10
# What one call of the kernel reads at most.
READING_BYTES = 1 << 18


def _fill(sender: Member, target: Member) -> int:
    """Send until more waits than may; returns the number of messages."""
    count = 0
    while not sender.links.room.is_missing(str(target.path), QUEUE_BYTES):
        sender.post(target, count, 10_000)
        count += 1
    return count


def _read_all(receiver: Member) -> None:
    """Read what has come so far, and take it."""
    for _ in range(10):
        receiver.links.poll(0.0)
        receiver.take()


def test_a_way_is_full_when_more_waits_than_may(town: Town) -> None:
    """A way nobody has used is not full; a used one is when more waits than asked about."""
    sender, receiver = town.member("sender"), town.member("receiver")
    path = str(receiver.path)
    assert not sender.links.room.is_missing(path, 0)
    sender.post(receiver, "written")
    assert not sender.links.room.is_missing(path, 0)
    _fill(sender, receiver)
    assert sender.links.room.is_missing(path, 0) and sender.links.room.is_missing(path, QUEUE_BYTES)
    assert not sender.links.room.is_missing(path, 1 << 30)


def test_where_nothing_waits_there_is_room(town: Town) -> None:
    """There is room for a peer that was never sent to, and for one that has taken everything."""
    sender, receiver = town.member("sender", queue_bytes=QUEUE_BYTES), town.member("receiver")
    assert sender.links.room.wait(str(receiver.path))
    sender.post(receiver, "message")
    assert sender.links.room.wait(str(receiver.path))


def test_a_peer_that_reads_makes_room(town: Town) -> None:
    """A sender waits until at most half of what may wait does."""
    sender, receiver = town.member("sender", queue_bytes=QUEUE_BYTES), town.member("receiver")
    for is_loop in (True, False):
        before = len(receiver.taken)
        count = _fill(sender, receiver)
        _read_all(receiver)
        assert sender.links.room.wait(str(receiver.path), is_loop)
        assert not sender.links.room.is_missing(str(receiver.path), QUEUE_BYTES // 2)
        town.until(lambda total=before + count: receiver.take() is not None and len(receiver.taken) == total)


def test_a_peer_that_does_not_read_is_stalled_until_it_does(town: Town) -> None:
    """A sender waits only so long for a peer that takes nothing, and not again before it has taken something."""
    sender = town.member("sender", queue_bytes=QUEUE_BYTES, stall_s=0.02)
    receiver = town.member("receiver")
    count = _fill(sender, receiver)
    for is_loop in (True, False, True):
        assert not sender.links.room.wait(str(receiver.path), is_loop)
    assert sender.links.room.is_missing(str(receiver.path), QUEUE_BYTES)
    _read_all(receiver)
    sender.links.poll(0.0)
    assert sender.links.room.wait(str(receiver.path))
    town.until(lambda: receiver.take() is not None and len(receiver.taken) == count)
    assert receiver.taken == list(range(count))


def test_a_stalled_peer_is_not_waited_for_again(town: Town) -> None:
    """Who has waited in vain is told at once the next time, without so much as looking."""
    sender = town.member("sender", queue_bytes=QUEUE_BYTES, stall_s=0.01)
    receiver, other = town.member("receiver"), town.member("other")
    _fill(sender, receiver)
    assert not sender.links.room.wait(str(receiver.path))
    other.post(sender, "hello")
    assert not sender.links.room.wait(str(receiver.path))
    assert sender.take() == []
    sender.links.poll(0.0)
    assert sender.take() == ["hello"]


def test_a_peer_that_ends_leaves_nothing_to_wait_for(town: Town) -> None:
    """A wait for room ends when the peer does, and its messages have failed or are lost."""
    sender, receiver = town.member("sender", queue_bytes=QUEUE_BYTES), town.member("receiver")
    count = _fill(sender, receiver)
    receiver.links.close()
    assert sender.links.room.wait(str(receiver.path))
    assert sender.lost + sender.failed == list(range(count))


def test_a_sender_that_waits_goes_on_receiving(town: Town) -> None:
    """While one waits for room, what others send it comes in."""
    sender = town.member("sender", queue_bytes=QUEUE_BYTES, stall_s=0.02)
    receiver, other = town.member("receiver"), town.member("other")
    _fill(sender, receiver)
    other.post(sender, "hello")
    assert not sender.links.room.wait(str(receiver.path))
    assert sender.take() == ["hello"]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), min_size=20, max_size=80))
def test_no_more_waits_than_may(
    new_town: Callable[[], AbstractContextManager[Town]], messages: list[tuple[int, bool]]
) -> None:
    """Of a sender that waits for room, never more than the limit and one message wait, and nothing is lost."""
    with new_town() as town:
        sender = town.member("sender", queue_bytes=QUEUE_BYTES, stall_s=0.001)
        receiver = town.member("receiver", incoming_bytes=10_000)
        path, sent = str(receiver.path), []
        for number, (size, is_read) in enumerate(messages):
            if is_read:
                receiver.links.poll(0.0)
                receiver.take(1)
            if sender.links.room.is_missing(path, QUEUE_BYTES) and not sender.links.room.wait(path):
                continue
            sent.append(number)
            sender.post(receiver, number, size)
            assert not sender.links.room.is_missing(path, QUEUE_BYTES + 25_000)
        town.until(lambda: receiver.take() is not None and len(receiver.taken) >= len(sent))
        assert receiver.taken == sent


def test_a_receiver_that_takes_nothing_reads_only_so_much(town: Town) -> None:
    """Reading pauses while more waits than may, whoever sends, and goes on with nothing lost once it is taken."""
    receiver = town.member("receiver", incoming_bytes=100_000)
    senders = [town.member(f"sender-{number}") for number in range(3)]
    for number in range(150):
        for sender in senders:
            sender.post(receiver, (sender.path.name, number), 10_000)
    for _ in range(30):
        town.turn()
    waiting = sum(len(payload) for _, payload in receiver.links.incoming)
    assert 100_000 < waiting <= 100_000 + READING_BYTES * len(senders)
    town.until(lambda: receiver.take(5) is not None and len(receiver.taken) == 450)
    for sender in senders:
        assert [number for name, number in receiver.taken if name == sender.path.name] == list(range(150))
        assert len(sender.told) == 150


def test_a_large_message_comes_although_it_is_above_what_may_wait(town: Town) -> None:
    """A message that is larger than what may wait comes alone, and what follows after it."""
    receiver, sender = town.member("receiver", incoming_bytes=1000), town.member("sender")
    for number in range(4):
        sender.post(receiver, number, 1_000_000)
    town.until(lambda: receiver.take(1) is not None and len(receiver.taken) == 4)
    assert receiver.taken == [0, 1, 2, 3]


def test_who_has_paused_still_sends_and_lets_others_in(town: Town) -> None:
    """A receiver that reads no more writes on, and connections that are made meanwhile are read later."""
    receiver, sender = town.member("receiver", incoming_bytes=1000), town.member("sender")
    sender.post(receiver, "much", 10_000)
    town.until(lambda: receiver.links.incoming)
    sender.post(receiver, "more")
    late = town.member("late")
    late.post(receiver, "late")
    receiver.post(sender, "answer", 500_000)
    receiver.post(late, "answer")
    town.until(lambda: sender.take() is not None and late.take() is not None and sender.taken and late.taken)
    town.until(lambda: receiver.take() is not None and len(receiver.taken) == 3)
    assert sorted(receiver.taken) == ["late", "more", "much"]


def test_who_has_paused_notices_an_end(town: Town) -> None:
    """What a peer has sent before it ended comes, although reading had paused, and what waits for it is lost."""
    receiver, sender = town.member("receiver", incoming_bytes=1000), town.member("sender")
    for number in range(20):
        sender.post(receiver, number, 1000)
    town.until(lambda: receiver.links.incoming)
    sender.post(receiver, 20)
    sender.links.close()
    receiver.post(sender, "answer")
    town.until(lambda: receiver.lost + receiver.failed)
    town.until(lambda: receiver.take() is not None and len(receiver.taken) == 21)
    assert receiver.taken == list(range(21))


def test_who_has_paused_notices_an_end_without_writing(town: Town) -> None:
    """A peer that ends while reading is paused is read to its end, and what it had not taken is lost."""
    receiver, sender = town.member("receiver", incoming_bytes=1000), town.member("sender")
    sender.post(receiver, 0, 5000)
    town.until(lambda: receiver.links.incoming)
    receiver.post(sender, "answer")
    sender.post(receiver, 1)
    sender.links.close()
    town.until(lambda: receiver.lost == ["answer"])
    assert receiver.take() == [0, 1]


def test_payloads_are_what_was_sent(town: Town) -> None:
    """Large payloads are handed out as they were sent, byte for byte."""
    receiver, sender = town.member("receiver"), town.member("sender")
    messages = [bytes(range(256)) * size for size in (1, 300, 5000)]
    for message in messages:
        sender.post(receiver, message)
    town.until(lambda: len(receiver.links.incoming) == 3)
    items = [receiver.links.next_item() for _ in messages]
    assert [item and bytes(item[1]) for item in items] == [pickle.dumps(message) for message in messages]
