"""What came of delivering dead letters again."""

from __future__ import annotations

from nyx_plugins.actors.dead_letter_info import DeadLetterContent, Redelivery, redelivery_of
from nyx_plugins.plugins.errors import DeadLetterUnknown, DispatchTimeout


def test_what_stays_and_what_is_gone_are_told_apart() -> None:
    """What somebody else has redelivered or dropped meanwhile does not stay, and was not accepted from here."""
    late = DispatchTimeout(7, "acceptance", 1.0)
    contents = [DeadLetterContent(7, number, "geo", 0x52, "crash", "crash", 0.0, 1, 1, b"h") for number in (1, 2, 3, 4)]
    results = ["a receipt", DeadLetterUnknown(7, 2), late, "a receipt"]
    assert redelivery_of(contents, results) == Redelivery((1, 4), {3: late}, (2,))
    assert redelivery_of([], []) == Redelivery((), {}, ())
