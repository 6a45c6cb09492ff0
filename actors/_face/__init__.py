"""An embeddable, supervised, sandboxed plugin runtime built on actors.

What is public is here; everything is imported when it is first used, so that a worker process, which needs the
authors' kit only, loads neither Thespian nor the actors.
"""

from __future__ import annotations

# Importing it from typing would double the time that a worker takes to import this.
TYPE_CHECKING = False

__version__ = "0.1.0"

_WHERE = {
    "PluginSystem": "actors.system",
    "AsyncPluginSystem": "actors.async_system",
    "PluginInfo": "actors.plugin_info",
    "StopReport": "actors.launch",
    "Receipt": "actors.receipt",
    "AsyncReceipt": "actors.async_receipt",
    "Outcome": "actors.receipt",
    "OutcomeKind": "actors.receipt",
    "Subscription": "actors.subscription",
    "AsyncSubscription": "actors.async_subscription",
    "Death": "actors.deaths",
    "Enforcement": "plugins.worker.jail.level",
    "Event": "actors.events",
    "EventKind": "actors.events",
    "Emitted": "actors.events",
    "DeadLetterContent": "actors.dead_letter_info",
    "DeadLetterInfo": "actors.dead_letter_info",
    "Redelivery": "actors.dead_letter_info",
    "DispatchStats": "actors.events",
    "InstanceStats": "actors.events",
    "PluginStats": "actors.events",
    "SwapReport": "actors.swap_report",
    "Difference": "plugins.differences",
    "LatencyHistogram": "actors.latency",
    "Settings": "config.settings",
    "PluginSettings": "config.settings",
    "load_settings": "config.loading",
    "FrameType": "plugins",
    "FrameTypeSettings": "config.frame_types",
    "Handshake": "plugins.payloads",
    "Capability": "plugins.payloads",
    "Agreement": "plugins.negotiation",
    "PluginHeader": "plugins",
    "StreamDecoder": "plugins",
    "StreamFrame": "plugins",
    "NyxPluginError": "config.errors",
    "ConfigError": "config.errors",
    "StartupError": "config.errors",
    "AlreadyLoaded": "plugins.errors",
    "BacklogOfAnother": "plugins.errors",
    "BundleChanged": "plugins.errors",
    "BundleError": "plugins.errors",
    "DeadLetterUnknown": "plugins.errors",
    "DependencyConflict": "plugins.errors",
    "DependencyCycle": "plugins.errors",
    "DependencyMissing": "plugins.errors",
    "DependencyUndeclared": "plugins.errors",
    "DependentsLoaded": "plugins.errors",
    "DispatchTimeout": "plugins.errors",
    "EnforcementTooWeak": "plugins.errors",
    "FateUnknown": "plugins.errors",
    "FrameError": "plugins.errors",
    "HandshakeRefused": "plugins.errors",
    "HandshakeRequired": "plugins.errors",
    "InvalidFrameType": "plugins.errors",
    "JournalCorrupt": "plugins.errors",
    "JournalFailed": "plugins.errors",
    "KeyUnusable": "plugins.errors",
    "LetterOfAnother": "plugins.errors",
    "MailboxFailed": "plugins.errors",
    "MailboxFull": "plugins.errors",
    "ManifestError": "plugins.errors",
    "PermissionDenied": "plugins.errors",
    "PluginFailed": "plugins.errors",
    "PluginQuarantined": "plugins.errors",
    "PluginNotFailed": "plugins.errors",
    "PluginNotLoaded": "plugins.errors",
    "PluginNotRegistered": "plugins.errors",
    "PolicyRefused": "plugins.errors",
    "RedirectRefused": "plugins.errors",
    "RefusalLost": "plugins.errors",
    "RegistryFailed": "plugins.errors",
    "ResponseTooLarge": "plugins.errors",
    "SandboxViolation": "plugins.errors",
    "ServiceNotRunning": "plugins.errors",
    "ServiceRunning": "plugins.errors",
    "SignatureError": "plugins.errors",
    "SigningUnavailable": "plugins.errors",
    "SwapFailed": "plugins.errors",
    "SwapRefused": "plugins.errors",
    "SystemStopped": "plugins.errors",
    "NotStarted": "plugins.errors",
    "WrongLoop": "plugins.errors",
}

__all__ = [
    "Agreement",
    "AlreadyLoaded",
    "AsyncPluginSystem",
    "AsyncReceipt",
    "AsyncSubscription",
    "BacklogOfAnother",
    "BundleChanged",
    "BundleError",
    "Capability",
    "ConfigError",
    "DeadLetterContent",
    "DeadLetterInfo",
    "DeadLetterUnknown",
    "Death",
    "DependencyConflict",
    "DependencyCycle",
    "DependencyMissing",
    "DependencyUndeclared",
    "DependentsLoaded",
    "Difference",
    "DispatchStats",
    "DispatchTimeout",
    "Emitted",
    "Enforcement",
    "EnforcementTooWeak",
    "Event",
    "EventKind",
    "FateUnknown",
    "FrameError",
    "FrameType",
    "FrameTypeSettings",
    "Handshake",
    "HandshakeRefused",
    "HandshakeRequired",
    "InstanceStats",
    "InvalidFrameType",
    "JournalCorrupt",
    "JournalFailed",
    "KeyUnusable",
    "LatencyHistogram",
    "LetterOfAnother",
    "MailboxFailed",
    "MailboxFull",
    "ManifestError",
    "NotStarted",
    "NyxPluginError",
    "Outcome",
    "OutcomeKind",
    "PermissionDenied",
    "PluginFailed",
    "PluginHeader",
    "PluginInfo",
    "PluginNotFailed",
    "PluginNotLoaded",
    "PluginNotRegistered",
    "PluginQuarantined",
    "PluginSettings",
    "PluginStats",
    "PluginSystem",
    "PolicyRefused",
    "Receipt",
    "Redelivery",
    "RedirectRefused",
    "RefusalLost",
    "RegistryFailed",
    "ResponseTooLarge",
    "SandboxViolation",
    "ServiceNotRunning",
    "ServiceRunning",
    "Settings",
    "SignatureError",
    "SigningUnavailable",
    "StartupError",
    "StopReport",
    "StreamDecoder",
    "StreamFrame",
    "Subscription",
    "SwapFailed",
    "SwapRefused",
    "SwapReport",
    "SystemStopped",
    "WrongLoop",
    "load_settings",
]

if TYPE_CHECKING:
    from .actors.async_receipt import AsyncReceipt
    from .actors.async_subscription import AsyncSubscription
    from .actors.async_system import AsyncPluginSystem
    from .actors.dead_letter_info import DeadLetterContent, DeadLetterInfo, Redelivery
    from .actors.deaths import Death
    from .actors.events import DispatchStats, Emitted, Event, EventKind, InstanceStats, PluginStats
    from .actors.latency import LatencyHistogram
    from .actors.launch import StopReport
    from .actors.plugin_info import PluginInfo
    from .actors.receipt import Outcome, OutcomeKind, Receipt
    from .actors.subscription import Subscription
    from .actors.swap_report import SwapReport
    from .actors.system import PluginSystem
    from .config.errors import ConfigError, NyxPluginError, StartupError
    from .config.frame_types import FrameTypeSettings
    from .config.loading import load_settings
    from .config.settings import PluginSettings, Settings
    from .plugins.differences import Difference
    from .plugins.errors import (
        AlreadyLoaded,
        BacklogOfAnother,
        BundleChanged,
        BundleError,
        DeadLetterUnknown,
        DependencyConflict,
        DependencyCycle,
        DependencyMissing,
        DependencyUndeclared,
        DependentsLoaded,
        DispatchTimeout,
        EnforcementTooWeak,
        FateUnknown,
        FrameError,
        HandshakeRefused,
        HandshakeRequired,
        InvalidFrameType,
        JournalCorrupt,
        JournalFailed,
        KeyUnusable,
        LetterOfAnother,
        MailboxFailed,
        MailboxFull,
        ManifestError,
        NotStarted,
        PermissionDenied,
        PluginFailed,
        PluginNotFailed,
        PluginNotLoaded,
        PluginNotRegistered,
        PluginQuarantined,
        PolicyRefused,
        RedirectRefused,
        RefusalLost,
        RegistryFailed,
        ResponseTooLarge,
        SandboxViolation,
        ServiceNotRunning,
        ServiceRunning,
        SignatureError,
        SigningUnavailable,
        SwapFailed,
        SwapRefused,
        SystemStopped,
        WrongLoop,
    )
    from .plugins.negotiation import Agreement
    from .plugins.payloads import Capability, Handshake
    from .plugins.wire import FrameType, PluginHeader, StreamDecoder, StreamFrame
    from .plugins.worker.jail.level import Enforcement


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used; hidden from type checkers, which would accept any name."""
        where = _WHERE.get(name)
        if where is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{where}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
