"""Which dead letters a plugin actor lets frames deliver again, while others of them are under way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nyx_plugins.actors.letter_book import DeadFrame
from nyx_plugins.actors.letter_office import LetterOffice
from nyx_plugins.actors.messages import Extra
from nyx_plugins.config.settings import Settings
from nyx_plugins.plugins.errors import DeadLetterUnknown, JournalFailed

ONE, OTHER = 51, 53


@pytest.fixture
def office(tmp_path: Path) -> Iterator[LetterOffice]:
    """Return the office of a plugin with three letters."""
    plan: Any = SimpleNamespace(
        plugin_id=7,
        manifest=SimpleNamespace(name="geo"),
        directory="",
        letters=str(tmp_path / "letters"),
        durable="",
        settings=Settings(),
    )
    office = LetterOffice(plan, pytest.fail)
    office.keep("unloaded", [DeadFrame(0, index, 0x52, b"header", 0) for index in range(3)])
    yield office
    office.close()


def again(*letters: int) -> dict[int, Extra]:
    """What frames say that deliver these letters again, the first of them number 11."""
    return {seq: Extra(letter=letter) for seq, letter in enumerate(letters, 11)}


def test_frames_that_are_accepted_one_after_the_other_settle_their_own_claims(office: LetterOffice) -> None:
    """A frame that still waits to be accepted keeps its claim: its letter goes when it is, and no earlier."""
    for session in (ONE, OTHER):
        assert office.claim(session, again(1 if session == ONE else 2)) == {}
    office.settle_claims(lambda session, _: session == ONE, {(ONE, 11)})
    assert office.counts() == (2, 0)
    office.settle_claims(lambda *_: True, {(OTHER, 11)})
    assert office.counts() == (1, 0)


def test_a_letter_is_under_way_once(office: LetterOffice) -> None:
    """While one frame that delivers it waits to be accepted no other may; the same one that is sent again may."""
    assert office.claim(ONE, again(1)) == {}
    refused = office.claim(OTHER, again(1, 2, 2))
    assert {seq: type(error) for seq, error in refused.items()} == {11: DeadLetterUnknown, 13: DeadLetterUnknown}
    assert office.claim(ONE, again(1)) == {}
    office.settle_claims(lambda *_: False, {(ONE, 11)})
    assert office.counts() == (3, 0)
    assert office.claim(OTHER, again(1)) == {}


def test_what_could_not_be_claimed_stands_in_nobodys_way(office: LetterOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that did not get onto the disk is none."""

    def full() -> None:
        raise JournalFailed("file", "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(office._letters, "sync", full)
        assert {type(error) for error in office.claim(ONE, again(1)).values()} == {JournalFailed}
    assert office.claim(OTHER, again(1)) == {}
