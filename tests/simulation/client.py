"""A program that uses the system: a real session behind a simulated endpoint, and what it remembers of its frames."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from nyx_plugins import PluginHeader
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.dead_letter_info import DeadLetterContent, again
from nyx_plugins.actors.events import ALL_STREAMS
from nyx_plugins.actors.frame_rules import frame_rules
from nyx_plugins.actors.inquiries import Inquiry
from nyx_plugins.actors.questions import AGAIN_S, Ask
from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.actors.series import each as each_of
from nyx_plugins.actors.session import Session
from nyx_plugins.actors.waiting import Waiter
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.config.settings import Settings

from .truth import Key, Truth
from .world import Address, Alarm, Process, World


@attrs.define(eq=False)
class Frame:
    """One frame that was offered, waits for room, or was refused at once."""

    plugin_id: int
    frame_type: int
    data: bytes
    extra: m.Extra | None = None
    receipt: Receipt | None = None
    waiter: Waiter | None = None
    refused: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether its sender knows all that there is to know."""
        if self.refused is not None:
            return True
        return self.receipt is not None and self.receipt.done


@attrs.define(eq=False)
class Asked:
    """One question, asked again every so often or given up after a while, as it may be lost."""

    ask: Ask
    inquiry: Inquiry
    on_done: Callable[[Inquiry], None]
    first_at: float
    told: bool = False


class Client:
    """One session, in a process of its own."""

    def __init__(self, world: World, truth: Truth, number: int, supervisor: Address, settings: Settings) -> None:
        self.number = number
        self.frames: list[Frame] = []
        self.asked: list[Asked] = []
        self.closed = False
        self._numbers = itertools.count()
        self._world = world
        self._truth = truth
        self._dirty = True
        self._attached = False
        self.process: Process = world.start("client", self._take)
        self.process.is_busy, self.process.work = lambda: self._dirty, self._send_next
        self.session = Session(_Endpoint(world, self.process, supervisor), frame_rules(settings))
        streams = ALL_STREAMS if number % 2 else ()
        attach = m.Attach(0, self.process.address, self.session.id, self.process.pid, streams, number % 3 > 0)
        self.session._outbox.command(supervisor, attach)

    @property
    def attached(self) -> bool:
        """Whether it has known the routes; it goes on while another dispatcher tells them anew."""
        self._attached |= self.session._directory is not None and self.session._traffic.version >= 0
        return self._attached

    @property
    def usable(self) -> bool:
        """Whether it can do anything."""
        return self.process.alive and not self.closed and self.attached and self.session.stopped is None

    @property
    def lives(self) -> bool:
        """Whether it is to learn what becomes of its frames."""
        return self.process.alive and not self.closed

    # What it does.

    def dispatch(self, plugin_id: int, frame_type: int, kind: bytes, extra: m.Extra | None, wait: bool) -> None:
        """Offer one frame; a worker does with it what ``kind`` says."""
        frame = self._new_frame(plugin_id, frame_type, kind, extra)
        self._offer(frame, PluginHeader(plugin_id, 0, frame.data).encode(), wait)

    def dispatch_many(self, wanted: Sequence[tuple[int, int, bytes, m.Extra | None]], wait: bool) -> None:
        """Offer frames in one go: each for a plugin, of a type, and what a worker is to do with it."""
        frames = []
        for what in wanted:
            frames.append(self._new_frame(*what))
            self.frames.append(frames[-1])
        self._dirty = True
        sendables = [(each.frame_type, PluginHeader(each.plugin_id, 0, each.data), each.extra) for each in frames]
        entries = each_of((self.session.enter_many if wait else self.session.offer_many)(sendables))
        for frame, entry in zip(frames, entries, strict=True):
            self._has(frame, entry)

    def _new_frame(self, plugin_id: int, frame_type: int, kind: bytes, extra: m.Extra | None) -> Frame:
        data = b"%s %d.%d" % (kind, self.number, next(self._numbers))
        return Frame(plugin_id, frame_type, data, extra)

    def redeliver(self, letters: list[DeadLetterContent]) -> None:
        """Offer the frames of dead letters once more."""
        for content, (frame_type, header, extra) in zip(letters, again(letters), strict=True):
            if self.usable:
                self._offer(Frame(content.plugin_id, frame_type, content.data, extra), header, wait=True)

    def _offer(self, frame: Frame, header: bytes, wait: bool) -> None:
        self.frames.append(frame)
        self._dirty = True
        try:
            send = self.session.enter if wait else self.session.offer
            entry: Receipt | Waiter | NyxPluginError = send(frame.frame_type, header, frame.extra)
        except NyxPluginError as error:
            entry = error
        self._has(frame, entry)

    def _has(self, frame: Frame, entry: Receipt | Waiter | NyxPluginError) -> None:
        if isinstance(entry, NyxPluginError):
            frame.refused = entry
        elif isinstance(entry, Receipt):
            self._has_receipt(frame, entry)
        else:
            frame.waiter = entry
            entry.tell(lambda: self._let_in(frame, entry))

    def _let_in(self, frame: Frame, waiter: Waiter) -> None:
        frame.waiter = None
        try:
            self._has_receipt(frame, waiter.result())
        except NyxPluginError as error:
            frame.refused = error

    def _has_receipt(self, frame: Frame, receipt: Receipt) -> None:
        frame.receipt = receipt
        if frame.extra is not None:
            self._truth.extras[frame.plugin_id, self.session.id, receipt.seq] = frame.extra

    def key(self, frame: Frame) -> Key | None:
        """What the frame is called, if it has got so far."""
        return None if frame.receipt is None else (frame.plugin_id, self.session.id, frame.receipt.seq)

    def ask(self, ask: Ask, on_done: Callable[[Inquiry], None] = lambda _: None) -> Asked | None:
        """Ask a question; ``None`` when the system has stopped."""
        if not self.usable:
            return None
        self._dirty = True
        asked = Asked(ask, self.session.post(ask), on_done, self._world.now)
        self.asked.append(asked)
        if ask.again or self._may_be_lost(ask):
            self._world.set_alarm(self.process, len(self.asked) - 1, AGAIN_S if ask.again else ask.timeout_s)
        return asked

    @staticmethod
    def _may_be_lost(ask: Ask) -> bool:
        """Whether it may go with the actor that it is for, and must not be asked again."""
        return ask.role != "supervisor" and not ask.may_repeat

    def close(self) -> None:
        """Say goodbye."""
        if self.lives:
            self.closed = True
            self.session.close()
            self._dirty = True

    @property
    def open_questions(self) -> list[Asked]:
        """What has no answer yet."""
        return [asked for asked in self.asked if not asked.inquiry.done]

    @property
    def open_frames(self) -> list[Frame]:
        """What has neither outcome nor refusal."""
        return [frame for frame in self.frames if not frame.done]

    # What happens to it.

    def _take(self, message: Any, sender: Address) -> None:
        self._dirty = True
        if isinstance(message, Alarm):
            self._is_late(self.asked[message.name], message.name)
        else:
            self.session._on_message(message)
        for asked in self.asked:
            if asked.inquiry.done and not asked.told:
                asked.told = True
                asked.on_done(asked.inquiry)

    def _is_late(self, asked: Asked, number: int) -> None:
        if asked.inquiry.done or self.session.stopped is not None:
            return
        if not asked.ask.again:
            self.session.expire(asked.inquiry, asked.ask.timeout_s)
            return
        self.session.give_up(asked.inquiry)
        asked.ask = asked.ask.repeated(asked.first_at)
        asked.inquiry = self.session.post(asked.ask)
        self._world.set_alarm(self.process, number, AGAIN_S)

    def _send_next(self) -> None:
        work = self.session._sending._take()
        if work is None:
            self._dirty = False
        else:
            self._world.post(self.process, *work)


class _Endpoint:
    """The session's thread that sends is the scheduler."""

    synchronous = False

    def __init__(self, world: World, process: Process, supervisor: Address) -> None:
        self.address = process.address
        self.supervisor = supervisor

    def start(self, on_message: Callable[[Any], None], on_failure: Callable[[str], None]) -> None:
        """Messages come by way of the process."""

    def send(self, target: Address, message: Any) -> None:
        """Nobody calls this: see :meth:`Client._send_next`."""

    def close(self) -> None:
        """Nothing is held."""
