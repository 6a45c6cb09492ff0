"""One swap as a state machine: events in, directives out, nothing started.

Up to the switch, which is one step in the plugin actor, a swap that fails leaves no trace but an event; after it there
is no way back, and only the records are brought up to date.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import TypeAlias

import attrs

from ..config.errors import NyxPluginError
from ..plugins.differences import Difference, differences, growing, of_handshakes, of_kept
from ..plugins.errors import SwapFailed, SwapRefused
from ..plugins.manifest import Manifest
from ..plugins.policy import Policy
from .lifecycle import PluginLife
from .messages import Registration
from .stages import Stage
from .swap_report import SwapReport


class Step(enum.StrEnum):
    """Where a swap is."""

    PREPARING = "prepare"
    DECIDING = "decide"
    PLANNING = "plan"
    SWITCHING = "switch"
    RECORDING = "record"
    OVER = "over"


class DoSwap(enum.Enum):
    """What the supervisor shall do for this swap."""

    PREPARE = enum.auto()
    DECIDE_POLICY = enum.auto()
    PLAN = enum.auto()
    SWITCH = enum.auto()
    ADOPT = enum.auto()
    RECORD = enum.auto()
    SET_ROUTE = enum.auto()
    REMOVE_OLD = enum.auto()
    REMOVE_NEW = enum.auto()
    PUBLISH = enum.auto()
    ANSWER = enum.auto()
    FORGET = enum.auto()


class Record(enum.Enum):
    """What has to be confirmed before the new version is in its place everywhere, and the old one gone."""

    ROW = enum.auto()
    PERMISSIONS = enum.auto()
    ROUTE = enum.auto()
    RETIRED = enum.auto()


Directives: TypeAlias = list[DoSwap]
SWAPPABLE = frozenset({Stage.READY, Stage.PAUSED})
KEPT = ("instances", "balance")
"""Of the manifest: where the frames in the mailboxes are follows from these."""
UNCHANGED_ID = "it keeps its id, and has to keep its name: {new!r} would take the place of {old!r}"


@attrs.define(eq=False)
class SwapLife:
    """One swap from the request to the report. Every method is an event and returns what to do, in order."""

    plugin: PluginLife
    bundle: str
    directory: str
    """Where the new version's copy goes."""
    allow_widen: bool = False
    dry_run: bool = False
    step: Step = Step.PREPARING
    asked: Manifest | None = None
    """The new version's manifest as it is."""
    manifest: Manifest | None = None
    """The same with what is kept of the old one."""
    digest: str = ""
    signed_by: str = ""
    policy: Policy | None = None
    registration: Registration | None = None
    found: tuple[Difference, ...] = ()
    report: SwapReport | None = None
    error: NyxPluginError | None = None
    _missing: set[Record] = attrs.field(factory=lambda: set(Record))

    @property
    def plugin_id(self) -> int:
        """The id of the plugin, which it keeps."""
        return self.plugin.plugin_id

    def begin(self) -> Directives:
        """It was asked for."""
        return [DoSwap.PREPARE]

    def prepared(self, manifest: Manifest, digest: str, signed_by: str) -> Directives:
        """The new version's copy is in place."""
        if self.step is not Step.PREPARING:
            return []
        assert self.plugin.manifest is not None
        old = self.plugin.manifest
        self.manifest = attrs.evolve(manifest, **{key: getattr(old, key) for key in KEPT})
        self.asked = manifest
        self.digest, self.signed_by = digest, signed_by
        if manifest.name != self.plugin.manifest.name:
            reason = UNCHANGED_ID.format(new=manifest.name, old=self.plugin.manifest.name)
            return self.failed(SwapRefused(self.plugin_id, (reason,)))
        self.step = Step.DECIDING
        return [DoSwap.DECIDE_POLICY]

    def decided(self, policy: Policy) -> Directives:
        """The guard's verdict on what it asks for."""
        if self.step is not Step.DECIDING:
            return []
        self.policy = policy
        self.step = Step.PLANNING
        return [DoSwap.PLAN]

    def planned(self, before: Registration, after: Registration) -> Directives:
        """What the plugin's row is, and would be; all that it requires is there."""
        if self.step is not Step.PLANNING:
            return []
        assert self.policy is not None and self.plugin.policy is not None
        self.registration = after
        rights = differences(before.granted, self.plugin.policy, after.granted, self.policy)
        self.found = (*rights, *self._other_differences())
        if self.dry_run:
            return self._over(self._report(swapped=False))
        if growing(self.found) and not self.allow_widen:
            return self.failed(SwapRefused(self.plugin_id, map(str, growing(self.found)), widens=True))
        if self.plugin.stage not in SWAPPABLE:
            return self.failed(
                SwapFailed(self.plugin_id, self.step, f"its state is {self.plugin.state!r} now", goes_on=False)
            )
        self.step = Step.SWITCHING
        return [DoSwap.SWITCH]

    def _other_differences(self) -> Iterator[Difference]:
        """What is no right: the handshake, and what of the new manifest is not taken over."""
        old, asked, said = self.plugin.manifest, self.asked, self.plugin.spec
        assert old is not None and asked is not None
        required = said.require_handshake
        yield from of_handshakes(old.offer(required), asked.offer(required))
        for key in KEPT:
            kept, wanted = getattr(said, key) or getattr(old, key), getattr(asked, key)
            if wanted not in (kept, getattr(old, key)):
                yield of_kept(key, wanted, kept)

    def switched(self, pause_s: float, state_carried: bool) -> Directives:
        """The plugin actor has the new version in its place: there is no way back."""
        if self.step is not Step.SWITCHING:
            return []
        self.report = self._report(pause_s, state_carried)
        self.step = Step.RECORDING
        return [DoSwap.ADOPT, DoSwap.RECORD, DoSwap.SET_ROUTE]

    def recorded(self, record: Record) -> Directives:
        """One of the records is up to date."""
        self._missing.discard(record)
        return [] if self._missing else self._recorded()

    def failed(self, error: NyxPluginError) -> Directives:
        """A step failed: the old version goes on."""
        if self.step in (Step.RECORDING, Step.OVER):
            return []
        self.error = error
        return self._over(None)

    def plugin_ends(self, reason: str, goes_on: bool = False) -> Directives:
        """The plugin is unloaded, fails or is quarantined, or its actor ended and is started again (``goes_on``)."""
        if self.step is Step.RECORDING:
            return self._recorded()
        return self.failed(SwapFailed(self.plugin_id, self.step, reason, goes_on))

    def _recorded(self) -> Directives:
        return self._over(self.report) if self.step is Step.RECORDING else []

    def _report(self, pause_s: float = 0.0, state_carried: bool = False, swapped: bool = True) -> SwapReport:
        assert self.plugin.manifest is not None and self.manifest is not None
        versions = self.plugin.manifest.version, self.manifest.version
        return SwapReport(self.plugin_id, *versions, self.found, pause_s, state_carried, swapped)

    def _over(self, report: SwapReport | None) -> Directives:
        self.step, self.report = Step.OVER, report
        swapped = report is not None and report.swapped
        told = [] if self.dry_run else [DoSwap.PUBLISH]
        return [DoSwap.REMOVE_OLD if swapped else DoSwap.REMOVE_NEW, *told, DoSwap.ANSWER, DoSwap.FORGET]
