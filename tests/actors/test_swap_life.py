"""A swap as a state machine: events in, directives out, with nothing started."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from nyx_plugins.actors import plans
from nyx_plugins.actors.lifecycle import PluginLife
from nyx_plugins.actors.messages import Boot, LoadSpec, Registration
from nyx_plugins.actors.stages import Stage
from nyx_plugins.actors.supervision import ChildSpec
from nyx_plugins.actors.swap_life import Directives, DoSwap, Record, Step, SwapLife
from nyx_plugins.config.settings import Settings
from nyx_plugins.plugins.differences import Difference
from nyx_plugins.plugins.errors import PolicyRefused, SwapFailed, SwapRefused
from nyx_plugins.plugins.manifest import Manifest
from nyx_plugins.plugins.negotiation import HandshakeOffer
from nyx_plugins.plugins.policy import Policy

OLD = Manifest(id=7, name="p", version="1.0", api_version=1, entry_point="plugin:P")
NEW = attrs.evolve(OLD, version="1.1")
BEFORE = Registration(7, "p", "1.0", "", "ready", frozenset({"control"}), frozenset({"control"}))
AFTER = attrs.evolve(BEFORE, version="1.1")
WIDER = attrs.evolve(AFTER, granted=frozenset({"control", "data_access"}))
GAIN = Difference("permissions", "'data_access' is new", True)
FAILURE = PolicyRefused(7, ("no",))
BOOT = Boot(Settings(), "runtime", None, 1)
UNDONE = [DoSwap.REMOVE_NEW, DoSwap.PUBLISH, DoSwap.ANSWER, DoSwap.FORGET]
DONE = [DoSwap.REMOVE_OLD, DoSwap.PUBLISH, DoSwap.ANSWER, DoSwap.FORGET]

STEPS: list[tuple[Step, Callable[[SwapLife], Directives], Directives]] = [
    (Step.PREPARING, lambda swap: swap.prepared(NEW, "digest", ""), [DoSwap.DECIDE_POLICY]),
    (Step.DECIDING, lambda swap: swap.decided(Policy()), [DoSwap.PLAN]),
    (Step.PLANNING, lambda swap: swap.planned(BEFORE, AFTER), [DoSwap.SWITCH]),
    (Step.SWITCHING, lambda swap: swap.switched(0.01, True), [DoSwap.ADOPT, DoSwap.RECORD, DoSwap.SET_ROUTE]),
]
BEFORE_THE_SWITCH = [Step.PREPARING, Step.DECIDING, Step.PLANNING, Step.SWITCHING]


def swap_at(step: Step, **wishes: bool) -> SwapLife:
    """Bring a new swap of a plugin that is ready to a step."""
    life = PluginLife(
        LoadSpec("old"),
        ChildSpec("plugin actor"),
        stage=Stage.READY,
        manifest=OLD,
        policy=Policy(),
        registration=BEFORE,
    )
    swap = SwapLife(life, "new", "somewhere", **wishes)
    assert swap.begin() == [DoSwap.PREPARE]
    for reached, advance, wanted in STEPS:
        if reached is step:
            break
        assert advance(swap) == wanted
    assert swap.step is step
    return swap


def test_a_swap_goes_through_its_steps() -> None:
    """Once every record is confirmed, in any order, the old files go and the report is given."""
    swap = swap_at(Step.RECORDING)
    for record in (Record.RETIRED, Record.ROUTE, Record.PERMISSIONS):
        assert swap.recorded(record) == []
    assert swap.recorded(Record.ROW) == DONE
    assert swap.report is not None
    assert (swap.report.old_version, swap.report.new_version) == ("1.0", "1.1")
    assert (swap.report.pause_s, swap.report.state_carried, swap.report.swapped) == (0.01, True, True)


@pytest.mark.parametrize("step", BEFORE_THE_SWITCH)
def test_what_fails_before_the_switch_leaves_the_old_version(step: Step) -> None:
    """Up to the switch the new files are removed and nothing else is touched; the error is the report."""
    swap = swap_at(step)
    assert swap.failed(FAILURE) == UNDONE
    assert (swap.error, swap.report) == (FAILURE, None)


@pytest.mark.parametrize("step", BEFORE_THE_SWITCH)
def test_a_plugin_that_ends_ends_its_swap(step: Step) -> None:
    """A plugin that is unloaded or fails in the middle fails the swap, with the step and the reason."""
    swap = swap_at(step)
    assert swap.plugin_ends("it was unloaded") == UNDONE
    assert isinstance(swap.error, SwapFailed)
    assert (swap.error.step, swap.error.reason) == (step.value, "it was unloaded")
    assert str(swap.error).endswith(": it was unloaded")


def test_there_is_no_way_back_after_the_switch() -> None:
    """A failure after the switch changes nothing; a plugin that ends then has been swapped all the same."""
    swap = swap_at(Step.RECORDING)
    assert swap.failed(FAILURE) == []
    assert swap.plugin_ends("it was unloaded") == DONE
    assert (swap.error, swap.report is not None) == (None, True)


@pytest.mark.parametrize("step", [*BEFORE_THE_SWITCH, Step.RECORDING])
def test_what_comes_late_is_ignored(step: Step) -> None:
    """No event of another step moves a swap, and none that is over."""
    swap = swap_at(step)
    for other, advance, _ in STEPS:
        if other is not step:
            assert advance(swap) == []
    assert swap.step is step
    swap.plugin_ends("over")
    for _, advance, _ in STEPS:
        assert advance(swap) == []
    assert swap.failed(FAILURE) == []
    assert [swap.recorded(record) for record in Record] == [[]] * len(Record)


def test_growth_needs_a_word() -> None:
    """More permissions refuse the swap, with each difference; with allow_widen it goes on, and reports them."""
    swap = swap_at(Step.PLANNING)
    assert swap.planned(BEFORE, WIDER) == UNDONE
    assert isinstance(swap.error, SwapRefused)
    assert swap.error.reasons == ("permissions: 'data_access' is new",)
    assert "allow_widen" in str(swap.error)
    swap = swap_at(Step.PLANNING, allow_widen=True)
    assert swap.planned(BEFORE, WIDER) == [DoSwap.SWITCH]
    swap.switched(0.0, False)
    assert swap.report is not None
    assert swap.report.differences == (GAIN,)


def test_shrinking_needs_none() -> None:
    """A version that may do less is put in place without further ado."""
    swap = swap_at(Step.PLANNING)
    assert swap.planned(WIDER, AFTER) == [DoSwap.SWITCH]
    assert swap.found == (Difference("permissions", "'data_access' is gone", False),)


@pytest.mark.parametrize("allow_widen", [False, True])
def test_a_dry_run_reports_and_does_nothing(allow_widen: bool) -> None:
    """A dry run shows the differences, growing or not, removes what it has copied, and publishes nothing."""
    swap = swap_at(Step.PLANNING, dry_run=True, allow_widen=allow_widen)
    assert swap.planned(BEFORE, WIDER) == [DoSwap.REMOVE_NEW, DoSwap.ANSWER, DoSwap.FORGET]
    assert swap.report is not None
    assert (swap.report.differences, swap.report.swapped) == ((GAIN,), False)


def test_instances_are_kept() -> None:
    """How many instances there are, and how frames are shared out, is not changed by a swap."""
    swap = swap_at(Step.PREPARING)
    swap.prepared(attrs.evolve(NEW, instances=3, balance="by_key"), "digest", "")
    assert swap.manifest == NEW
    swap.decided(Policy())
    swap.planned(BEFORE, AFTER)
    assert swap.found == (
        Difference("instances", "stays 1; only a load brings 3", None),
        Difference("balance", "stays round_robin; only a load brings by_key", None),
    )


def test_what_is_as_it_was_said_at_the_load_is_no_difference() -> None:
    """A new version that wants what its plugin has already, or what its last one wanted, is told of nothing."""
    swap = swap_at(Step.PREPARING)
    swap.plugin.spec = attrs.evolve(swap.plugin.spec, instances=3, balance="by_key")
    swap.prepared(attrs.evolve(NEW, balance="by_key"), "digest", "")
    swap.decided(Policy())
    swap.planned(BEFORE, AFTER)
    assert swap.found == ()


@pytest.mark.parametrize(
    ("said", "found", "handshake"),
    [
        (None, (Difference("require_handshake", "false becomes true", None),), HandshakeOffer((5,))),
        (False, (), None),
        (True, (Difference("handshake.versions", "1 becomes 5", None),), HandshakeOffer((5,))),
    ],
)
def test_a_new_version_brings_its_rules_for_handshakes(
    said: bool | None, found: tuple[Difference, ...], handshake: HandshakeOffer | None
) -> None:
    """They are shown, need no word, and hold with its route, also of later actors; the load's word goes before."""
    swap = swap_at(Step.PREPARING)
    life = swap.plugin
    life.spec = attrs.evolve(life.spec, require_handshake=said)
    life.route = plans.route(life, BOOT, 1)
    greets = attrs.evolve(NEW, require_handshake=True, handshake=HandshakeOffer((5,)))
    swap.prepared(greets, "digest", "")
    swap.decided(Policy())
    assert swap.planned(BEFORE, AFTER) == [DoSwap.SWITCH]
    assert swap.found == found
    assert swap.manifest is not None
    life.become("new", "somewhere", swap.manifest, "digest", "", Policy())
    assert life.route is not None
    assert life.route.handshake == plans.route(life, BOOT, 2).handshake == handshake


def test_another_plugin_is_no_version() -> None:
    """A bundle of another name is refused: those that depend on the plugin know it by that."""
    swap = swap_at(Step.PREPARING)
    assert swap.prepared(attrs.evolve(NEW, name="q"), "digest", "") == UNDONE
    assert isinstance(swap.error, SwapRefused)
    assert "'q' would take the place of 'p'" in str(swap.error)


@pytest.mark.parametrize("stage", [Stage.RESTARTING, Stage.FAILED, Stage.QUARANTINED])
def test_a_plugin_that_is_not_well_is_not_swapped(stage: Stage) -> None:
    """A plugin that has meanwhile stopped working is left as it is."""
    swap = swap_at(Step.PLANNING)
    swap.plugin.stage = stage
    assert swap.planned(BEFORE, AFTER) == UNDONE
    assert isinstance(swap.error, SwapFailed)
