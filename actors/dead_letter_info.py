"""What a program is told of dead letters, and what came of having some delivered again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import DeadLetterUnknown
from ..plugins.wire import PluginHeader
from .letter_book import Letter
from .messages import Extra


@attrs.frozen
class DeadLetterInfo:
    """A frame that was accepted and not processed, and is kept.

    ``reason`` says why, beginning with the ``cause`` (``crash``, ``deadline``, ``unloaded``, ``failed plugin``,
    ``quarantined``, ``expired``); ``at`` when, in seconds since 1970; ``deliveries`` how often it was handed to a
    worker that did not finish it; ``plugin`` which plugin it was for, by name.
    """

    plugin_id: int
    letter_id: int
    plugin: str
    frame_type: int
    cause: str
    reason: str
    at: float
    deliveries: int
    header_bytes: int


@attrs.frozen
class DeadLetterContent(DeadLetterInfo):
    """A dead letter with the frame itself; ``key`` is the check sum of its key, if it had one."""

    header: bytes
    key: int | None = None

    @property
    def flags(self) -> int:
        """The flags in the header."""
        return PluginHeader.decode(self.header, max_bytes=len(self.header)).flags

    @property
    def data(self) -> bytes:
        """The data in the header."""
        return PluginHeader.decode(self.header, max_bytes=len(self.header)).data


@attrs.frozen
class Redelivery:
    """Which dead letters were accepted again, and are none any more, and which stay, each with the reason.

    ``gone`` are none any more either, and not from here: somebody else has redelivered or dropped them meanwhile, or
    others have displaced them.
    """

    accepted: tuple[int, ...]
    left: Mapping[int, NyxPluginError]
    gone: tuple[int, ...] = ()


def redelivery_of(contents: Sequence[DeadLetterContent], results: Sequence[object]) -> Redelivery:
    """Return what came of delivering each again: a receipt, or an error."""
    found = dict(zip((content.letter_id for content in contents), results, strict=True))
    errors = {letter_id: result for letter_id, result in found.items() if isinstance(result, NyxPluginError)}
    left = {letter_id: error for letter_id, error in errors.items() if not isinstance(error, DeadLetterUnknown)}
    gone = tuple(letter_id for letter_id in errors if letter_id not in left)
    return Redelivery(tuple(letter_id for letter_id in found if letter_id not in errors), left, gone)


def again(contents: Iterable[DeadLetterContent]) -> Iterator[tuple[int, bytes, Extra]]:
    """The frames that deliver letters again."""
    return ((content.frame_type, content.header, Extra(content.key, letter=content.letter_id)) for content in contents)


def chosen(
    plugin_id: int, contents: Iterable[DeadLetterContent], ids: tuple[int, ...] | None
) -> list[DeadLetterContent]:
    """Return those with these numbers, in their order; raises :class:`DeadLetterUnknown` for one that is not there."""
    if ids is None:
        return list(contents)
    found = {content.letter_id: content for content in contents}
    for letter_id in ids:
        if letter_id not in found:
            raise DeadLetterUnknown(plugin_id, letter_id)
    return [found[letter_id] for letter_id in sorted(ids)]


def info_of_letter(plugin_id: int, letter: Letter) -> DeadLetterInfo:
    """Return what is told of a letter."""
    return DeadLetterInfo(*_facts(plugin_id, letter))


def content_of_letter(plugin_id: int, letter: Letter) -> DeadLetterContent:
    """Return a letter with its frame."""
    return DeadLetterContent(*_facts(plugin_id, letter), letter.frame.header, letter.frame.key)


def _facts(plugin_id: int, letter: Letter) -> tuple[int, int, str, int, str, str, float, int, int]:
    frame = letter.frame
    return (
        *(plugin_id, letter.letter_id, letter.plugin, frame.frame_type),
        *(letter.cause, letter.reason, letter.at, frame.deliveries, len(frame.header)),
    )
