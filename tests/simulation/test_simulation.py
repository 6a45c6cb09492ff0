"""The system in a simulated world: every promise holds under many schedules, and what breaks one is found."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nyx_plugins.actors import messages as m
from nyx_plugins.actors import questions
from nyx_plugins.actors.channel import Channel
from nyx_plugins.actors.credit import CreditLedger
from nyx_plugins.actors.directives import Directive
from nyx_plugins.actors.dispatcher import Dispatcher
from nyx_plugins.actors.fencing import Fencing
from nyx_plugins.actors.inheritance import INHERITED
from nyx_plugins.actors.journal import Journal
from nyx_plugins.actors.lanes import Intake, Lanes
from nyx_plugins.actors.letter_office import LetterOffice
from nyx_plugins.actors.lifecycle import PluginLife
from nyx_plugins.actors.mailbox import Mailbox
from nyx_plugins.actors.segments import Segments
from nyx_plugins.actors.stages import Stage
from nyx_plugins.actors.swap_life import DoSwap
from nyx_plugins.actors.swaps import Swap, Swaps
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.actors.tray import Tray
from nyx_plugins.actors.trees import remove
from nyx_plugins.actors.unwritten import Unwritten

from .__main__ import attempt
from .program import OFTEN, Op, make_program
from .run import PLUGINS, SETTINGS, Failure, Run, make_bundles, run

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "240"))
BLOCK = 20


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the bundles that the runs load."""
    return make_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_every_promise_holds_under_these_seeds(first: int, bundles: Path) -> None:
    """Whatever is done and killed, in whatever order things happen: nothing is lost, doubled, mixed up or left over."""
    faults = {seed: fault for seed in range(first, first + BLOCK) if (fault := attempt(seed, bundles))}
    assert not faults, "\n".join(f"{fault}\n  replay with: make simulate SEED={seed}" for seed, fault in faults.items())


@st.composite
def programs(draw: st.DrawFn) -> list[Op]:
    """Programs that hypothesis can make smaller."""
    return make_program(lambda low, high: draw(st.integers(low, high)), most=12)


@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(program=programs(), seed=st.integers(0, 2**20), on_disk=st.booleans())
def test_every_promise_holds_for_any_program(bundles: Path, program: list[Op], seed: int, on_disk: bool) -> None:
    """What hypothesis finds is a short program and the seed of a schedule."""
    run(seed, program, bundles, durable=PLUGINS if on_disk else ())


def test_a_seed_does_the_same_each_time(bundles: Path) -> None:
    """A failing seed can be replayed: its trace is the same to the last step."""
    traces: list[list[str]] = [[], []]
    for trace in traces:
        with contextlib.suppress(Failure):
            run(7, make_program(Random(7).randint), bundles, trace.append)
    assert len(traces[0]) > 100
    assert list(map(_without_paths, traces[0])) == list(map(_without_paths, traces[1]))


def _without_paths(line: str) -> str:
    return " ".join(word for word in line.split() if "nyxsim" not in word and "0x" not in word)


# What is broken on purpose has to be found.


def _forgetting(box: Mailbox, session: int) -> int:
    """The last sequence number of a session, as a mailbox says it that knows of none."""
    return 0


def _dropping(route: Callable[..., None]) -> Callable[..., None]:
    count = iter(range(10**9))

    def call(dispatcher: Dispatcher, session: int, batch: m.Batch, target: Any) -> None:
        if next(count) % 5 < 4:
            route(dispatcher, session, batch, target)

    return call


def _unfenced(fencing: Fencing, target: Any, promise: Any) -> None:
    fencing.passed(fencing.promises.add(promise))


def _never_sent_again(open_: Callable[..., None]) -> Callable[..., None]:
    def call(channel: Channel, route: m.Route) -> None:
        unsent = copy.copy(channel._unsent)
        open_(channel, route)
        channel._unsent = unsent

    return call


def _hasty(close: Callable[..., None]) -> Callable[..., None]:
    def call(traffic: Traffic, channel: Channel, drained: bool) -> None:
        close(traffic, channel, drained=False)

    return call


LOSSES = ("dispatch", "dispatch", "kill")
LETTERS = ("dispatch", "dispatch", "redeliver")
REVOKES = ("dispatch", "revoke", "grant")

BROKEN: dict[str, tuple[Callable[[], Any], str, Sequence[str]]] = {
    "the dispatcher drops a batch": (
        lambda: mock.patch.object(Dispatcher, "_route_batch", _dropping(Dispatcher._route_batch)),
        "it never comes that",
        LOSSES,
    ),
    "nothing is ever suspect": (lambda: mock.patch.object(Tray, "verdicts", lambda *_: []), "is run", LOSSES),
    "a revoke waits for nobody": (
        lambda: mock.patch.object(Fencing, "raise_fence", _unfenced),
        "was revoked",
        REVOKES,
    ),
    "a session sends nothing again": (
        lambda: mock.patch.object(Channel, "open", _never_sent_again(Channel.open)),
        "it never comes that",
        LOSSES,
    ),
    "a dead letter stays when it is delivered again": (
        lambda: mock.patch.object(LetterOffice, "settle_claims", lambda *_: None),
        "among the dead letters",
        LETTERS,
    ),
    "credit is not given back": (lambda: mock.patch.object(Traffic, "_give_back", lambda *_: None), "was lent", OFTEN),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name: str, bundles: Path) -> None:
    """Each mutation of the system breaks the promise that it should, within a few hundred seeds."""
    broken, symptom, names = BROKEN[name]
    with broken():
        assert any(symptom in fault for fault in _faults(bundles, names)), f"nobody notices that {name}"


def _faults(bundles: Path, names: Sequence[str]) -> Iterator[str]:
    for seed in range(400):
        fault = attempt(seed, bundles, names)
        if fault is not None:
            yield fault


LATE = [
    Op("load", 0, 1, 3, 1, 60, 0.0),
    Op("join", 0, 1, 0, 0, 20, 0.0),
    Op("dispatch", 1, 1, 2, 0, 2, 0.0),
    Op("stall", 1, 1, 0, 0, 20, 0.0),
    Op("unload", 0, 1, 2, 0, 60, 0.02),
]
"""A client sends frames and then reads nothing, while another one unloads the plugin."""


def test_who_reads_late_hears_what_became_of_each_frame(bundles: Path) -> None:
    """The plugin may be long gone then: the supervisor knows. Where nobody asks it, frames that ran are refused."""
    for seed in range(12):
        run(seed, LATE, bundles)
    hasty = mock.patch.object(Traffic, "_close", _hasty(Traffic._close))
    with hasty, pytest.raises(Failure, match="and is in the mailbox"):
        for seed in range(12):
            run(seed, LATE, bundles)


WITHDRAWN = [LATE[0], Op("swap", 0, 1, 1, 1, 1, 0.0), Op("unload", 0, 1, 0, 0, 60, 0.0)]
"""A plugin is unloaded while the bundle of its next version is being read."""


def _hasty_removal(swaps: Swaps, swap_id: int, swap: Swap) -> None:
    remove(swap.life.directory)


def test_a_swap_that_ends_while_its_bundle_is_read_leaves_no_copy_of_it(bundles: Path) -> None:
    """What its loader has written goes when the loader has ended, and not before."""
    seeds = (75, 83, 261)
    for seed in seeds:
        run(seed, WITHDRAWN, bundles)
    with mock.patch.dict(Swaps._actions, {DoSwap.REMOVE_NEW: _hasty_removal}):
        for seed in seeds:
            with pytest.raises(Failure, match=r"left behind when everything was unloaded: {'files'"):
                run(seed, WITHDRAWN, bundles)


def _undo_at_once(life: PluginLife, is_process: bool) -> list[Directive]:
    return life._undo() if life.stage in (Stage.CLOSING, Stage.DRAINING) else []


SILENT = [
    LATE[0],
    Op("join", 0, 1, 0, 0, 20, 0.0),
    Op("pause", 0, 1, 0, 0, 20, 0.0),
    Op("dispatch", 1, 1, 2, 2, 20, 0.0),
    Op("unload", 0, 1, 0, 0, 60, 0.9),
]
"""A plugin with frames in its mailbox is unloaded, and its plugin actor does not answer in time."""


def test_a_frame_whose_sender_was_told_that_it_is_dead_is_not_left_on_the_disk(bundles: Path) -> None:
    """Where the plugin actor does not answer another one ends its frames; else the next load would run them."""
    for seed in range(4):
        run(seed, SILENT, bundles, durable=PLUGINS)
    at_once = mock.patch.object(PluginLife, "drain_timed_out", _undo_at_once)
    with at_once, mock.patch.object(PluginLife, "is_forsaken", False):
        for seed in range(4):
            with pytest.raises(Failure, match="its sender was told that it is dead"):
                run(seed, SILENT, bundles, durable=PLUGINS)


def _cramped_once(accept: Callable[[Lanes, m.Enqueue], Intake], refused: list[int]) -> Callable[..., Intake]:
    def call(lanes: Lanes, message: m.Enqueue) -> Intake:
        if message.session != INHERITED or refused:
            return accept(lanes, message)
        refused.extend(message.frames.seqs)
        return Intake([], list(message.frames.seqs), [])

    return call


def test_what_is_left_stays_on_the_disk_where_the_next_mailbox_has_no_room_for_it(bundles: Path) -> None:
    """The load fails, and the one after it finds all that there was."""
    refused: list[int] = []
    with mock.patch.object(Lanes, "accept", _cramped_once(Lanes.accept, refused)):
        run(1, [*SILENT[:4], Op("reboot", 0, 1, 0, 1, 20, 0.0)], bundles, durable=PLUGINS)
    assert refused


def _not_waiting(unwritten: Unwritten) -> Callable[[], None]:
    return lambda: None


def _never_in_doubt(refuse: Callable[..., int | None]) -> Callable[..., int | None]:
    def call(channel: Channel, seq: int, error: BaseException) -> int | None:
        channel._of_old_lease.discard(seq)
        return refuse(channel, seq, error)

    return call


def _unsynced(append: Callable[..., None]) -> Callable[..., None]:
    def call(segments: Segments, *args: Any) -> None:
        with mock.patch.object(Journal, "sync"):
            append(segments, *args)

    return call


ON_THE_DISK: dict[str, tuple[Callable[[], Any], str, Sequence[int]]] = {
    "how often a frame was delivered is not known to the next system": (
        lambda: mock.patch.object(Tray, "suspects", 0),
        "is run 4 times",
        (188, 2213),
    ),
    "frames are accepted before they are on the disk": (
        lambda: mock.patch.object(Segments, "append", _unsynced(Segments.append)),
        "is lost",
        (143, 363),
    ),
    "a dispatcher that never knew the plugin refuses what it has accepted": (
        lambda: mock.patch.object(Channel, "refuse", _never_in_doubt(Channel.refuse)),
        "was refused",
        (1118,),
    ),
}


HANGING = [*LATE[:2], Op("dispatch", 1, 1, 2, 2, 30, 0.3), Op("reboot", 0, 1, 0, 1, 60, 0.0)]
"""A worker is ended at a frame that hangs, and a moment later everything is killed."""


def test_what_a_worker_had_done_is_not_done_again_by_the_next_system(bundles: Path) -> None:
    """The next worker begins with an empty page: not before the disk knows what the last one's page told of."""
    seeds = (0, 25, 40)
    for seed in seeds:
        run(seed, HANGING, bundles, durable=PLUGINS)
    with mock.patch.object(Unwritten, "add", _not_waiting):
        for seed in seeds:
            with pytest.raises(Failure, match="is run 2 times"):
                run(seed, HANGING, bundles, durable=PLUGINS)


@pytest.mark.parametrize("name", ON_THE_DISK)
def test_what_is_broken_where_frames_are_on_the_disk_is_found(name: str, bundles: Path) -> None:
    """Each mutation breaks its promise in schedules that were found; without it they keep all."""
    broken, symptom, seeds = ON_THE_DISK[name]
    assert [attempt(seed, bundles) for seed in seeds] == [None] * len(seeds)
    with broken():
        assert all(symptom in (attempt(seed, bundles) or "") for seed in seeds), f"nobody notices that {name}"


REOPENED = [
    Op("load", 0, 1, 3, 1, 60, 0.0),
    *(
        Op(name, who, 1, a, b, steps, 0.0)
        for name, who, a, b, steps in (("kill", 1, 0, 7, 0), ("dispatch", 0, 1, 1, 60)) * 6
    ),
]
"""Again and again a plugin actor is killed a moment after the next frames have been sent."""


def test_frames_whose_acceptance_was_lost_are_not_accepted_twice(bundles: Path) -> None:
    """They are sent again, and the mailbox that has been opened again knows that it has them."""
    for seed in range(20):
        run(seed, REOPENED, bundles)
    forgetting = mock.patch.object(Mailbox, "last_seq", _forgetting)
    with forgetting, pytest.raises(Failure, match="accepted twice"):
        for seed in range(20):
            run(seed, REOPENED, bundles)


def test_a_frame_that_was_kept_as_dead_is_not_run(bundles: Path) -> None:
    """A plugin actor that is killed after it has kept a frame, and before it has finished it, has decided on it."""
    seeds = (695, 1591)
    assert [attempt(seed, bundles) for seed in seeds] == [None] * len(seeds)
    with mock.patch.object(LetterOffice, "fates", lambda *_: []):
        assert all("among the dead letters" in (attempt(seed, bundles) or "") for seed in seeds)


def test_what_was_sent_before_a_load_was_finished_has_an_outcome(bundles: Path) -> None:
    """A plugin actor that is killed when senders know of it, and its load is not answered yet, leaves frames behind."""
    seed = 51941
    assert attempt(seed, bundles) is None
    with mock.patch.object(PluginLife, "_take_back", PluginLife._undo):
        assert "and is in the mailbox" in (attempt(seed, bundles) or "")


def _waiting_on(detach: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """A ledger that takes no notice when a session goes that has not said yet what it holds."""

    def call(ledger: CreditLedger, session: int) -> list[Any]:
        was_missing = session in ledger._missing
        moves = detach(ledger, session)
        return [] if was_missing else moves

    return call


def test_who_waits_for_room_is_let_in_after_the_dispatcher_was_lost(bundles: Path) -> None:
    """The next one recalls credit as soon as it knows what all hold: also when the last to say so never does."""
    seed = 60044
    assert attempt(seed, bundles) is None
    with mock.patch.object(CreditLedger, "detach", _waiting_on(CreditLedger.detach)):
        assert "waits for room" in (attempt(seed, bundles) or "")


def test_a_copy_that_comes_late_does_not_undo_what_others_have_asked_for_since(bundles: Path) -> None:
    """Who was answered, and then asks for the opposite or hears that somebody has, is not overruled by an old copy."""
    run(3, LATE[:2], bundles, then=_ask_late)


def _ask_late(here: Run) -> None:
    """Send copies of a pause and of a scaling after what overtakes them."""
    [first, second] = here.clients
    began = here.world.now
    pause, scale = questions.pause(SETTINGS, 1, True), questions.scale(SETTINGS, 1, 2)
    for client, ask in (
        *((first, pause), (second, questions.pause(SETTINGS, 1, False)), (first, pause.repeated(began))),
        *((first, scale), (second, questions.scale(SETTINGS, 1, 1)), (first, scale.repeated(began))),
    ):
        asked = client.ask(ask)
        assert asked is not None
        here.until(partial(getattr, asked.inquiry, "done"), "it is answered")
        assert asked.inquiry.result() is None
    [plugin] = here.supervisor.actor._roster.plugins.values()
    assert (plugin.life.is_paused, plugin.life.spec.instances) == (False, 1)
