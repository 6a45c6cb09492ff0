"""The dispatcher by itself, told what the other actors tell it, in orders that running systems seldom meet."""

from __future__ import annotations

import os
from typing import Any

import attrs
import pytest

from nyx_plugins import PermissionDenied, PluginFailed, PluginHeader, PluginNotRegistered
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.dispatcher import Dispatcher
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.frames import Frames
from nyx_plugins.plugins.policy import Policy

PERMISSIONS = frozenset({"data_access"})
ROUTE = m.Route(7, "echo", "1.0.0", "ready", PERMISSIONS, Policy(), 100, 1 << 20, epoch=1)
SESSION, OTHER = 11, 12
FRAME = (0x52, PluginHeader(7, 0, b"data").encode())


class Probe(Dispatcher):
    """Keeps what it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, Any]] = []
        self.tell("supervisor", m.StartDispatcher(FrameRules(), os.getpid()))
        for number, address in ((SESSION, "session"), (OTHER, "other")):
            self.tell("supervisor", m.SessionJoined(number, address))
        self.sent.clear()

    def send(self, address: str, message: Any) -> None:
        """Send nothing."""
        self.sent.append((address, message))

    def tell(self, sender: str, message: Any) -> None:
        """Receive a message."""
        self.receive(message, sender)

    def told(self, address: str, kind: type) -> list[Any]:
        """List what was sent to this address, of one kind."""
        return [message for to, message in self.sent if to == address and isinstance(message, kind)]

    def submit(self, *seqs: int, epoch: int = 1) -> None:
        """Receive frames of the first session."""
        frames = Frames.of([(seq, *FRAME, 0) for seq in seqs])
        self.tell("session", m.Submit(SESSION, (m.Batch(7, epoch, frames),), ()))

    def counts(self) -> tuple[int, dict[str, int]]:
        """Return how many frames were dispatched, and the refusals by cause."""
        self.tell("session", m.GetDispatchStats(1, "asker"))
        stats = self.told("asker", m.Reply)[-1].value
        return stats.frames_dispatched, stats.refused


@pytest.fixture
def dispatcher() -> Probe:
    """Return a dispatcher that knows two sessions and one plugin."""
    probe = Probe()
    probe.tell("supervisor", m.SetRoute(1, ROUTE, "actor"))
    return probe


def restart(dispatcher: Probe, epoch: int) -> None:
    """Give the plugin another plugin actor."""
    dispatcher.tell("supervisor", m.SetRoute(1, attrs.evolve(ROUTE, epoch=epoch), f"actor {epoch}"))


def test_the_registry_may_be_faster_than_the_supervisor() -> None:
    """What is known of plugins at rest is there when the sessions are."""
    early = Dispatcher()
    told: list[Any] = []
    early.send = lambda address, message: told.append(message)  # type: ignore[method-assign]
    row = m.Registration(7, "p", "1.0", "", "registered", frozenset(), frozenset())
    early.receive(m.KnownRegistrations((row,)), "registry")
    joined = m.SessionJoined(SESSION, "session")
    early.receive(m.StartDispatcher(FrameRules(), os.getpid(), sessions=(joined,)), "supervisor")
    assert [route.plugin_id for route in told[0].routes] == [7]


def test_credit_comes_before_the_version_that_load_waits_for(dispatcher: Probe) -> None:
    """Who has learned that the plugin is ready can send without waiting."""
    [answer] = dispatcher.told("supervisor", m.RouteSet)
    to_session = [message for to, message in dispatcher.sent if to == "session"]
    credit = next(place for place, message in enumerate(to_session) if isinstance(message, m.CreditGranted))
    version = next(
        place for place, message in enumerate(to_session) if getattr(message, "version", -1) >= answer.version
    )
    assert credit < version


def test_a_session_that_joins_gets_its_credit_before_it_is_ready(dispatcher: Probe) -> None:
    """The routes it gets first have no version yet."""
    dispatcher.tell("supervisor", m.SessionJoined(13, "third"))
    kinds = [(type(message), getattr(message, "version", 0) >= 0) for to, message in dispatcher.sent if to == "third"]
    assert kinds[0] == (m.RoutesChanged, False)
    assert kinds[-1] == (m.RoutesChanged, True)
    assert (m.CreditGranted, True) in kinds or dispatcher.told("session", m.CreditRecalled)


def test_frames_that_are_sent_again_are_counted_once(dispatcher: Probe) -> None:
    """After a restart of the plugin actor the session repeats what it has no answer for."""
    dispatcher.submit(1, 2)
    restart(dispatcher, 2)
    dispatcher.submit(3, epoch=1)
    dispatcher.submit(1, 2, 3, epoch=2)
    assert [len(message.frames) for message in dispatcher.told("actor", m.Enqueue)] == [2]
    assert [len(message.frames) for message in dispatcher.told("actor 2", m.Enqueue)] == [3]
    assert dispatcher.counts() == (3, {})


def test_a_frame_that_is_refused_when_it_is_sent_again_was_not_dispatched(dispatcher: Probe) -> None:
    """The mailbox is asked first: it may have the frame. If not, what was counted on its way is taken back."""
    dispatcher.submit(1, 2)
    dispatcher.tell("registry", m.PermissionsChanged(7, frozenset(), 1, "asker"))
    restart(dispatcher, 2)
    dispatcher.submit(1, 2, 3, epoch=2)
    [judge] = dispatcher.told("actor 2", m.Refuse)
    assert [seq for seq, _ in judge.frames] == [1, 2]
    assert dispatcher.counts() == (2, {"PermissionDenied": 1})
    dispatcher.tell("actor 2", m.Overflowed(SESSION, 7, judge.frames))
    assert dispatcher.counts() == (0, {"PermissionDenied": 3})
    assert [seq for rejected in dispatcher.told("session", m.Rejected) for seq, _ in rejected.frames] == [3, 1, 2]


def test_frames_for_a_plugin_that_is_gone_are_refused_on_their_receipts(dispatcher: Probe) -> None:
    """What was under way when the plugin was unloaded is rejected, and counted as that."""
    dispatcher.tell("supervisor", m.DropRoute(1, 7, True))
    dispatcher.submit(1, 2)
    [rejected] = dispatcher.told("session", m.Rejected)
    assert [(seq, type(error)) for seq, error in rejected.frames] == [
        (1, PluginNotRegistered),
        (2, PluginNotRegistered),
    ]
    assert dispatcher.counts() == (0, {"PluginNotRegistered": 2})


def test_frames_for_an_earlier_plugin_of_the_same_id_are_refused(dispatcher: Probe) -> None:
    """They do not reach the plugin that has been loaded under the id since, and they are not forgotten."""
    dispatcher.tell("supervisor", m.DropRoute(1, 7, True))
    dispatcher.tell("supervisor", m.SetRoute(2, attrs.evolve(ROUTE, epoch=5), "newcomer"))
    dispatcher.submit(1, epoch=1)
    assert dispatcher.told("newcomer", m.Enqueue) == []
    [rejected] = dispatcher.told("session", m.Rejected)
    assert isinstance(rejected.frames[0][1], PluginNotRegistered)


def test_credit_for_an_earlier_plugin_of_the_same_id_does_not_come_back(dispatcher: Probe) -> None:
    """Whoever reads late gives back what was lent for the last one; what is lent for this one stays lent."""
    dispatcher.tell("supervisor", m.DropRoute(1, 7, True))
    dispatcher.tell("supervisor", m.SetRoute(2, attrs.evolve(ROUTE, epoch=2), "actor"))
    ledger = dispatcher._targets[7].ledger
    lent = ledger.lease(SESSION)
    dispatcher.tell("session", m.ReturnCredit(SESSION, 7, 1, epoch=1))
    assert ledger.lease(SESSION) == lent > 0
    dispatcher.tell("session", m.ReturnCredit(SESSION, 7, 1, epoch=2))
    assert ledger.lease(SESSION) == lent - 1


def test_a_revoke_is_answered_when_all_that_was_let_through_has_arrived(dispatcher: Probe) -> None:
    """The plugin actor passes the fence behind the frames; routes and answer carry the version."""
    dispatcher.submit(1)
    dispatcher.tell("registry", m.PermissionsChanged(7, frozenset(), 5, "asker"))
    sent = [type(message) for to, message in dispatcher.sent if to == "actor"]
    assert sent == [m.SessionJoined, m.Enqueue, m.Fence]
    assert dispatcher.told("asker", m.Reply) == []
    [fence] = dispatcher.told("actor", m.Fence)
    dispatcher.tell("actor", m.FencePassed(fence.token))
    [answer] = dispatcher.told("asker", m.Reply)
    assert answer.version == dispatcher.told("session", m.RoutesChanged)[-1].version


def test_a_plugin_actor_hears_of_a_session_before_its_first_frame(dispatcher: Probe) -> None:
    """Once for each actor, whatever the supervisor tells it; and that the session has left."""
    dispatcher.submit(1)
    dispatcher.submit(2)
    restart(dispatcher, epoch=2)
    dispatcher.submit(2, 3, epoch=2)
    assert [message.session for message in dispatcher.told("actor", m.SessionJoined)] == [SESSION]
    assert [message.session for message in dispatcher.told("actor 2", m.SessionJoined)] == [SESSION]
    dispatcher.tell("supervisor", m.SessionLeft(SESSION))
    assert dispatcher.told("actor 2", m.SessionLeft) == [m.SessionLeft(SESSION)]


@pytest.mark.parametrize("actor", ["actor 2", None])
def test_a_revoke_does_not_wait_for_a_plugin_actor_that_ended(dispatcher: Probe, actor: str | None) -> None:
    """Its fence falls when another plugin actor takes over, and when the plugin is given up."""
    dispatcher.tell("registry", m.PermissionsChanged(7, frozenset(), 5, "asker"))
    given_up = attrs.evolve(ROUTE, state="failed")
    dispatcher.tell("supervisor", m.SetRoute(1, attrs.evolve(ROUTE, epoch=2) if actor else given_up, actor))
    assert len(dispatcher.told("asker", m.Reply)) == 1


def test_permissions_stay_revoked_when_the_plugin_actor_is_restarted(dispatcher: Probe) -> None:
    """The supervisor's route is older than what the registry said."""
    dispatcher.tell("registry", m.PermissionsChanged(7, frozenset(), 5, "asker"))
    restart(dispatcher, 2)
    assert dispatcher.told("session", m.RoutesChanged)[-1].routes[0].permissions == frozenset()


def test_nobody_waits_for_a_plugin_that_was_given_up_with_its_plugin_actor(dispatcher: Probe) -> None:
    """Sessions are told at once that its frames get no outcome any more and that it has failed."""
    dispatcher.submit(1)
    dispatcher.tell("supervisor", m.SetRoute(1, attrs.evolve(ROUTE, state="failed"), None))
    change = dispatcher.told("session", m.RoutesChanged)[-1]
    assert (change.gone, change.routes[0].state) == ({7: False}, "failed")
    dispatcher.tell("session", m.GetPluginStats(3, "asker", 7))
    [answer] = dispatcher.told("asker", m.Reply)
    assert isinstance(answer.error, PluginFailed)


# Frames of plugins for other plugins.

SENDER = m.Route(
    9, "road", "1.0.0", "ready", frozenset({"inter_plugin"}), Policy(), 100, 1 << 20, 2, requires={"echo": ">=1"}
)
PLUGINS_SESSION = 13


@pytest.fixture
def between(dispatcher: Probe) -> Probe:
    """Return a dispatcher that knows the session of a plugin that requires the other one."""
    dispatcher.tell("supervisor", m.SetRoute(2, SENDER, "sender"))
    dispatcher.tell("supervisor", m.SessionJoined(PLUGINS_SESSION, "sender", (), False, 9))
    dispatcher.sent.clear()
    return dispatcher


def send_between(dispatcher: Probe, seq: int) -> None:
    """Let the plugin send a frame to the other one."""
    dispatcher.tell("sender", m.Submit(PLUGINS_SESSION, (m.Batch(7, 1, Frames.of([(seq, *FRAME, 0)])),), ()))


def test_a_plugin_needs_a_permission_to_send(between: Probe) -> None:
    """With it the frame passes; without it, it is refused, and counted as a violation of the sender."""
    send_between(between, 1)
    assert len(between.told("actor", m.Enqueue)) == 1
    between.tell("registry", m.PermissionsChanged(9, frozenset(), 1, "asker"))
    send_between(between, 2)
    assert len(between.told("actor", m.Enqueue)) == 1
    [rejected] = between.told("sender", m.Rejected)
    [(seq, error)] = rejected.frames
    assert (seq, type(error), error.plugin_id, error.permission) == (2, PermissionDenied, 9, "inter_plugin")
    assert between.told("sender", m.NoteViolations) == [m.NoteViolations(1)]
    assert between.told("actor", m.NoteViolations) == []


def test_what_a_plugin_may_not_send_is_its_own_violation(between: Probe) -> None:
    """Also where the other one lacks the permission, whoever has found that; of other senders the receiver counts."""
    between.tell("registry", m.PermissionsChanged(7, frozenset(), 1, "asker"))
    send_between(between, 1)
    refusal = m.Refusal(7, "PermissionDenied", 2, permission=True)
    between.tell("sender", m.Submit(PLUGINS_SESSION, (), (refusal,)))
    assert between.told("sender", m.NoteViolations) == [m.NoteViolations(1), m.NoteViolations(2)]
    assert between.told("actor", m.NoteViolations) == []
    between.submit(1)
    assert between.told("actor", m.NoteViolations) == [m.NoteViolations(1)]


def test_nobody_sends_for_a_plugin_that_is_gone(between: Probe) -> None:
    """The session of a plugin whose route is dropped sends nothing any more."""
    between.tell("supervisor", m.DropRoute(2, 9, True))
    send_between(between, 1)
    assert between.told("actor", m.Enqueue) == []


def test_a_senders_revoke_waits_for_what_it_has_under_way(between: Probe) -> None:
    """It is answered when a fence has passed the sender, and then those whom it may have sent frames to."""
    between.tell("registry", m.PermissionsChanged(9, frozenset(), 1, "asker"))
    [first] = between.told("sender", m.Fence)
    assert between.told("actor", m.Fence) == []
    between.tell("sender", m.FencePassed(first.token))
    [second] = between.told("actor", m.Fence)
    assert between.told("asker", m.Reply) == []
    between.tell("actor", m.FencePassed(second.token))
    assert len(between.told("asker", m.Reply)) == 1


def test_a_senders_revoke_does_not_wait_for_who_is_gone(between: Probe) -> None:
    """The end of the plugin actor that a fence has travelled to lets it go on."""
    between.tell("registry", m.PermissionsChanged(9, frozenset(), 1, "asker"))
    [first] = between.told("sender", m.Fence)
    between.tell("supervisor", m.DropRoute(1, 7, True))
    between.tell("sender", m.FencePassed(first.token))
    assert len(between.told("asker", m.Reply)) == 1
