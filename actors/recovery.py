"""What a plugin actor goes on with: frames and outcomes of the one before, and frames on the disk."""

from __future__ import annotations

import errno
import os

import attrs

from ..plugins.errors import MailboxFailed
from . import messages as m
from .answers import Answers
from .durability import OnDisk, Volatile
from .frames import Frames
from .inheritance import by_session, enqueued
from .lanes import Lanes


def recover(plan: m.StartPlugin, lanes: Lanes, answers: Answers) -> None:
    """Answer again what the actor that was here before may not have answered, and settle what it had in hand."""
    for joined in plan.sessions:
        known = lanes.recall(joined.session)
        answers.accepted(joined.session, [seq for seq, _ in known.finished] + known.unfinished)
        answers.settled(joined.session, known.finished)
    for lane in lanes:
        lane.settle_earlier()
        if plan.leftovers:
            lane.dead_letter_all(plan.leftovers)


def inherit(plan: m.StartPlugin, lanes: Lanes, store: Volatile | OnDisk) -> None:
    """Accept what is on the disk, and not in a mailbox; raises :class:`MailboxFailed` where that has no room for it."""
    for session, frames in by_session(store.left).items():
        message = enqueued(frames)
        unknown = set(lanes.check(message).refused)
        waiting = unknown.union(lanes.recall(session).unfinished)
        if done := [frame.seq for frame in frames if frame.seq not in waiting]:
            store.forget(session, done, lambda: None)
        if unknown:
            news = Frames.of([frame for frame in message.frames if frame[0] in unknown])
            if lanes.accept(attrs.evolve(message, frames=news)).refused:
                # They stay where they are, for the next plugin actor.
                raise MailboxFailed(plan.plugin_id, plan.directory, os.strerror(errno.ENOSPC))
            lanes.note_deliveries(session, {frame.seq: frame.deliveries for frame in frames})
