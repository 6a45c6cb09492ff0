"""The frequent messages are what they were after they have travelled as plain values."""

from __future__ import annotations

from typing import Any

import pytest

from nyx_plugins.actors import messages as m
from nyx_plugins.actors.frames import Frames
from nyx_plugins.actors.messages.short_forms import SHORT_FORMS
from nyx_plugins.actors.results import DeadLetter, Failed

FRAMES = Frames.of([(3, 0x52, b"header", 4), (5, 0x53, b"", 0)])
EXTRAS = {5: m.Extra(expires_at_ms=1, key=2)}
MESSAGES = [
    m.Submit(1 << 62, (), (m.Refusal(None, "MailboxFull", 3),)),
    m.Submit(1, (m.Batch(1, 2, FRAMES, EXTRAS, 4, False), m.Batch(2, 3, Frames.of([(1, 0x52, b"x", 1)]))), ()),
    m.Enqueue(1, FRAMES, EXTRAS, 2, 3, False),
    m.Enqueue(1, Frames.of([])),
    m.Accepted(1, ((1, 3), (7, 7)), None),
    m.Settled(1, ((1, None), (2, b"reply"), (3, Failed("E", "text")), (4, DeadLetter("why"))), None, ((1, 4),)),
    m.DeliverySeen(1, "answers"),
    m.ReturnCredit(1, 2, 3, 4),
    m.WantCredit(1, 2, 3),
    m.CreditGranted(1, 2, 3),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_what_it_was(message: Any) -> None:
    """Values that are made of a message, and a message that is made of those, are all that there was to say."""
    [(pack, unpack)] = [(pack, unpack) for kind, pack, unpack in SHORT_FORMS if kind is type(message)]
    again = unpack(pack(message))
    assert again == message and type(again) is type(message)


def test_each_form_is_tried() -> None:
    """No short form is left out here."""
    assert {kind for kind, *_ in SHORT_FORMS} == {type(message) for message in MESSAGES}
