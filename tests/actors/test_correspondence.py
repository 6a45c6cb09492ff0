"""A plugin's frames for other plugins, with nothing started: whom they reach, what refuses them, who is told what."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nyx_plugins.actors import messages as m
from nyx_plugins.actors.correspondence import ALARM, Correspondence
from nyx_plugins.actors.results import DeadLetter, Failed, Result
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.config.settings import Settings
from nyx_plugins.plugins.errors import (
    DependencyMissing,
    DependencyUndeclared,
    DispatchTimeout,
    FateUnknown,
    FrameError,
    PermissionDenied,
    PluginFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    SystemStopped,
)
from nyx_plugins.plugins.manifest import Manifest
from nyx_plugins.plugins.policy import Policy
from nyx_plugins.plugins.wire import PluginHeader
from nyx_plugins.plugins.worker.answers import Send

OWN, GEO, SESSION = 7, 1, 99
MANIFEST = Manifest(OWN, "road", "1.0", 1, "plugin:P", requires={"geo": ">=1"}, optional={"maps": ">=2"})
RIGHTS = frozenset({"data_access", "inter_plugin"})


def route(plugin_id: int, name: str, version: str = "1.0", **other: Any) -> m.Route:
    """Make the route of a plugin with room for two frames."""
    return m.Route(plugin_id, name, version, "ready", RIGHTS, Policy(), 2, 1 << 20, 1, **other)


class Actor:
    """Keeps what is sent and which alarms are set."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.alarms: list[object] = []

    def send(self, target: object, message: Any) -> None:
        """Keep a message."""
        assert target == "dispatcher"
        self.sent.append(message)

    def alarm(self, name: object, after_s: float) -> None:
        """Keep an alarm."""
        self.alarms.append(name)

    def frames(self) -> list[tuple[int, int, bytes]]:
        """Return the frames that were sent."""
        batches = [batch for message in self.sent if isinstance(message, m.Submit) for batch in message.batches]
        return [frame[:3] for batch in batches for frame in batch.frames]


class Worker:
    """Keeps its answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []

    def answer(self, request_id: int, answer: bytes | NyxPluginError | None) -> None:
        """Keep an answer."""
        self.answers.append((request_id, answer))


class Desk:
    """A correspondence with its actor and its worker."""

    def __init__(self) -> None:
        self.actor, self.worker = Actor(), Worker()
        self.letters = Correspondence(OWN, MANIFEST, Settings(), self.actor)
        self.letters.join(SESSION, "dispatcher", 1)

    def know(self, *routes: m.Route, credit: int = 2) -> None:
        """Learn of these routes, and get credit for each."""
        self.letters.note(m.RoutesChanged(1, (route(OWN, "road"), *routes), {}))
        for each in routes:
            self.letters.note(m.CreditGranted(each.plugin_id, credit))

    def ask(self, number: int, plugin: str | int = "geo", reply: bool = True, **other: Any) -> None:
        """Let the worker ask."""
        fields = {"frame_type": 0x52, "flags": 0, "data": b"d", "timeout_ms": None, **other}
        self.letters.take(Send(number, plugin, wants_reply=reply, **fields), self.worker)

    def settle(self, *results: Result) -> None:
        """Finish the oldest frames that way."""
        self.letters.note(m.Settled(GEO, tuple(enumerate(results, 1))))


@pytest.fixture
def desk() -> Desk:
    """Return a desk that knows the plugin geo, with two credits."""
    desk = Desk()
    desk.know(route(GEO, "geo"))
    return desk


def refused(desk: Desk, *arguments: Any, **other: Any) -> NyxPluginError:
    """Ask for what is refused at once."""
    desk.ask(1, *arguments, **other)
    [(_, error)] = desk.worker.answers
    assert isinstance(error, NyxPluginError)
    return error


def test_a_frame_is_answered_when_accepted_and_a_request_with_its_reply(desk: Desk) -> None:
    """Once each; two frames of one plugin go in the order in which they came."""
    desk.ask(1, reply=False, flags=3)
    desk.ask(2)
    header = PluginHeader(GEO, 3, b"d").encode()
    assert desk.actor.frames() == [(1, 0x52, header), (2, 0x52, PluginHeader(GEO, 0, b"d").encode())]
    assert desk.worker.answers == []
    desk.letters.note(m.Accepted(GEO, ((1, 2),)))
    assert desk.worker.answers == [(1, None)]
    desk.settle(b"late", b"reply")
    assert desk.worker.answers == [(1, None), (2, b"reply")]
    assert desk.letters.under_way(desk.worker) == 0


@pytest.mark.parametrize(
    ("result", "step", "reason"),
    [
        (Failed("ValueError", "no"), "failed", "ValueError: no"),
        (DeadLetter("crash: x"), "dead_lettered", "crash: x"),
        (DeadLetter("unloaded"), "dead_lettered", "unloaded"),
    ],
)
def test_a_request_without_a_reply_to_be_had_fails(desk: Desk, result: Result, step: str, reason: str) -> None:
    """It is the error that an application gets, also where the other was unloaded after it had accepted the frame."""
    desk.ask(1)
    desk.settle(result)
    [(_, error)] = desk.worker.answers
    assert isinstance(error, PluginFailed)
    assert (error.plugin_id, error.step, error.reason) == (GEO, step, reason)


def test_who_is_not_declared_is_not_reached(desk: Desk) -> None:
    """Neither by name nor by id; not the plugin itself; not one of a declared name whose version does not fit."""
    desk.know(route(GEO, "geo"), route(2, "maps", "1.0"), route(3, "other"))
    for plugin in ("other", 3, "road", OWN, 4, ""):
        desk.ask(1, plugin)
    errors = [error for _, error in desk.worker.answers]
    assert [type(error) for error in errors] == [DependencyUndeclared] * 6
    desk.worker.answers.clear()
    assert str(refused(desk, 2)) == "plugin 7 requires maps >=2 (plugin 2 is 1.0)"
    desk.worker.answers.clear()
    assert isinstance(refused(desk, "maps"), DependencyMissing)
    assert desk.actor.frames() == []


def test_the_best_of_several_gets_the_frame(desk: Desk) -> None:
    """One that takes frames, of the highest version; by id it can be another."""
    desk.know(route(GEO, "geo"), route(2, "geo", "1.5"), attrs.evolve(route(3, "geo", "2.0"), state="failed"))
    desk.ask(1)
    desk.ask(2, GEO)
    assert [header for _, _, header in desk.actor.frames()] == [PluginHeader(n, 0, b"d").encode() for n in (2, GEO)]
    assert isinstance(refused(desk, 3), PluginFailed)


def test_the_permission_is_checked_where_the_frame_is(desk: Desk) -> None:
    """Without it nothing leaves, and the refusal is reported as the sender's own violation."""
    desk.letters.note(m.RoutesChanged(2, (attrs.evolve(route(OWN, "road"), permissions=frozenset()),), {}))
    error = refused(desk)
    assert isinstance(error, PermissionDenied) and (error.plugin_id, error.permission) == (OWN, "inter_plugin")
    assert "which sending to other plugins needs" in str(error)
    [submit] = desk.actor.sent
    [refusal] = submit.refusals
    assert (refusal.plugin_id, refusal.cause, refusal.permission) == (OWN, "PermissionDenied", True)


def test_a_plugin_that_is_not_ready_yet_sends_nothing() -> None:
    """As long as nobody knows of it, nobody has said what it may."""
    desk = Desk()
    desk.letters.note(m.RoutesChanged(1, (route(GEO, "geo"),), {}))
    error = refused(desk)
    assert isinstance(error, PluginNotLoaded) and (error.plugin_id, error.state) == (OWN, "starting")


def test_frames_wait_for_routes_and_for_room_in_turn(desk: Desk) -> None:
    """Who finds no credit asks for some, and waits behind those who do already."""
    early = Desk()
    early.ask(1)
    assert (early.actor.frames(), early.worker.answers, early.actor.alarms) == ([], [], [ALARM])
    early.know(route(GEO, "geo"), credit=1)
    early.ask(2)
    assert [seq for seq, _, _ in early.actor.frames()] == [1]
    early.settle(b"one")
    early.letters.note(m.Settled(GEO, ((2, b"two"),)))
    assert early.worker.answers == [(1, b"one"), (2, b"two")]


def test_what_is_not_done_in_time_is_answered(desk: Desk) -> None:
    """Each with what it has waited for; what comes later is nobody's any more."""
    desk.ask(1, timeout_ms=0)
    desk.ask(2, reply=False, timeout_ms=0)
    desk.ask(3, timeout_ms=0)
    desk.letters.expire()
    whats = [error.what for _, error in desk.worker.answers]
    assert all(isinstance(error, DispatchTimeout) for _, error in desk.worker.answers)
    assert whats == ["an outcome", "acceptance", whats[2]] and whats[2].startswith("room in its mailbox")
    desk.settle(b"one", None)
    assert len(desk.worker.answers) == 3
    assert len(desk.actor.frames()) == 2


def test_nobody_is_told_once_the_worker_is_gone(desk: Desk) -> None:
    """What waits for room is given up, what was sent goes on; another worker's frames are its own."""
    for number in (1, 2, 3):
        desk.ask(number)
    gone, desk.worker = desk.worker, Worker()
    desk.ask(4)
    desk.letters.forget(gone)
    desk.settle(b"one", b"two")
    desk.letters.note(m.Settled(GEO, ((3, b"four"),)))
    assert (gone.answers, desk.worker.answers) == ([], [(4, b"four")])
    assert [seq for seq, _, _ in desk.actor.frames()] == [1, 2, 3]


def test_the_end_of_the_dependency_ends_what_waits_for_it(desk: Desk) -> None:
    """What it had accepted has an outcome; what waits for room is refused."""
    for number in (1, 2, 3):
        desk.ask(number)
    desk.letters.note(m.Accepted(GEO, ((1, 1),)))
    desk.letters.note(m.RoutesChanged(2, (), {GEO: False}))
    kinds = {number: type(error) for number, error in desk.worker.answers}
    assert kinds == {1: PluginFailed, 2: PluginNotRegistered, 3: PluginNotRegistered}


def test_frames_that_admission_refuses_are_refused_here(desk: Desk) -> None:
    """A header that is too long, and a plugin that does not take such frames."""
    assert isinstance(refused(desk, data=b"x" * (Settings().limits.max_header_bytes + 1)), FrameError)
    desk.worker.answers.clear()
    error = refused(desk, frame_type=0x53)
    assert isinstance(error, PermissionDenied) and error.plugin_id == GEO


def test_the_end_of_the_system_is_told(desk: Desk) -> None:
    """To those whose frames are on their way, and to those who come."""
    desk.ask(1)
    desk.letters.note(m.SystemStopping("its registry ended"))
    desk.ask(2)
    assert [type(error) for _, error in desk.worker.answers] == [FateUnknown, SystemStopped]


def test_another_version_may_depend_on_others(desk: Desk) -> None:
    """After a swap what the new manifest says counts."""
    desk.know(route(GEO, "geo"), route(3, "other"))
    desk.letters.change(attrs.evolve(MANIFEST, requires={"other": ""}, optional={}))
    assert isinstance(refused(desk, "geo"), DependencyUndeclared)
    desk.ask(2, "other")
    assert len(desk.actor.frames()) == 1
