"""Taking over what an earlier system has left: whose it is, what was in hand, what goes to the plugin again."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from ..plugins.errors import BacklogOfAnother, JournalCorrupt, JournalFailed
from . import messages as m
from .backlog import Backlog, Holder, KeptFrame, Marks, Verdict, judge
from .dead_letters import DeadLetters
from .frames import Frames
from .incarnation import incarnation_of
from .journal import private_folder
from .letter_book import DeadFrame
from .segments import Segments
from .transports.unix import directory

FOLDER = "durable"
LOCK = "lock"
# The session of frames whose senders are gone with their system. Those of senders are odd.
INHERITED = 2
REASON = "crash: the system ended while its worker may have had it in hand"
_MARK = struct.Struct("<QQ")
_CONTROL = 1 << 63
_PATIENCE_S = 2.0


def boot_id() -> str:
    """Which start of the machine this is; empty where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def holder_of(plan: m.StartPlugin) -> Holder:
    """Who has frames in hand from now on."""
    return Holder(plan.plugin_id, plan.manifest.name, boot_id(), incarnation_of(plan))


def ring_of(lane: int, index: int) -> int:
    """The number of a ring: of this lane, for control frames if the index that a worker is told says so."""
    return 2 * lane + bool(index & _CONTROL)


def marks_in(folder: Path) -> Marks:
    """What the workers of an earlier system had started last."""
    return dict(_marks_in(folder))


def _marks_in(folder: Path) -> Iterator[tuple[int, tuple[int, int]]]:
    for path in folder.glob("mark-*"):
        lane = path.name.removeprefix("mark-")
        data = path.read_bytes()[: _MARK.size]
        if lane.isdecimal() and len(data) == _MARK.size:
            index, count = _MARK.unpack(data)
            yield ring_of(int(lane), index), (index & ~_CONTROL, count)


def claim(folder: Path) -> int:
    """Be the only one that uses this folder, which is made; returns the descriptor that says so, until it is closed.

    Raises :class:`JournalFailed`.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while (held := _try_lock(folder)) is None:
        if time.monotonic() >= deadline:
            raise JournalFailed(str(folder), "another system has it in use", "try again once that has ended")
        time.sleep(0.01)
    return held


def _try_lock(folder: Path) -> int | None:
    private_folder(folder.parent)
    private_folder(folder)
    try:
        return directory.try_lock(str(folder / LOCK))
    except FileNotFoundError:
        # Who had it until now has just removed it.
        return None
    except OSError as error:
        raise JournalFailed(str(folder / LOCK), error.strerror or str(error)) from None


def remove(folder: Path) -> None:
    """Remove the folder that was claimed: nothing is left to be kept."""
    with contextlib.suppress(OSError):
        for path in [*folder.glob("mark-*"), folder / LOCK]:
            path.unlink()
        folder.rmdir()


def read(segments: Segments, plan: m.StartPlugin, tell: Callable[[str], None]) -> Backlog:
    """Return what is left of earlier systems, or of an earlier plugin actor of this one.

    Files that can't be used are set aside, and ``tell`` is called, as where a torn tail was cut off.
    Raises :class:`BacklogOfAnother`.
    """
    try:
        found = segments.read()
    except JournalCorrupt as corrupt:
        kept = ", ".join(segments.set_aside())
        tell(f"{corrupt}; the frames that it holds are not delivered, and it is kept as {kept}")
        found = Backlog()
    for loss in segments.losses:
        tell(loss)
    if found.holder is not None and found.frames and found.holder.plugin != plan.manifest.name:
        name, count = found.holder.plugin, len(found.frames)
        raise BacklogOfAnother(plan.plugin_id, plan.manifest.name, name, count, str(segments.folder))
    return found


def take_over(found: Backlog, plan: m.StartPlugin, folder: Path, letters: DeadLetters) -> Backlog:
    """Return the backlog of this load; what may not be delivered again is among ``letters`` by then.

    ``letters`` are those of the earlier holder: if this is done twice, as after a kill, they are there once.
    """
    if found.holder is None:
        return Backlog(holder_of(plan))
    marks = marks_in(folder) if found.holder.boot and found.holder.boot == boot_id() else None
    most = plan.manifest.max_deliveries if plan.manifest.idempotent else 1
    for name in letters.buried():
        # It was about to get its outcome, and what says so on the disk comes after the letter.
        found.forget(name)
    verdict = judge(found, marks, most)
    _bury(found, verdict, plan, letters)
    frames = [attrs.evolve(frame, session=INHERITED, seq=seq) for seq, frame in enumerate(verdict.survivors, 1)]
    return Backlog(holder_of(plan), {(frame.session, frame.seq): frame for frame in frames})


def _bury(found: Backlog, verdict: Verdict, plan: m.StartPlugin, letters: DeadLetters) -> None:
    by_ring: dict[int, list[DeadFrame]] = {}
    for frame in verdict.suspects:
        ring, index = found.in_hand[frame.session, frame.seq]
        origin = frame.session, frame.seq
        dead = DeadFrame(ring, index, frame.frame_type, frame.header, frame.deliveries, frame.key, *origin)
        by_ring.setdefault(ring, []).append(dead)
    for frames in by_ring.values():
        letters.add(sorted(frames, key=lambda dead: dead.index), REASON, time.time(), plan.manifest.name)
    # A letter whose frame was accepted again before the end is one no more.
    claims = letters.claims()
    letters.drop([letter for letter, name in claims.items() if name in found.frames])
    letters.sync()
    letters.close()


def enqueued(frames: list[KeptFrame]) -> m.Enqueue:
    """The message with which frames of one session are accepted once more."""
    extras = {
        frame.seq: m.Extra(frame.key, frame.expires_at_ms)
        for frame in frames
        if frame.key is not None or frame.expires_at_ms
    }
    rows = [(frame.seq, frame.frame_type, frame.header, frame.data_length) for frame in frames]
    return m.Enqueue(frames[0].session, Frames.of(rows), extras)


def room_for(plan: m.StartPlugin, left: Backlog) -> m.StartPlugin:
    """The same with a mailbox that is larger by what is inherited, for which no sender has spent credit."""
    inherited = [frame for frame in left.frames.values() if frame.session == INHERITED]
    return attrs.evolve(
        plan,
        capacity=plan.capacity + len(inherited),
        capacity_bytes=plan.capacity_bytes + sum(len(frame.header) for frame in inherited),
    )


def by_session(left: Backlog) -> dict[int, list[KeptFrame]]:
    """The frames of each session, in order."""
    found: dict[int, list[KeptFrame]] = {}
    for frame in left.frames.values():
        found.setdefault(frame.session, []).append(frame)
    return found


def kept(message: m.Enqueue, seqs: set[int]) -> list[KeptFrame]:
    """What has to be recorded of those frames of a message."""
    none = m.Extra()
    frames = [frame for frame in message.frames if frame[0] in seqs]
    extras = [message.extras.get(frame[0], none) for frame in frames]
    return [
        KeptFrame(message.session, *frame, extra.expires_at_ms, extra.key)
        for frame, extra in zip(frames, extras, strict=True)
    ]
