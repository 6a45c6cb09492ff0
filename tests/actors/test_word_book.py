"""The last words for sessions: kept until they ask, each told once, and forgotten with their session."""

from __future__ import annotations

from nyx_plugins.actors.results import DeadLetter, Failed, ReplyLost
from nyx_plugins.actors.word_book import NOTHING, WordBook, Words

FAILED, BURIED = Failed("ValueError", "no"), DeadLetter("unloaded")


def test_what_a_session_knows_and_replies_are_left_out() -> None:
    """A reply that was not read is said to be lost; all else is told as it is."""
    finished = [(1, None), (2, b"reply"), (3, FAILED), (4, BURIED), (5, None)]
    assert Words.of(finished, [6, 7], known_until=1) == Words(
        ((2, ReplyLost()), (3, FAILED), (4, BURIED), (5, None)), (6, 7)
    )
    assert not Words.of(finished, [], known_until=5)


def test_words_are_told_once_and_up_to_the_frame_that_is_asked_for() -> None:
    """What a later load of the plugin has said is kept for the question about that one."""
    book = WordBook()
    book.note(7, {1: Words(((1, None), (2, None)))}, {1})
    book.note(7, {1: Words(((5, FAILED),), (6,))}, {1})
    assert book.take(1, 7, until=4) == Words(((1, None), (2, None)))
    assert book.take(1, 7, until=4) == NOTHING
    assert book.take(1, 8, until=9) == NOTHING
    assert book.take(1, 7, until=6) == Words(((5, FAILED),), (6,))
    assert len(book) == 0


def test_nothing_is_kept_for_nobody() -> None:
    """Neither for a session that is gone or goes, nor where there is nothing to say."""
    book = WordBook()
    book.note(7, {1: Words(((1, None),)), 2: Words(((1, None),)), 3: NOTHING}, {1, 3})
    assert len(book) == 1
    book.leave(1)
    book.leave(2)
    assert len(book) == 0
    assert book.take(1, 7, until=1) == NOTHING
