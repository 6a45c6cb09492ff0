"""Dead letters of running plugins: kept with their reason, listed, redelivered once and dropped, whoever is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import (
    DeadLetterUnknown,
    DispatchTimeout,
    JournalFailed,
    LetterOfAnother,
    PluginHeader,
    PluginNotRegistered,
    PluginSystem,
)
from nyx_plugins.config.settings import LimitSettings, Settings, SupervisionSettings, SystemSettings

needs_worker = pytest.mark.needs_worker(reason="a worker of its own is what can crash")

DATA = 0x52
ID = 1
RESTARTS = "[restart]\nmax_restarts = 1000\n"
SUPERVISION = SupervisionSettings(backoff_initial_s=0.0, backoff_max_s=0.0)


def frame(text: bytes) -> tuple[int, bytes]:
    """Make a data frame."""
    return DATA, PluginHeader(ID, 0, text).encode()


def send(system: PluginSystem, *texts: bytes) -> list[Any]:
    """Send data frames and wait for their outcomes."""
    receipts: list[Any] = system.dispatch_many(list(map(frame, texts)), timeout=30.0)
    return [receipt.outcome(30.0) for receipt in receipts]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What the systems of these tests are made of; they share a state directory."""
    return Settings(system=SystemSettings(state_dir=str(tmp_path / "state")), supervision=SUPERVISION)


@needs_worker
def test_what_a_crash_leaves(make_system: Callable[..., PluginSystem], fault: Callable[..., Path]) -> None:
    """The frame that a worker died in is kept, with what is known of it; its neighbours are not."""
    system = make_system(Settings(supervision=SUPERVISION))
    assert system.dead_letters() == system.dead_letters(ID) == []
    system.load(fault("crashing_plugin", RESTARTS), capacity=100)
    outcomes = send(system, b"before", b"crash", b"after")
    assert [outcome.kind for outcome in outcomes] == ["processed", "dead_lettered", "processed"]
    [info] = system.dead_letters(ID)
    assert system.dead_letters() == [info]
    assert (info.plugin_id, info.letter_id, info.plugin, info.frame_type) == (ID, 1, "crashing_plugin", DATA)
    assert (info.cause, info.reason) == ("crash", outcomes[1].reason)
    content = system.dead_letter(ID, 1)
    assert (content.header, content.data, content.flags) == (frame(b"crash")[1], b"crash", 0)
    assert content.header_bytes == info.header_bytes == len(content.header)
    stats = system.plugin_stats(ID)
    assert (stats.dead_lettered, stats.dead_letters, stats.dead_letters_lost) == (1, 1, 0)


@needs_worker
def test_redelivery(make_system: Callable[..., PluginSystem], fault: Callable[..., Path]) -> None:
    """What is redelivered is a frame like any other, and a dead letter no more; if it dies again, it is a new one."""
    system = make_system(Settings(supervision=SUPERVISION))
    system.load(fault("crashing_plugin", RESTARTS), capacity=100)
    send(system, b"crash", b"crash", b"crash")
    with pytest.raises(DeadLetterUnknown, match="plugin 1 has no dead letter 9"):
        system.redeliver(ID, [2, 9])
    result = system.redeliver(ID, [2], timeout=30.0)
    assert (result.accepted, result.left) == ((2,), {})
    system.drain(30.0)
    assert [info.letter_id for info in system.dead_letters(ID)] == [1, 3, 4]
    assert system.redeliver(ID, timeout=30.0).accepted == (1, 3, 4)
    system.drain(30.0)
    assert [info.letter_id for info in system.dead_letters(ID, after=5)] == [6, 7]
    stats = system.plugin_stats(ID)
    assert (stats.accepted, stats.dead_lettered, stats.in_mailbox) == (7, 7, 0)


@needs_worker
def test_what_finds_no_room_stays(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> None:
    """A full mailbox takes as many as it has room for; the others stay, and say why."""
    system = make_system(Settings(supervision=SUPERVISION))
    system.load(fault("crashing_plugin", RESTARTS), capacity=2)
    for _ in range(4):
        with system.subscribe() as events:
            send(system, b"crash")
            wait_event(events, "restarted", ID)
    system.pause(ID)
    result = system.redeliver(ID, timeout=0.5)
    assert {type(error) for error in result.left.values()} == {DispatchTimeout}
    # Where time is up before it is known to be accepted, the frame is on its way.
    on_its_way = [letter for letter, error in result.left.items() if error.receipt is not None]
    assert [*result.accepted, *on_its_way] == [1, 2]
    while system.plugin_stats(ID).in_mailbox < 2:
        pass
    assert [info.letter_id for info in system.dead_letters(ID)] == [3, 4]


@needs_worker
def test_those_of_a_plugin_that_is_not_loaded(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], settings: Settings
) -> None:
    """They outlive plugin and system, can be looked at and dropped, and go on with it, not with others of its id."""
    system = make_system(settings)
    bundle = fault("crashing_plugin", RESTARTS)
    system.load(bundle, capacity=100)
    send(system, b"crash", b"crash", b"crash")
    system.unload(ID)
    assert [info.letter_id for info in system.dead_letters()] == [1, 2, 3]
    assert system.drop_dead_letters(ID, [2, 2]) == 1
    with pytest.raises(DeadLetterUnknown):
        system.dead_letter(ID, 2)
    assert isinstance(system.redeliver(ID).left[1], PluginNotRegistered)
    system.close()
    system = make_system(settings)
    assert system.dead_letter(ID, 3).data == b"crash"
    system.load(fault("obedient_plugin"))
    left = system.redeliver(ID, timeout=30.0).left
    assert {letter: type(error) for letter, error in left.items()} == dict.fromkeys((1, 3), LetterOfAnother)
    system.unload(ID)
    system.load(bundle, capacity=100)
    assert system.plugin_stats(ID).dead_letters == 2
    assert system.redeliver(ID, timeout=30.0).accepted == (1, 3)
    system.drain(30.0)
    assert [info.letter_id for info in system.dead_letters(ID)] == [4, 5]
    assert system.drop_dead_letters(ID) == 2
    assert system.drop_dead_letters(ID) == 0


@needs_worker
def test_bounds(make_system: Callable[..., PluginSystem], fault: Callable[..., Path]) -> None:
    """The oldest go first and are counted; with room for none, none is kept."""
    for most, kept, lost in ((2, [2, 3], 1), (0, [], 0)):
        system = make_system(Settings(supervision=SUPERVISION, limits=LimitSettings(dead_letters=most)))
        system.load(fault("crashing_plugin", RESTARTS) if most else fault("segfaulting_plugin", RESTARTS))
        send(system, b"crash", b"crash", b"crash")
        assert [info.letter_id for info in system.dead_letters(ID)] == kept
        stats = system.plugin_stats(ID)
        assert (stats.dead_lettered, stats.dead_letters, stats.dead_letters_lost) == (3, len(kept), lost)


@needs_worker
def test_everything_that_is_given_up_is_kept(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> None:
    """What waits for a plugin that fails for good is kept, and so is what an unload can't wait for."""
    system = make_system(Settings(supervision=SUPERVISION))
    system.load(fault("crashing_plugin", "[restart]\nmax_restarts = 0\n"), capacity=1000)
    system.pause(ID)
    receipts = system.dispatch_many([frame(b"crash"), *[frame(b"x")] * 600], timeout=30.0)
    with system.subscribe() as events:
        system.resume(ID)
        wait_event(events, "failed", ID)
    assert {receipt.outcome(30.0).kind for receipt in receipts} == {"dead_lettered"}
    letters = system.dead_letters(ID, limit=1000)
    assert [info.cause for info in letters] == ["crash", *["failed plugin"] * 600]


@needs_worker
def test_the_plugin_actor_is_killed(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> None:
    """Its letters are as they were in the next one, and its next letter has the next number."""
    system = make_system(Settings(supervision=SUPERVISION))
    system.load(fault("crashing_plugin", RESTARTS), capacity=100)
    send(system, b"crash")
    with system.subscribe() as events:
        os.kill(system.plugin_stats(ID).actor_pid, signal.SIGKILL)
        wait_event(events, "restarted", ID)
    send(system, b"crash")
    assert [info.letter_id for info in system.dead_letters(ID)] == [1, 2]
    assert system.redeliver(ID, [1], timeout=30.0).accepted == (1,)


@needs_worker
def test_where_none_can_be_kept(
    make_system: Callable[..., PluginSystem],
    fault: Callable[..., Path],
    settings: Settings,
    tmp_path: Path,
    plugin_log: Any,
) -> None:
    """A folder that can't be used costs the letters, and says so; frames and plugin go on."""
    system = make_system(settings)
    (tmp_path / "state" / "dead-letters").write_bytes(b"")
    system.load(fault("crashing_plugin", RESTARTS))
    assert [outcome.kind for outcome in send(system, b"crash", b"fine")] == ["dead_lettered", "processed"]
    plugin_log.wait_for("1 dead letters could not be kept: journal")
    assert system.plugin_stats(ID).dead_letters_lost == 1
    system.unload(ID)
    (tmp_path / "state" / "dead-letters").unlink()
    (tmp_path / "state" / "dead-letters").mkdir()
    (tmp_path / "state" / "dead-letters" / f"{ID}.journal").mkdir()
    with pytest.raises(JournalFailed, match="can't be used"):
        system.dead_letters(ID)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda s: s.dead_letters("1"), TypeError),
        (lambda s: s.dead_letters(1, after=-1), ValueError),
        (lambda s: s.dead_letters(1, limit=0), ValueError),
        (lambda s: s.dead_letter(1, True), TypeError),
        (lambda s: s.dead_letter(-1, 1), ValueError),
        (lambda s: s.redeliver(1, 5), TypeError),
        (lambda s: s.redeliver(1, ["a"]), TypeError),
        (lambda s: s.drop_dead_letters(1, "12"), TypeError),
    ],
)
def test_mistakes(lent: PluginSystem, call: Callable[[PluginSystem], Any], error: type[Exception]) -> None:
    """Arguments that can't be meant are refused where they come in."""
    with pytest.raises(error):
        call(lent)
