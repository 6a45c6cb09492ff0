"""Swaps in which everything happens in any order."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from nyx_plugins.actors.lane import Lane
from nyx_plugins.actors.mailbox import DeadLetter
from nyx_plugins.plugins.worker.answers import Ready, Restored, StateTaken, Stopped
from nyx_plugins.plugins.worker.answers import SwapFailed as WorkerSwapFailed

from .conftest import Scripted, World, a_world, step


def moves(world: World) -> list[Callable[[], None]]:
    """Everything that could happen next; what brings things on more often than what ends them."""
    found = [lambda lane=lane: world.accept(lane) for lane in world.lanes if world.accepted < 40]
    if world.swapping is None and (world.retiring is None or not world.retiring.workers):
        found += [world.begin] * 3
    for worker in [worker for worker in world.workers if worker.is_alive]:
        found += good_moves(worker) * 4
    found += [lambda lane=lane: fire(world, lane) for lane in world.lanes if ("restart", lane.number) in world.alarms]
    return found or [lambda: None]


def bad_moves(world: World) -> list[Callable[[], None]]:
    """What could go wrong next."""
    alive = [worker for worker in world.workers if worker.is_alive]
    found = [worker.crash for worker in alive]
    found += [lambda worker=worker: step(worker, "failed", FAILED) for worker in alive if worker.told[-1] == "restore"]
    return [*found, lambda: pause(world), *([world.swapping.on_alarm] if world.swapping is not None else [])]


FAILED = WorkerSwapFailed("restore", "E", "t")


def good_moves(worker: Scripted) -> list[Callable[[], None]]:
    """What this worker is expected to do next."""
    if worker.frames:
        return [worker.finish_one]
    match worker.told[-1]:
        case "start":
            return [lambda: step(worker, "ready", Ready())]
        case "snapshot":
            return [worker.give_state]
        case "restore":
            return [lambda: step(worker, "state taken", StateTaken())]
        case "state taken":
            return [lambda: step(worker, "restored", Restored())]
        case "stop":
            return [lambda: step(worker, "stopped", Stopped(None))]
    return []


def fire(world: World, lane: Lane) -> None:
    """Let the backoff of a lane be over."""
    world.alarms.discard(("restart", lane.number))
    lane.on_alarm("restart")


def pause(world: World) -> None:
    """Pause the plugin, or let it go on."""
    world.standing.is_paused = not world.standing.is_paused
    for lane in world.lanes:
        lane.pump()


def check(world: World) -> None:
    """No frame is in two hands, and a lane gives frames to its own worker only."""
    hands = [(worker, index) for worker in world.workers if worker.is_alive for index in worker.frames]
    for lane in world.lanes:
        mine = [index for worker, index in hands if worker is lane.worker]
        assert len(mine) == len(set(mine))
    assert all(any(worker is lane.worker for lane in world.lanes) for worker, _ in hands)
    versions = {lane.worker.plan.bundle for lane in world.lanes if lane.worker is not None}
    assert len(versions) <= 1


@settings(max_examples=80, deadline=None)
@given(lanes=st.integers(1, 3), data=st.data())
def test_whatever_happens_no_frame_is_lost_doubled_or_reordered(lanes: int, data: st.DataObject) -> None:
    """In any order of answers, deaths, alarms and pauses, each frame has one outcome, in order; no worker is left."""
    with a_world(lanes) as world:
        for _ in range(data.draw(st.integers(1, 80))):
            goes_wrong = data.draw(st.integers(0, 11)) == 11
            data.draw(st.sampled_from((bad_moves if goes_wrong else moves)(world)))()
            check(world)
        wind_up(world)
        seqs = [seq for seq, _ in world.outcomes]
        assert sorted(seqs) == list(range(1, world.accepted + 1))
        results = {result for _, result in world.outcomes if not isinstance(result, DeadLetter)}
        assert results <= {b"old/bundle", b"new/bundle"}
        for mine in world.sent.values():
            assert [seq for seq in seqs if seq in mine] == mine
        assert {id(worker) for worker in world.workers if worker.is_alive} == {id(lane.worker) for lane in world.lanes}
        assert list(world.folder.glob("*standby")) == []


def wind_up(world: World) -> None:
    """Let all that has begun come to its end."""
    if world.swapping is not None:
        world.swapping.abandon("it is over")
    if world.retiring is not None:
        world.retiring.end()
    world.standing.is_paused = False
    for lane in world.lanes:
        if ("restart", lane.number) in world.alarms:
            fire(world, lane)
        if not lane.is_ready:
            lane.worker.say(Ready())
        lane.pump()
        while lane.worker.frames:
            lane.worker.finish_one()
