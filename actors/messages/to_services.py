"""What loader, registry and guard are told."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from ...config.sandbox import SandboxOverride, SandboxRequest
from ...config.settings import Settings
from .._thespian import Address
from .values import Change, Introduce, Question, Registration


@attrs.frozen
class PrepareBundle:
    """Supervisor to loader: copy this bundle into ``directory``; answered with BundlePrepared or StepFailed.

    With any ``trusted_keys`` (public keys, or files of them), one of these must have signed it.
    """

    load_id: int
    bundle: str
    directory: str
    trusted_keys: tuple[str, ...]
    permissions: frozenset[str]
    """Those that there are."""


@attrs.frozen
class StartRegistry:
    """Supervisor to registry: open the database.

    With ``restarted`` another was there before in this run, and ``loaded`` is what it knew of, each (load, row).
    """

    path: str
    dispatcher: Address
    host_pid: int
    restarted: bool = False
    loaded: tuple[tuple[int, Registration], ...] = ()
    outlives_run: bool = True
    """Whether the file is in a state directory, and not where plugins can fill the disk."""


@attrs.frozen
class Register:
    """Supervisor to registry; answered with PluginRegistered or StepFailed."""

    load_id: int
    registration: Registration


@attrs.frozen
class PlanReplacement:
    """Supervisor to registry: what if this were the plugin's row? Answered with ReplacementPlanned or StepFailed."""

    load_id: int
    registration: Registration


@attrs.frozen
class ReplaceRegistration:
    """Supervisor to registry: let this be the plugin's row; answered with RegistrationReplaced.

    What was granted and revoked by hand stands. Doing it twice changes nothing.
    """

    load_id: int
    registration: Registration


@attrs.frozen
class Unregister:
    """Supervisor to registry; answered with PluginUnregistered."""

    load_id: int
    plugin_id: int


@attrs.frozen
class NoteState:
    """Supervisor to registry: the plugin is in this state now."""

    plugin_id: int
    state: str


@attrs.frozen
class ChangePermission(Change):
    """Session to registry: grant or revoke; answered by the dispatcher once it is in force."""

    plugin_id: int
    permission: str
    granted: bool


@attrs.frozen
class ForgetRegistration(Question):
    """Supervisor to registry, for a session that unloads what is not loaded; it or the dispatcher answers: Forgotten.

    ``again``: an earlier one may have done it.
    """

    plugin_id: int
    number: int = 0
    again: bool = False


@attrs.frozen
class GetRegistration(Question):
    """Session to supervisor, passed on to the registry; the value is a ``Registration``."""

    plugin_id: int


@attrs.frozen
class ListRegistrations(Question):
    """Session to supervisor, passed on to the registry; the value is a tuple of all, in the order of their ids."""


@attrs.frozen
class GuardedPlugin:
    """A plugin that has a policy; its worker's recent violations as (monotonic seconds, count)."""

    load_id: int
    plugin_id: int
    quarantined: bool
    violations: tuple[tuple[float, int], ...]


@attrs.frozen
class StartGuard:
    """Supervisor to guard; ``guarded`` is what another one before it knew."""

    settings: Settings
    host_pid: int
    guarded: tuple[GuardedPlugin, ...] = ()


@attrs.frozen
class SettingsChanged:
    """Supervisor to guard: the ceiling and the limits for policies that are decided from now on."""

    settings: Settings


@attrs.frozen
class DecidePolicy:
    """Supervisor to guard; answered with PolicyDecided."""

    load_id: int
    plugin_id: int
    request: SandboxRequest
    override: SandboxOverride | None = None
    for_swap: bool = False
    """Whether it is for a version that may never take the present one's place."""


@attrs.frozen
class ForgetPolicy:
    """Supervisor to guard: this load of the plugin is gone; nothing happens when the policy is that of another."""

    load_id: int
    plugin_id: int


@attrs.frozen
class ForgiveViolations:
    """Supervisor to guard: the plugin begins anew; it is in quarantine no more."""

    plugin_id: int


@attrs.frozen
class ReportViolation:
    """Dispatcher or plugin actor to guard: something outside the policy was asked for, ``count`` times."""

    plugin_id: int
    request: str
    count: int
    by_sender: bool = False
    """Whether its plugin is not to blame: a control frame asked for it, or the plugin did by way of its actor."""
    number: int = 0
    """Answered with ViolationSeen, unless it is 0."""


@attrs.frozen
class RemoveAll:
    """Supervisor to remover: remove all that is in ``folder``; answered with AllRemoved, once for several."""

    folder: str
    number: int
    host_pid: int


LoaderMessage: TypeAlias = PrepareBundle

RegistryMessage: TypeAlias = (
    StartRegistry
    | Register
    | PlanReplacement
    | ReplaceRegistration
    | Unregister
    | NoteState
    | ChangePermission
    | ForgetRegistration
    | GetRegistration
    | ListRegistrations
    | Introduce
)

GuardMessage: TypeAlias = (
    StartGuard | SettingsChanged | DecidePolicy | ForgetPolicy | ForgiveViolations | ReportViolation | Introduce
)
