"""What a session has to send: commands one by one, frames and refusals gathered into as few messages as fit.

Pure and not thread-safe: its session holds the lock.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import attrs

from . import messages as m
from ._thespian import Address, same
from .channel import Channel
from .refusals import refusal_of

# One message carries this many frames for one plugin at the most.
BATCH_FRAMES = 1024
# So many frames may be under way without having been accepted. With less room than a quarter more is waited for.
SEND_WINDOW = 8192
# Denied requests are reported one by one as long as no more than these wait to be; beyond, they are only counted.
MAX_REFUSAL_KINDS = 256


class Outbox:
    """Of one session, whose ``channels`` by plugin id hold the frames."""

    def __init__(self, session: int, channels: Mapping[int, Channel]) -> None:
        self.dispatcher: Address = None
        """Where frames go; until it is known they wait."""
        self.is_awaited = False
        """Whether somebody waits for a frame that is not sent yet."""
        self._session = session
        self._channels = channels
        self._commands: deque[tuple[Address, Any]] = deque()
        self._early: list[Any] = []
        """For a dispatcher that is not known yet."""
        self._unsent: dict[int, Channel] = {}
        self._refusals: Counter[m.Refusal] = Counter()
        """Not reported yet."""
        self._refused: Counter[str] = Counter()
        """All by cause, those of the dispatcher too."""
        self._taken_back: Counter[str] = Counter()

    def rejoin(self, dispatcher: Address) -> dict[str, int]:
        """The dispatcher is another: return how many frames were refused by cause, besides those yet to be reported.

        What waits to be sent to the last one is dropped, and so is what it alone could put right.
        """
        old, self.dispatcher = self.dispatcher, dispatcher
        self._early.clear()
        self._commands = deque(command for command in self._commands if not same(command[0], old))
        self._taken_back.clear()
        refusals, self._refusals = self._refusals, Counter()
        for refusal, count in refusals.items():
            self._refusals[attrs.evolve(refusal, was_submitted=False)] += count
        reported = Counter(self._refused)
        for refusal, count in self._refusals.items():
            reported[refusal.cause] -= count
        return dict(+reported)

    def command(self, target: Address, message: Any) -> None:
        """Send this next, after the commands that wait already."""
        self._commands.append((target, message))

    def to_dispatcher(self, message: Any) -> None:
        """Send this to the dispatcher, as soon as it is known."""
        if self.dispatcher is not None:
            self.command(self.dispatcher, message)
        else:
            self._early.append(message)

    def join(self, dispatcher: Address) -> None:
        """Talk to this dispatcher, the first one, which may have lent credit and called it back before it was known."""
        self.dispatcher = dispatcher
        for message in self._early:
            self.command(dispatcher, message)
        self._early.clear()

    def note_frames(self, channel: Channel) -> None:
        """The channel has frames to send."""
        self._unsent[channel.plugin_id] = channel

    def forget_frames(self, channel: Channel) -> None:
        """The channel has none any more."""
        self._unsent.pop(channel.plugin_id, None)

    def refuse(self, error: BaseException, plugin_id: int | None, submitted: bool = False) -> None:
        """Report a refusal with the next message, counted together with its like."""
        refusal = refusal_of(error, plugin_id, was_submitted=submitted)
        if len(self._refusals) >= MAX_REFUSAL_KINDS:
            refusal = attrs.evolve(refusal, violation=None)
        self._refusals[refusal] += 1
        self._refused[refusal.cause] += 1

    def refused_by_dispatcher(self, error: BaseException) -> None:
        """The dispatcher has refused a frame, and counted it."""
        self._refused[type(error).__name__] += 1

    def take_back(self, error: BaseException) -> None:
        """The dispatcher has refused, and counted, a frame that has come to another end."""
        self._taken_back[type(error).__name__] += 1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send, now or later."""
        return not (self._commands or self._unsent or self._refusals or self._taken_back)

    @property
    def loose_frames(self) -> int:
        """How many frames wait to be sent, where nobody waits for them and nothing else does; else 0."""
        if self._commands or self.is_awaited:
            return 0
        return sum(channel.unsent_count for channel in self._unsent.values())

    @property
    def is_flow(self) -> bool:
        """Whether frames are under way that have not been accepted yet."""
        return self._under_way() > 0

    def next(self) -> tuple[Address, Any] | None:
        """Return what is to be sent next and to whom: a command, or else all frames and refusals that fit."""
        if not self._commands:
            self.gather()
        return self._commands.popleft() if self._commands else None

    def gather(self) -> None:
        """Turn what has gathered into a command; a question that follows it then sees all that came before."""
        if self.dispatcher is None:
            return
        batches = self._take_batches() if self._unsent else ()
        self.is_awaited = False
        refusals = [attrs.evolve(refusal, count=count) for refusal, count in self._refusals.items()]
        refusals += [m.Refusal(None, cause, -count, was_submitted=True) for cause, count in self._taken_back.items()]
        self._refusals.clear()
        self._taken_back.clear()
        if batches or refusals:
            self.to_dispatcher(m.Submit(self._session, batches, tuple(refusals)))

    def _take_batches(self) -> tuple[m.Batch, ...]:
        room = SEND_WINDOW - self._under_way()
        if room < SEND_WINDOW // 4 and room < sum(channel.unsent_count for channel in self._unsent.values()):
            # Those under way are about to be accepted: what goes then goes in fewer, larger messages.
            return ()
        batches = []
        for plugin_id, channel in list(self._unsent.items()):
            if room <= 0:
                break
            if channel.route is not None:
                batch = channel.take(min(room, BATCH_FRAMES))
                room -= len(batch.frames)
                batches.append(batch)
            # Those that have more are served after the others the next time.
            del self._unsent[plugin_id]
            if channel.unsent_count:
                self._unsent[plugin_id] = channel
        return tuple(batch for batch in batches if batch.frames)

    def _under_way(self) -> int:
        return sum(channel.unaccepted - channel.unsent_count for channel in self._channels.values())
