"""What really happened: which frames are in the mailboxes' files, what became of them, and what workers ran.

It is read from the files after each change, as whoever opens them next would read it, and checked at once.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Any
from unittest import mock

import attrs

from nyx_plugins.actors import mailbox_file
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.inheritance import INHERITED
from nyx_plugins.actors.mailbox import Mailbox
from nyx_plugins.actors.results import DEAD_LETTER, FAILED, NONE, REPLY, REPLY_LOST
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.plugins.header import split_header
from nyx_plugins.plugins.permissions import PERMISSION_OF_FRAME_TYPE

from .world import Process, Violation, World

OUTCOMES = {
    NONE: "processed",
    REPLY: "processed",
    REPLY_LOST: "processed",
    FAILED: "failed",
    DEAD_LETTER: "dead_lettered",
}
CONTROL = 0x53
IDEMPOTENT = frozenset({2})
MAX_DELIVERIES = 3
DEPENDENT = frozenset({3})
"""Plugins that send frames to another."""
BY_KEY = frozenset({3})
"""Plugins with two workers: order holds for each key."""

Key = tuple[int, int, int]
"""Plugin id, session, sequence number."""


@attrs.define(eq=False)
class Entry:
    """One accepted frame."""

    key: Key
    ring: str
    index: int
    frame_type: int
    system: int
    outcome: str | None = None


@attrs.define(eq=False)
class Ring:
    """One mailbox's file, as far as it has been looked at."""

    path: str
    plugin_id: int
    capacity: int
    system: int
    entries: list[Entry] = attrs.field(factory=list)
    finished: int = 0
    depth: int = 0


class Truth:
    """Of one run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.systems = 0
        """How many systems there have been; all but the last one were killed."""
        self.durable: Collection[int] = ()
        """The plugins whose frames outlive their system."""
        self.rings: dict[str, Ring] = {}
        self.accepted: dict[Key, Entry] = {}
        self.runs: dict[Key, int] = defaultdict(int)
        self.answers: dict[bytes, bytes | NyxPluginError | None] = {}
        """What plugins were told of the frames that they have sent to others, by data."""
        self.entries: dict[bytes, list[Entry]] = defaultdict(list)
        """All that were accepted with the same data, in order: those after the first deliver a dead letter again."""
        self.given_up: set[str] = set()
        """Directories of plugins whose plugin actors ended too often: nobody tells of what is in their mailboxes."""
        self._droppable: set[bytes] = set()
        """Data of dead letters that somebody may have dropped."""
        self._dropping: dict[int, int] = defaultdict(int)
        """By plugin, how many questions may drop its dead letters at any time from now on."""
        self._loads: dict[str, int] = {}
        """Numbers of loads that have inherited frames, by directory."""
        self.revoked: set[tuple[int, str]] = set()
        """Permissions that nobody has any more: their revoke has returned, and no grant was asked for since."""
        self.unordered: set[int] = set()
        """Plugins that were to have several workers."""
        self.extras: dict[Key, m.Extra] = {}
        """Keys, and ends of their time."""
        self._last_run: dict[tuple[int, int, bool, int | None], int] = {}

    def answered(self, data: bytes, answer: bytes | NyxPluginError | None) -> None:
        """A plugin is told what became of a frame of its own."""
        if data in self.answers:
            raise Violation(f"a plugin is told twice of {data!r}: {self.answers[data]!r}, and {answer!r}")
        self.answers[data] = answer

    def restarted(self) -> None:
        """Everything was killed."""
        self.revoked.clear()

    def outlives(self, entry: Entry) -> bool:
        """Whether it may be that another load has gone on with this frame, or will: it is kept on the disk."""
        is_left = entry.system < self.systems or entry.key[1] < 0
        return is_left and entry.key[0] in self.durable and not self.is_given_up(entry)

    # Mailboxes.

    def look(self, box: Any) -> None:
        """Read what has been committed since the last look."""
        ring = self._ring(box)
        pages = box._file._pages
        commits = pages.words(mailbox_file._COMMIT, 1)[0]
        words = pages.words(mailbox_file._COPIES[commits & 1], mailbox_file._STATE.size // 8)
        state = mailbox_file.State(*words)
        if state.accepted != state.processed + state.failed + state.dead_lettered + state.depth:
            raise Violation(f"accounts of plugin {ring.plugin_id} do not add up: {state}")
        ring.depth = state.depth
        beside = [other for other in self.rings.values() if os.path.dirname(other.path) == os.path.dirname(ring.path)]
        if sum(other.depth for other in beside) > ring.capacity:
            raise Violation(f"mailboxes of plugin {ring.plugin_id} hold more than {ring.capacity}: {beside}")
        for index in range(len(ring.entries), state.accepted):
            session, seq, _, frame_type = box._file.frames.get(index, 1)[:4]
            [(_, header)] = box.read(index, 1, 1 << 32)
            data = split_header(header, 1 << 32)[2]
            key = ring.plugin_id, session, seq
            if session == INHERITED:
                key = self._inherited(ring, data, seq)
            self._accept(ring, Entry(key, ring.path, index, frame_type & 0xFF, ring.system), data)
        for index in range(ring.finished, state.finished):
            ring.entries[index].outcome = OUTCOMES[box._file.results.get(index, 1)[0]]
        ring.finished = state.finished

    def _inherited(self, ring: Ring, data: bytes, seq: int) -> Key:
        """A frame of an earlier load is accepted again: it counts as the same.

        What delivers a dead letter again may have been written to the disk, and its mailbox had not got so far.
        """
        before = self.entries[data][-1] if self.entries[data] else None
        if before is not None and before.system == self.systems and self.is_given_up(before):
            raise Violation(f"{before} is accepted again, and its sender was told that it is dead")
        key = ring.plugin_id, -self._loads.setdefault(os.path.dirname(ring.path), len(self._loads) + 1), seq
        if before is not None and before.outcome != "dead_lettered":
            self.runs[key] = self.runs[before.key]
            if before.key in self.extras:
                self.extras[key] = self.extras[before.key]
        return key

    def _ring(self, box: Any) -> Ring:
        path = box.simulated_path
        if path not in self.rings:
            self.rings[path] = Ring(path, box.plugin_id, box.capacity, self.systems)
        return self.rings[path]

    def _accept(self, ring: Ring, entry: Entry, data: bytes) -> None:
        if entry.key in self.accepted:
            raise Violation(f"frame {entry.key} is accepted twice")
        permission = PERMISSION_OF_FRAME_TYPE.get(entry.frame_type, "")
        if (ring.plugin_id, permission) in self.revoked:
            raise Violation(f"frame {entry.key} is accepted after {permission} was revoked")
        self.accepted[entry.key] = entry
        ring.entries.append(entry)
        self._check_again(entry, data)

    def _check_again(self, entry: Entry, data: bytes) -> None:
        """Only a dead letter is delivered again, and each only once."""
        before = self.entries[data]
        for other in before:
            if other.outcome != "dead_lettered" and not self.is_given_up(other) and not self.outlives(other):
                raise Violation(f"frame {entry.key} delivers {other} again")
        before.append(entry)

    def is_given_up(self, entry: Entry) -> bool:
        """Whether nobody may tell any more what became of a frame."""
        return os.path.dirname(entry.ring) in self.given_up

    def is_listed(self, data: bytes) -> bool | None:
        """Whether the last frame with this data has to be among the dead letters; ``None`` if that is not known."""
        last = self.entries[data][-1]
        if self.outlives(last):
            return None
        if self.is_given_up(last) or (last.outcome == "dead_lettered" and self.is_droppable(data, last)):
            return None
        return last.outcome == "dead_lettered"

    def is_droppable(self, data: bytes, entry: Entry) -> bool:
        """Whether somebody may have dropped it as a dead letter."""
        return data in self._droppable or self._dropping[entry.key[0]] > 0

    def drop_asked(self, plugin_id: int) -> None:
        """Somebody wants to drop dead letters: until there is an answer, that may come at any time."""
        self._dropping[plugin_id] += 1

    def dropped(self, plugin_id: int) -> None:
        """Somebody has dropped dead letters."""
        self._dropping[plugin_id] -= 1
        self._droppable.update(
            data
            for data, entries in self.entries.items()
            if entries
            and entries[-1].key[0] == plugin_id
            and (entries[-1].outcome == "dead_lettered" or self.outlives(entries[-1]))
        )

    # Workers.

    def note(self, plugin_id: int, worker: Process, index: int, frame_type: int, data: bytes) -> None:
        """A worker begins with a frame."""
        if not self.entries[data] or self.entries[data][-1].key[0] != plugin_id:
            raise Violation(f"{data!r} is run by plugin {plugin_id}, and was not accepted")
        entry = self.entries[data][-1]
        key = entry.key
        self.world.note(f"  {worker} runs {key} at {index}")
        self.runs[key] += 1
        if entry.outcome is not None:
            raise Violation(f"frame {key} is run after it was {entry.outcome}")
        if self.runs[key] > (MAX_DELIVERIES if plugin_id in IDEMPOTENT else 1):
            raise Violation(f"frame {key} is run {self.runs[key]} times")
        extra = self.extras.get(key, m.Extra())
        if extra.key is None if plugin_id in BY_KEY else plugin_id in self.unordered:
            return
        line = (key[0], key[1], frame_type == CONTROL, extra.key if plugin_id in BY_KEY else None)
        if self._last_run.get(line, 0) > key[2]:
            raise Violation(f"frame {key} is run after {self._last_run[line]} of the same sender")
        self._last_run[line] = key[2]


@contextlib.contextmanager
def watched(truth: Truth) -> Iterator[None]:
    """Look at each mailbox's file after each change, also if it was cut short by a kill."""

    def opening(name: str) -> Any:
        method = getattr(Mailbox, name).__func__

        def call(cls: type[Mailbox], path: Any, *args: Any) -> Any:
            box = method(cls, path, *args)
            box.simulated_path = str(path)
            if truth.world.current is not None:
                truth.world.current.held.append(box.close)
            truth.look(box)
            return box

        return classmethod(call)

    def changing(name: str) -> Callable[..., Any]:
        method = getattr(Mailbox, name)

        def call(box: Mailbox, *args: Any) -> Any:
            try:
                return method(box, *args)
            finally:
                truth.look(box)

        return call

    with contextlib.ExitStack() as stack:
        for name in ("create", "open"):
            stack.enter_context(mock.patch.object(Mailbox, name, opening(name)))
        for name in ("append_batch", "finish"):
            stack.enter_context(mock.patch.object(Mailbox, name, changing(name)))
        yield
