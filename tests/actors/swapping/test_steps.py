"""The steps of a swap, one by one, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nyx_plugins.actors import swapping as swapping_module
from nyx_plugins.actors.deadline import Deadline
from nyx_plugins.actors.swapping import Switch
from nyx_plugins.plugins.errors import SwapFailed
from nyx_plugins.plugins.worker.answers import (
    Answer,
    Emit,
    Emitted,
    Ready,
    Restored,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    StateTaken,
    Stopped,
)
from nyx_plugins.plugins.worker.answers import SwapFailed as WorkerSwapFailed
from nyx_plugins.plugins.worker.protocol import ProtocolError

from .conftest import Scripted, World, a_world


def test_the_steps_of_a_swap() -> None:
    """Start beside the old one, finish what is in hand, move the state, switch, and only then give out frames."""
    with a_world() as world:
        [lane] = world.lanes
        old = lane.worker
        world.accept(lane, 2)
        world.begin()
        [new] = world.standing_by
        assert (new.plan.standby, new.told, old.frames) == (True, ["start"], [0, 1])
        new.say(Ready())
        world.accept(lane)
        assert (old.frames, old.told) == ([0, 1], ["start"])
        old.finish_one()
        old.finish_one()
        assert (old.told, new.told, old.frames) == (["start", "snapshot"], ["start"], [])
        old.give_state()
        assert new.given == (3, b"state")
        assert new.frames == []
        new.take_over()
        assert (lane.worker, new.frames, old.told) == (new, [2], ["start", "stop"])
        [switch] = world.results
        assert isinstance(switch, Switch)
        assert (switch.state_carried, switch.pause_s >= 0) == (True, True)
        old.say(Stopped(None))
        assert not old.is_alive
        new.finish_one()
        assert [result for _, result in world.outcomes] == [b"old/bundle", b"old/bundle", b"new/bundle"]


def test_all_lanes_switch_at_one_boundary() -> None:
    """Nobody's state is asked for before all have nothing in hand, and nobody gets frames before all are restored."""
    with a_world(lanes=2) as world:
        first, second = world.lanes
        old = [lane.worker for lane in world.lanes]
        world.accept(second)
        world.begin()
        new = world.standing_by
        for worker in new:
            worker.say(Ready())
        world.accept(first)
        assert [worker.told for worker in old] == [["start"]] * 2
        old[1].finish_one()
        for worker in old:
            worker.give_state()
        new[0].take_over()
        assert [worker.frames for worker in (*old, *new)] == [[], [], [], []]
        assert first.worker is old[0]
        new[1].take_over()
        assert ([first.worker, second.worker], new[0].frames) == (new, [0])


FAILURES: list[tuple[str, Callable[[World, Scripted, Scripted], None], str]] = [
    ("start", lambda world, old, new: new.say(StartFailed("ValueError", "no")), "ValueError: no"),
    ("start", lambda world, old, new: new.crash(), "was killed"),
    ("start", lambda world, old, new: world.swapping.on_alarm(), "did not start within 1 s"),  # type: ignore[union-attr]
    ("snapshot", lambda world, old, new: old.say(WorkerSwapFailed("snapshot", "E", "t")), "E: t"),
    ("snapshot", lambda world, old, new: old.crash(), "was killed"),
    (
        "snapshot",
        lambda world, old, new: world.swapping.on_alarm(),
        "snapshot() of the old version, which its frames wait for, did not end within 1 s",
    ),  # type: ignore[union-attr]
    ("snapshot", lambda world, old, new: new.crash(), "the new version's worker was killed"),
    ("restore", lambda world, old, new: new.say(WorkerSwapFailed("restore", "E", "t")), "E: t"),
    ("restore", lambda world, old, new: new.crash(), "was killed"),
    ("restore", lambda world, old, new: world.swapping.on_alarm(), "restore() of the new version"),  # type: ignore[union-attr]
    ("restore", lambda world, old, new: world.swapping.abandon("it was unloaded"), "it was unloaded"),  # type: ignore[union-attr]
    ("on_ready", lambda world, old, new: new.say(WorkerSwapFailed("on_ready", "E", "t")), "E: t"),
    ("on_ready", lambda world, old, new: new.crash(), "was killed"),
    ("on_ready", lambda world, old, new: world.swapping.on_alarm(), "on_ready() of the new version"),  # type: ignore[union-attr]
]


@pytest.mark.parametrize(("step", "fail", "reason"), FAILURES)
def test_a_failure_leaves_the_old_version(
    step: str, fail: Callable[[World, Scripted, Scripted], None], reason: str
) -> None:
    """Whatever fails, the new worker is gone with its mark, the old one goes on with what has come meanwhile."""
    with a_world() as world:
        [lane] = world.lanes
        old = lane.worker
        world.begin()
        [new] = world.standing_by
        if step != "start":
            new.say(Ready())
        if step in ("restore", "on_ready"):
            old.give_state()
        if step == "on_ready":
            new.say(StateTaken())
        world.accept(lane)
        fail(world, old, new)
        [error] = world.results
        assert isinstance(error, SwapFailed)
        assert error.step == step
        assert reason in error.reason
        assert str(error).endswith("the old version goes on") == error.goes_on == (reason != "it was unloaded")
        assert (new.is_alive, lane.is_held, swapping_module.ALARM in world.alarms) == (False, False, False)
        assert not (world.folder / "mark-0-standby").exists()
        if not old.is_alive:
            lane.on_alarm("restart")
            lane.worker.say(Ready())
        assert (lane.worker.plan.bundle, lane.worker.frames) == ("old/bundle", [0])


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    """State that comes after its swap was given up is let go; that of the next swap is the next."""
    with a_world() as world:
        old = world.lanes[0].worker
        world.begin()
        world.standing_by[0].say(Ready())
        assert world.swapping is not None
        world.swapping.on_alarm()
        world.begin()
        [new] = world.standing_by
        new.say(Ready())
        old.give_state(b"first")
        assert new.given is None
        old.give_state(b"second")
        assert new.given == (3, b"second")


@pytest.mark.parametrize(("answers", "where"), [(False, "at its snapshot()"), (True, "per frame")])
def test_a_snapshot_that_hangs_is_what_the_worker_was_at(
    monkeypatch: pytest.MonkeyPatch, answers: bool, where: str
) -> None:
    """The old worker is ended if frames wait for it too long, and the reason tells its snapshot() from a frame."""
    monkeypatch.setattr(Deadline, "exceeded", lambda *_: 5.0)
    with a_world() as world:
        [lane] = world.lanes
        old = lane.worker
        world.begin()
        world.standing_by[0].say(Ready())
        assert world.swapping is not None
        world.swapping.on_alarm()
        if answers:
            old.give_state()
        world.accept(lane)
        assert old.frames == [0]
        lane.on_alarm("tick")
        assert [str(death) for death in world.deaths] == [f"exceeded its wall time of 5 s {where}"]
        lane.on_alarm("restart")
        lane.worker.say(Ready())
        assert (lane.worker.plan.bundle, lane.is_at_snapshot) == ("old/bundle", False)


@pytest.mark.parametrize(
    "answer", [SnapshotPart(b"x"), SnapshotDone(1), StateTaken(), Restored(), WorkerSwapFailed("restore", "", "")]
)
def test_a_worker_that_was_not_asked_breaks_the_protocol(answer: Answer) -> None:
    """A worker that speaks of a swap when there is none, or the new one out of its turn, is ended by its link."""
    with a_world() as world:
        with pytest.raises(ProtocolError):
            world.lanes[0].worker.say(answer)
        world.begin()
        [new] = world.standing_by
        with pytest.raises(ProtocolError):
            new.say(answer)


@pytest.mark.parametrize("answer", [Restored(), WorkerSwapFailed("on_ready", "", "")])
def test_a_worker_that_skips_a_step_breaks_the_protocol(answer: Answer) -> None:
    """The new worker may not be ready, or have failed to be, before it has taken the state."""
    with a_world() as world:
        world.begin()
        [new] = world.standing_by
        new.say(Ready())
        world.lanes[0].worker.give_state()
        with pytest.raises(ProtocolError):
            new.say(answer)


def test_the_slowest_lane_names_the_step() -> None:
    """What a lane that is ready waits for has taken too long; the end of its own worker is its own."""
    for ending, step in (("alarm", "restore"), ("crash", "on_ready")):
        with a_world(lanes=2) as world:
            world.begin()
            first, second = world.standing_by
            for worker in (first, second):
                worker.say(Ready())
            for lane in world.lanes:
                lane.worker.give_state()
            first.take_over()
            assert world.swapping is not None
            world.swapping.on_alarm() if ending == "alarm" else first.crash()
            [error] = world.results
            assert isinstance(error, SwapFailed) and error.step == step


@pytest.mark.parametrize(
    "answers", [[SnapshotPart(b"x" * 6)] * 2, [SnapshotDone(1)], [SnapshotPart(b"x"), SnapshotDone(None)]]
)
def test_a_state_has_a_size_and_a_version(answers: list[Answer]) -> None:
    """More state than the limit, none with a version, or some without, breaks the protocol."""
    with a_world() as world:
        old = world.lanes[0].worker
        world.begin()
        world.standing_by[0].say(Ready())
        for answer in answers[:-1]:
            old.say(answer)
        with pytest.raises(ProtocolError):
            old.say(answers[-1])


def test_what_a_new_version_emits_is_held_back() -> None:
    """It goes out after the switch; too much of it ends the swap."""
    emit = Emit((Emitted(0x52, 0, b"x"),))
    with a_world() as world:
        world.begin()
        [new] = world.standing_by
        new.say(emit)
        new.say(Ready())
        world.lanes[0].worker.give_state()
        assert world.said == []
        new.take_over()
        assert world.said == [emit]
        world.begin()
        world.standing_by[0].say(Emit((Emitted(0x52, 0, b"x" * (1 << 20 | 1)),)))
        assert isinstance(world.results[-1], SwapFailed)
