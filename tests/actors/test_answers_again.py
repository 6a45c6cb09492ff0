"""A plugin actor by itself, told again what it has been told, and by dispatchers that are not the present one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PermissionDenied, PluginHeader, RefusalLost, Settings
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.frames import Frames
from nyx_plugins.actors.plugin_actor import PluginActor
from nyx_plugins.config.settings import SystemSettings
from nyx_plugins.plugins.bundle import remove_staged, stage_bundle
from nyx_plugins.plugins.policy import Policy

SESSION, OTHER = 11, 12
CAPACITY = 4
HEADER = PluginHeader(7, 0, b"").encode()
DENIED = PermissionDenied(7, "data_access", 0x52)
NEW, OLD = "new dispatcher", "old dispatcher"


class Probe(PluginActor):
    """Keeps what it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, Any]] = []

    myAddress = "actor"

    def send(self, address: str, message: Any) -> None:
        """Send nothing."""
        self.sent.append((address, message))

    def alarm(self, name: object, after_s: float) -> None:
        """There is no time here."""

    def told(self, address: str, kind: type) -> list[Any]:
        """Take what was sent to this address, of one kind."""
        found = [message for to, message in self.sent if to == address and isinstance(message, kind)]
        self.sent = [item for item in self.sent if item[1] not in found]
        return found

    def fates(self) -> tuple[list[int], list[int]]:
        """Take what the session was told: which frames are accepted, and which have an outcome."""
        accepted = [ranges for told in self.told("session", m.Accepted) for ranges in told.ranges]
        settled = [seq for told in self.told("session", m.Settled) for seq, _ in told.outcomes]
        return [seq for first, last in accepted for seq in range(first, last + 1)], settled

    def enqueue(self, *seqs: int, session: int = SESSION, until: int = 0, epoch: int = 1, sender: str = OLD) -> None:
        """Receive frames."""
        frames = tuple((seq, 0x52, HEADER, 0) for seq in seqs)
        self.receive(m.Enqueue(session, Frames.of(frames), {}, until, epoch), sender)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[m.StartPlugin]:
    """Return what the actor of the bundled echo is started with."""
    staged = stage_bundle("builtin:echo", tmp_path / "bundle")
    sessions = (m.SessionJoined(SESSION, "session"), m.SessionJoined(OTHER, "other"))
    yield m.StartPlugin(
        load_id=1,
        plugin_id=7,
        manifest=staged.manifest,
        policy=Policy(),
        directory=str(tmp_path),
        bundle_directory=str(tmp_path),
        digest=staged.digest,
        capacity=CAPACITY,
        capacity_bytes=1 << 20,
        config={},
        settings=Settings(system=SystemSettings(transport="inline")),
        guard="guard",
        dispatcher=OLD,
        sessions=sessions,
        host_pid=os.getpid(),
        paused=True,
    )
    remove_staged(tmp_path / "bundle")


@pytest.fixture
def start(plan: m.StartPlugin) -> Iterator[Callable[[], Probe]]:
    """Return a function that starts the plugin's next actor, paused; the one before has ended without a word."""
    probes: list[Probe] = []

    def one(**changes: Any) -> Probe:
        for probe in probes:
            probe.on_exit()
        probes.append(Probe())
        probes[-1].receive(attrs.evolve(plan, **changes), "supervisor")
        probes[-1].fates()
        return probes[-1]

    yield one
    for probe in probes:
        probe.on_exit()


def work(actor: Probe, paused: bool = False) -> None:
    """Let the plugin handle what is there."""
    actor.receive(m.PausePlugin(1, "asker", 7, paused), "supervisor")
    actor.receive(m.PausePlugin(2, "asker", 7, True), "supervisor")


def test_what_is_sent_again_is_answered_from_what_the_mailbox_knows(start: Callable[[], Probe]) -> None:
    """Accepted, accepted and finished, or never accepted: then it is refused, since later ones were."""
    actor = start()
    actor.enqueue(1, 3)
    assert actor.fates() == ([1, 3], [])
    actor.enqueue(1, 2, 3)
    assert actor.fates() == ([1, 3], [])
    [lost] = actor.told(OLD, m.Overflowed)
    assert [(seq, type(error)) for seq, error in lost.frames] == [(2, RefusalLost)]
    work(actor)
    actor.fates()
    actor.enqueue(1, 2, 3, 4)
    assert actor.fates() == ([4, 1, 3], [1, 3])


def test_what_its_session_knows_is_not_refused(start: Callable[[], Probe]) -> None:
    """A frame of which nobody knows any more is none of the mailbox's business when its session has its outcome."""
    actor = start()
    actor.enqueue(1)
    work(actor)
    actor.enqueue(2, 3, 4, 5, until=1)
    work(actor)
    actor.fates()
    actor.enqueue(1, until=1)
    assert (actor.fates(), actor.told(OLD, m.Overflowed)) == (([], []), [])


def test_outcomes_outlive_their_rows_and_their_actor(start: Callable[[], Probe]) -> None:
    """Another session has filled the mailbox twice since, and the slow one has confirmed nothing."""
    actor = start()
    actor.enqueue(1, 2)
    work(actor)
    for first in (1, 5):
        actor.enqueue(*range(first, first + 4), session=OTHER, until=first - 1)
        work(actor)
    actor = start()
    actor.enqueue(1, 2)
    assert actor.fates() == ([1, 2], [1, 2])
    assert actor.told(OLD, m.Overflowed) == []


def test_what_passes_no_more_is_refused_unless_it_is_accepted(start: Callable[[], Probe]) -> None:
    """The dispatcher cannot know; the mailbox does."""
    actor = start()
    actor.enqueue(1)
    actor.fates()
    actor.receive(m.Refuse(SESSION, ((1, DENIED), (2, DENIED))), OLD)
    assert actor.fates() == ([1], [])
    assert actor.told(OLD, m.Overflowed) == [m.Overflowed(SESSION, 7, ((2, DENIED),))]


@pytest.mark.parametrize("told_by", ["frames", "fence", "supervisor", "start"])
def test_older_dispatchers_are_not_heard_any_more(start: Callable[..., Probe], told_by: str) -> None:
    """However it has heard of a newer one; that one gets the answers."""
    actor = start(**({"dispatcher": NEW, "dispatcher_epoch": 2} if told_by == "start" else {}))
    actor.enqueue(1, epoch=2 if told_by in ("frames", "start") else 1, sender=NEW)
    if told_by == "fence":
        actor.receive(m.Fence(5, dispatcher_epoch=2), NEW)
        assert actor.told(NEW, m.FencePassed) == [m.FencePassed(5)]
    elif told_by == "supervisor":
        actor.receive(m.Introduce("dispatcher", NEW, 2), "supervisor")
    actor.fates()
    actor.enqueue(2)
    actor.receive(m.Fence(4), OLD)
    actor.receive(m.Refuse(SESSION, ((2, DENIED),)), OLD)
    assert (actor.fates(), actor.told(OLD, m.FencePassed)) == (([], []), [])
    actor.enqueue(2, 3, 4, 5, epoch=2, sender=NEW)
    assert actor.fates() == ([2, 3, 4], [])
    assert [seq for told in actor.told(NEW, m.Overflowed) for seq, _ in told.frames] == [5]
