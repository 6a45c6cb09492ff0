"""What the supervisor is told, and what it tells the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from ...config.settings import Settings
from ...plugins.manifest import Manifest
from ...plugins.policy import Policy
from ..word_book import Words
from .to_services import GetRegistration, ListRegistrations
from .values import DeliverySeen, LoadSpec, PausePlugin, Question, Registration, ScalePlugin


@attrs.frozen
class Boot:
    """Host to supervisor: start the essential actors; answered with :class:`Booted` or :class:`BootFailed`."""

    settings: Settings
    runtime_dir: str
    state_dir: str | None
    host_pid: int


@attrs.frozen
class Attach(Question):
    """Session to supervisor: a new session wants to talk; answered with :class:`Attached`, then routes."""

    session: int
    pid: int
    """Its process: with it the session ends, whether it says goodbye or not."""
    streams: tuple[str, ...]
    """What it wants to be told of its own accord."""
    sends: bool
    """Whether it is to have room in mailboxes before it asks for some."""


@attrs.frozen
class Detach:
    """Session to supervisor: this session is over."""

    session: int


@attrs.frozen
class AskLastWords:
    """Session to supervisor: the plugin is gone; what became of frames up to ``until``? Answered with LastWords."""

    session: int
    plugin_id: int
    until: int


@attrs.frozen
class LoadPlugins(Question):
    """Session to supervisor: load all these; the reply's value is one ``Registration`` or error for each."""

    specs: tuple[LoadSpec, ...]


@attrs.frozen
class UnloadPlugin(Question):
    """Session to supervisor: drain for up to ``drain_s`` seconds and remove.

    With ``cascade`` those that require it go before; else they are the reason to refuse it.
    """

    plugin_id: int
    drain_s: float
    cascade: bool = False


@attrs.frozen
class SwapPluginFor(Question):
    """Session to supervisor: put another version in the plugin's place; the value is a ``SwapReport``."""

    plugin_id: int
    bundle: str
    allow_widen: bool
    dry_run: bool
    timeout_s: float
    """For each of: reading the bundle, starting its workers, waiting for frames in hand, moving over."""


@attrs.frozen
class ResetPlugin(Question):
    """Session to supervisor: bring a failed or quarantined plugin back; answered when it is ready."""

    plugin_id: int


@attrs.frozen
class ChangeSettings(Question):
    """Session to supervisor: these hold for plugins that are loaded from now on; passed on to the guard."""

    settings: Settings


@attrs.frozen
class StopSystem(Question):
    """Session to supervisor: unload everything within ``drain_s`` seconds and stop; the value is an ``Unloaded``."""

    drain_s: float


@attrs.frozen
class Unloaded:
    """What became of the plugins when their system stopped."""

    plugins: tuple[int, ...]
    dead_lettered: int
    """Frames that were not finished in time, and are not left to the next system."""
    killed: tuple[str, ...]
    """Plugin actors that did not end when they were asked to, by role and pid."""


@attrs.frozen
class ChildReady:
    """An essential actor to its supervisor: it has started."""

    role: str


@attrs.frozen
class ChildFailed:
    """An essential actor to its supervisor: it can't start, for this reason."""

    role: str
    reason: str


@attrs.frozen
class PermissionsKnown:
    """Dispatcher to supervisor, after a restart: it has the permissions that are in force, and takes frames."""


@attrs.frozen
class Forgotten:
    """Registry or dispatcher to supervisor: the answer to the ForgetRegistration of this number, for its session."""

    number: int
    version: int = 0
    error: BaseException | None = None


@attrs.frozen
class PermissionsNoted:
    """Registry to supervisor: what a plugin may do now; should the registry's file be lost, this is what stands."""

    plugin_id: int
    granted: frozenset[str]


@attrs.frozen
class FileSetAside:
    """Registry to supervisor: its file was damaged; ``reason`` says what has become of it."""

    reason: str


@attrs.frozen
class BundlePrepared:
    """Loader to supervisor: the bundle's copy is in place."""

    load_id: int
    manifest: Manifest
    digest: str
    signed_by: str = ""


@attrs.frozen
class PolicyDecided:
    """Guard to supervisor: the policy of this load, or the error that refuses it."""

    load_id: int
    policy: Policy | None
    error: BaseException | None


@attrs.frozen
class PluginRegistered:
    """Registry to supervisor: the row is there."""

    load_id: int
    registration: Registration


@attrs.frozen
class StepFailed:
    """Loader or registry to supervisor: a step of this load failed."""

    load_id: int
    error: BaseException


@attrs.frozen
class PluginUnregistered:
    """Registry to supervisor: the row is gone."""

    load_id: int


@attrs.frozen
class PluginStarted:
    """Plugin actor to supervisor: its worker is ready."""

    load_id: int


@attrs.frozen
class PluginStartFailed:
    """Plugin actor to supervisor: its first worker did not become ready."""

    load_id: int
    error: BaseException


@attrs.frozen
class WorkerCrashed:
    """Plugin actor to supervisor: the worker ended; it starts again in ``restart_in_s`` seconds (``None``: never)."""

    load_id: int
    reason: str
    restart_in_s: float | None
    restarts: tuple[float, ...] = ()
    """When the worker and its actor were restarted lately (monotonic seconds), this time included."""
    given_up: str = ""
    """Why it does not start again."""


@attrs.frozen
class PluginDrained:
    """Plugin actor to supervisor: its worker has stopped; ``dead_lettered`` frames did not make it."""

    load_id: int
    dead_lettered: int
    unload_error: str | None
    last_words: Mapping[int, Words] = attrs.field(factory=dict)
    """By session, for those that have not confirmed what became of their frames."""


@attrs.frozen
class ReplacementPlanned:
    """Registry to supervisor: the row that is there, and what the new version's would be."""

    load_id: int
    before: Registration
    after: Registration


@attrs.frozen
class PluginSwapped:
    """Plugin actor to supervisor: the new version works; neither did for ``pause_s``. ``OldVersionStopped`` follows.

    This and what follows has the id of the swap for its ``load_id``.
    """

    load_id: int
    pause_s: float
    state_carried: bool


@attrs.frozen
class SwapAbandoned:
    """Plugin actor to supervisor: the old version goes on, and no worker is left of the new one."""

    load_id: int
    error: BaseException


@attrs.frozen
class OldVersionStopped:
    """Plugin actor to supervisor: no worker of the old version is left."""

    load_id: int


@attrs.frozen
class RegistrationReplaced:
    """Registry to supervisor: the row is that of the new version; the dispatcher's ``PermissionsInForce`` follows."""

    load_id: int
    registration: Registration


@attrs.frozen
class PermissionsInForce:
    """Dispatcher to supervisor: the new version's permissions hold, and nothing that older ones let through is left."""

    load_id: int
    version: int


@attrs.frozen
class RouteSet:
    """Dispatcher to supervisor: the route is in force, and nothing that an older one let through is under way."""

    load_id: int
    version: int
    number: int = 0
    """Which SetRoute it answers."""


@attrs.frozen
class RouteDropped:
    """Dispatcher to supervisor: the plugin's route is gone."""

    load_id: int
    version: int


@attrs.frozen
class ViolationNoted:
    """Guard to supervisor: to be published, and remembered for the next guard."""

    plugin_id: int
    request: str
    count: int
    by_sender: bool = False


@attrs.frozen
class ThresholdPassed:
    """Guard to supervisor: the worker of this load has broken its bounds too often, as ``reason`` tells."""

    load_id: int
    reason: str


@attrs.frozen
class Booted:
    """Supervisor to host: all essential actors are up."""

    pid: int


@attrs.frozen
class BootFailed:
    """Supervisor to host: the system can't start."""

    reason: str


@attrs.frozen
class AllRemoved:
    """Remover to supervisor: nothing is left of what it was given up to this number, but what can't be removed."""

    number: int


SupervisorMessage: TypeAlias = (
    Boot
    | Attach
    | Detach
    | AskLastWords
    | LoadPlugins
    | UnloadPlugin
    | ResetPlugin
    | PausePlugin
    | ScalePlugin
    | GetRegistration
    | ListRegistrations
    | ChangeSettings
    | StopSystem
    | DeliverySeen
    | ChildReady
    | ChildFailed
    | PermissionsKnown
    | Forgotten
    | PermissionsNoted
    | FileSetAside
    | BundlePrepared
    | PolicyDecided
    | PluginRegistered
    | StepFailed
    | PluginUnregistered
    | PluginStarted
    | PluginStartFailed
    | WorkerCrashed
    | PluginDrained
    | RouteSet
    | RouteDropped
    | ViolationNoted
    | ThresholdPassed
    | SwapPluginFor
    | ReplacementPlanned
    | PluginSwapped
    | SwapAbandoned
    | OldVersionStopped
    | RegistrationReplaced
    | PermissionsInForce
    | AllRemoved
)
