"""Frames that outlive their system: killed as a whole, and at any time, it leaves what was accepted to the next one."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import (
    BacklogOfAnother,
    ConfigError,
    FateUnknown,
    JournalFailed,
    PluginHeader,
    PluginSystem,
)
from nyx_plugins.actors.processes import await_ends, descendants, watch_ends
from nyx_plugins.actors.segments import Segments
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import LimitSettings, Settings, SupervisionSettings, SystemSettings

pytestmark = pytest.mark.needs_worker(reason="a system in this process can't be killed without it")

DATA = 0x52
ID = 7
PATIENCE_S = 60.0
WITNESS = '''
"""Writes the data of each frame into the file of its configuration, then waits for as long as the data says."""

import os

from nyx_plugins.plugins import Frame, Plugin


class Witness(Plugin):
    def on_load(self, ctx):
        self.file = os.open(ctx.config["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def on_data(self, frame: Frame) -> bytes:
        os.write(self.file, frame.data + b"\\n")
        if frame.data.startswith(b"wait"):
            open(self.ctx.config["gate"], "rb").read()
        if frame.data.startswith(b"crash"):
            os._exit(13)
        return frame.data
'''


@attrs.frozen
class Place:
    """Where everything of a test lies that outlives a system."""

    path: Path
    limits: LimitSettings

    @property
    def journals(self) -> Path:
        """The folder of the plugin's backlog."""
        return self.path / "state" / "durable" / str(ID)

    def seen(self) -> list[str]:
        """What the plugin has seen, in all systems."""
        file = self.path / "seen"
        return file.read_text().split() if file.exists() else []

    def system(self) -> PluginSystem:
        """Start a system."""
        system = SystemSettings(state_dir=str(self.path / "state"))
        supervision = SupervisionSettings(backoff_initial_s=0.0, backoff_max_s=0.0)
        ceiling = Ceiling(read_paths=(str(self.path),), write_paths=(str(self.path),))
        return PluginSystem(Settings(system=system, supervision=supervision, ceiling=ceiling, limits=self.limits))

    def load(self, system: PluginSystem, capacity: int = 1000) -> None:
        """Load the witness."""
        config = {"file": str(self.path / "seen"), "gate": str(self.path / "gate")}
        system.load(self.path / "witness", capacity=capacity, config=config)

    def bundle(self, name: str = "witness", more: str = "") -> Path:
        """Write the witness down."""
        folder = self.path / name
        folder.mkdir()
        (folder / "plugin.py").write_text(WITNESS)
        (folder / "plugin.toml").write_text(
            f'id = {ID}\nname = "{name}"\nversion = "1.0.0"\napi_version = 1\nentry_point = "plugin:Witness"\n'
            f'permissions = ["data_access", "control"]\n{more}\n[sandbox]\nread_paths = ["{self.path}"]\n'
            f'write_paths = ["{self.path}"]\n'
        )
        return folder


@pytest.fixture
def place(tmp_path: Path, runtime_base: Path) -> Place:
    """Return the place of a test; its limits make frames durable."""
    made = Place(tmp_path, LimitSettings(durability="disk"))
    os.mkfifo(tmp_path / "gate")
    made.bundle()
    return made


def frames(*texts: str) -> list[tuple[int, bytes]]:
    """Data frames."""
    return [(DATA, PluginHeader(ID, 0, text.encode()).encode()) for text in texts]


def send(system: PluginSystem, *texts: str) -> list[Any]:
    """Send and return the receipts once all are accepted."""
    receipts: list[Any] = system.dispatch_many(frames(*texts), timeout=60.0)
    assert all(receipt.accepted for receipt in receipts)
    return receipts


def kill(system: PluginSystem) -> None:
    """Kill everything at once, the host first, and wait until it is gone: the next system may come then."""
    pids = [system.host_pid, *descendants(system.host_pid)]
    watched = watch_ends(pids)
    for pid in pids:
        # Some end by themselves, once the host has.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    system.close(0.0)
    assert await_ends(watched, PATIENCE_S) == []


def names(*parts: range) -> list[str]:
    """Texts of frames by their numbers."""
    return [f"n{number}" for part in parts for number in part]


def test_what_waits_goes_to_the_next_system(place: Place) -> None:
    """After the death of everything the next system delivers what was accepted, in order, once."""
    system = place.system()
    place.load(system)
    [first] = send(system, "n0")
    assert first.outcome(60.0).kind == "processed"
    system.pause(ID)
    send(system, *names(range(1, 301)))
    kill(system)
    with place.system() as system:
        place.load(system)
        send(system, "last")[0].outcome(60.0)
        stats = system.plugin_stats(ID)
        assert (stats.accepted, stats.processed, stats.in_mailbox) == (301, 301, 0)
    assert place.seen() == [*names(range(301)), "last"]
    assert not place.journals.exists()


def test_exactly_the_frame_in_hand_is_suspect(place: Place) -> None:
    """On the same start of the machine the mark says which frame it was: that one is a dead letter, others go on."""
    system = place.system()
    place.load(system)
    send(system, "wait", *names(range(50)))
    with open(place.path / "gate", "wb"):
        # The plugin has opened the other end: it is in its handler.
        kill(system)
    with place.system() as system:
        place.load(system)
        send(system, "last")[0].outcome(60.0)
        [letter] = system.dead_letters(ID)
        assert (letter.cause, system.dead_letter(ID, letter.letter_id).data) == ("crash", b"wait")
    assert place.seen() == ["wait", *names(range(50)), "last"]


def test_after_another_start_of_the_machine_what_was_handed_out_is_suspect(place: Place) -> None:
    """Nobody knows what became of frames that a worker had: they are dead letters; the others are delivered."""
    system = place.system()
    place.load(system)
    send(system, "wait", *names(range(2000))[:900])
    with open(place.path / "gate", "wb"):
        kill(system)
    files = Segments(place.journals)
    found = files.read()
    assert found.holder is not None
    found.holder = found.holder._replace(boot="another")
    in_hand, waiting = len(found.in_hand), len(found.frames) - len(found.in_hand)
    assert in_hand > 1
    files.begin(found)
    files.close()
    with place.system() as system:
        place.load(system)
        send(system, "last")[0].outcome(60.0)
        assert len(system.dead_letters(ID, limit=1000)) == in_hand
        assert system.plugin_stats(ID).accepted == waiting + 1
    assert place.seen() == ["wait", *names(range(in_hand - 1, 900)), "last"]


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_time(place: Place, seed: int) -> None:
    """Whenever everything is killed under load, each accepted frame is seen once, or suspect, in order."""
    chance = random.Random(seed)
    accepted: list[str] = []
    for life in range(3):
        system = place.system()
        place.load(system, capacity=200)
        texts = [f"{life}-{number}" for number in range(chance.randint(0, 400))]
        receipts = send(system, *texts)
        if receipts and chance.random() < 0.5:
            chance.choice(receipts).outcome(60.0)
        accepted += texts
        kill(system)
    with place.system() as system:
        place.load(system, capacity=200)
        send(system, "last")[0].outcome(60.0)
        letters = system.dead_letters(ID, limit=1000)
        suspects = [system.dead_letter(ID, letter.letter_id).data.decode() for letter in letters]
    seen = place.seen()
    assert seen.pop() == "last"
    assert len(set(seen)) == len(seen)
    assert set(seen) | set(suspects) == set(accepted)
    assert [text for text in accepted if text in set(seen)] == seen


def test_the_plugin_actor_alone_is_killed(place: Place, wait_event: Callable[..., Any]) -> None:
    """The next one takes over mailbox and journal, and each frame has its outcome."""
    with place.system() as system:
        place.load(system)
        receipts = send(system, *names(range(200)))
        with system.subscribe() as events:
            os.kill(system.plugin_stats(ID).actor_pid, signal.SIGKILL)
            receipts += send(system, *names(range(200, 400)))
            wait_event(events, "restarted", ID)
        outcomes = [receipt.outcome(60.0).kind for receipt in receipts]
        stats = system.plugin_stats(ID)
        assert stats.accepted == stats.processed + stats.dead_lettered == 400
        assert outcomes.count("processed") == stats.processed
    assert len(set(place.seen())) == len(place.seen())


HASTY = '''
"""Of several workers the first is ready at once, and the others once that one has ended of a frame."""

import os
import time
from pathlib import Path

from nyx_plugins.plugins import Frame, Plugin


class Witness(Plugin):
    def on_load(self, ctx):
        self.ended = Path(ctx.config["file"])
        try:
            os.close(os.open(ctx.config["first"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            while not self.ended.exists():
                time.sleep(0.001)

    def on_data(self, frame: Frame) -> None:
        self.ended.touch()
        os._exit(13)
'''


def test_a_worker_that_ends_of_what_was_left_is_no_reason_not_to_load(
    place: Place, wait_event: Callable[..., Any]
) -> None:
    """It gets its frames before the other instances are ready: each costs what it costs at any other time."""
    bundle = place.bundle("hasty", "instances = 2")
    (bundle / "plugin.py").write_text(HASTY)
    ended, first = place.path / "ended", place.path / "first"
    config = {"file": str(ended), "first": str(first)}
    ended.touch()
    system = place.system()
    system.load(bundle, config=config)
    system.pause(ID)
    send(system, *names(range(4)))
    kill(system)
    first.unlink()
    ended.unlink()
    with place.system() as system, system.subscribe() as events:
        system.load(bundle, config=config)
        for _ in range(4):
            wait_event(events, "crashed", ID)
        assert {letter.reason for letter in system.dead_letters(ID)} == {"crash: worker exited with code 13"}
        assert len(system.dead_letters(ID)) == 4


def test_a_system_that_stops_leaves_what_it_could_not_finish(place: Place) -> None:
    """Stopped in order, it waits as it was told to, and leaves the rest to the next one; an unload does not."""
    system = place.system()
    place.load(system)
    begun, *left = send(system, "wait", *names(range(20)))
    with open(place.path / "gate", "wb"):
        assert system.close(timeout=0.0).dead_lettered == 1
    assert begun.outcome(60.0).reason == "system stopped"
    for receipt in left:
        with pytest.raises(FateUnknown) as unknown:
            receipt.outcome(60.0)
        assert unknown.value.accepted is True
    with place.system() as system:
        place.load(system)
        assert system.plugin_stats(ID).accepted == len(left)
        send(system, "last")[0].outcome(60.0)
        assert [letter.reason for letter in system.dead_letters(ID)] == ["system stopped"]
        assert place.seen() == ["wait", *names(range(20)), "last"]
        receipts = send(system, "wait", "n20")
        with open(place.path / "gate", "wb"):
            system.unload(ID, timeout=0.0)
        assert [receipt.outcome(60.0).reason for receipt in receipts] == ["unloaded", "unloaded"]
        place.load(system)
        assert system.plugin_stats(ID).accepted == 0


def test_another_plugin_gets_nothing(place: Place) -> None:
    """A bundle of another name does not get the frames of the one before: it is refused by name."""
    system = place.system()
    place.load(system)
    system.pause(ID)
    send(system, "n0", "n1")
    kill(system)
    other = place.bundle("other")
    with place.system() as system:
        with pytest.raises(BacklogOfAnother, match="2 unfinished frames of 'witness' are kept under its id") as caught:
            system.load(other, config={"file": str(place.path / "seen")})
        assert (caught.value.plugin_id, caught.value.found, caught.value.frames) == (ID, "witness", 2)
        place.load(system)
        send(system, "last")[0].outcome(60.0)
    assert place.seen() == ["n0", "n1", "last"]


def test_dead_letters_that_several_redeliver_at_once_are_delivered_once(place: Place) -> None:
    """While a frame waits for the disk its letter goes to nobody else; who comes too late is told, and none stays."""
    with place.system() as system:
        place.load(system, capacity=4000)
        system.pause(ID)
        receipts = send(system, *names(range(600)))
        system.unload(ID, timeout=0.0)
        assert {receipt.outcome(60.0).reason for receipt in receipts} == {"unloaded"}
        place.load(system, capacity=4000)
        with ThreadPoolExecutor(3) as pool:
            results = list(pool.map(lambda _: system.redeliver(ID, timeout=60.0), range(3)))
        system.drain(60.0)
        assert sorted(letter for result in results for letter in result.accepted) == list(range(1, 601))
        assert [dict(result.left) for result in results] == [{}] * 3
        assert system.dead_letters(ID) == []
    assert sorted(place.seen()) == sorted(names(range(600)))


def test_a_corrupt_journal_is_set_aside_and_said(place: Place, plugin_log: Any) -> None:
    """What can't be read is not guessed at: it is kept under another name, and the plugin is loaded."""
    system = place.system()
    place.load(system)
    system.pause(ID)
    send(system, "n0")
    send(system, "n1")
    kill(system)
    path = max(place.journals.glob("*.journal"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"n0", b"n9"))
    with place.system() as system:
        place.load(system)
        plugin_log.wait_for("is corrupt")
        assert system.plugin_stats(ID).accepted == 0
    [kept] = place.journals.glob("*.corrupt-*")
    assert kept.read_bytes() == data.replace(b"n0", b"n9")
    assert place.seen() == []


def test_what_can_not_be_made_durable_is_not_accepted(place: Place, plugin_log: Any) -> None:
    """Where nothing can be written any more, frames are refused by name; once there is room it goes on."""
    with place.system() as system:
        place.load(system)
        send(system, "n0")[0].outcome(60.0)
        for path in place.journals.glob("*.journal"):
            path.unlink()
        place.journals.rename(place.journals.with_name("elsewhere"))
        # What is open can be written all the same: until the file is full.
        large = "x" * 60_000
        refusal = None
        for _ in range(200):
            [result] = system.dispatch_many(frames(large), timeout=60.0)
            if isinstance(result, JournalFailed):
                refusal = result
                break
        assert refusal is not None and "No such file or directory" in str(refusal)
        plugin_log.wait_for("no frame can be made durable")
        place.journals.with_name("elsewhere").rename(place.journals)
        while isinstance(result := system.dispatch_many(frames("after"), timeout=60.0)[0], JournalFailed):
            pass
        assert result.outcome(60.0).kind == "processed"
    assert place.seen()[-1] == "after"


def test_without_a_state_directory(make_system: Callable[..., PluginSystem]) -> None:
    """Durability needs a place: without one the load is refused by name."""
    system = make_system(Settings())
    with pytest.raises(ConfigError, match='durability: must be "memory" where there is no state directory'):
        system.load("builtin:echo", durability="disk")
    with pytest.raises(ConfigError, match="durability"):
        system.load("builtin:echo", durability="paper")  # type: ignore[arg-type]


def test_a_state_directory_that_can_not_be_used(place: Place) -> None:
    """A load whose frames could not be kept fails, and names the folder."""
    with place.system() as system:
        (place.path / "state" / "durable").write_bytes(b"")
        with pytest.raises(JournalFailed, match="durable can't be used: it is no folder"):
            place.load(system)
        assert system.plugins() == []


def test_suspects_of_idempotent_plugins_are_delivered_again(place: Place) -> None:
    """With max_deliveries the frame that was in hand goes to the plugin once more, in its place."""
    (place.path / "witness" / "plugin.toml").write_text(
        (place.path / "witness" / "plugin.toml").read_text().replace("[sandbox]", "idempotent = true\n[sandbox]")
    )
    system = place.system()
    place.load(system)
    send(system, "wait", "n0", "n1")
    with open(place.path / "gate", "wb"):
        kill(system)
    with place.system() as system:
        place.load(system)
        with open(place.path / "gate", "wb"):
            pass
        send(system, "last")[0].outcome(60.0)
        assert system.dead_letters(ID) == []
    assert place.seen() == ["wait", "wait", "n0", "n1", "last"]
