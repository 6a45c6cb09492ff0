"""What plugin authors and hosts share: the SDK, the wire format and the errors.

Names are imported when first used, so that a worker loads no more than its plugin needs. Those of the wire format are
for applications: what they are made of is not installed in a worker.
"""

from __future__ import annotations

from importlib import import_module

# Importing it from typing would double the time that a worker takes to import this.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ..config.errors import NyxPluginError
    from .errors import (
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
    from .frame_type import FrameType
    from .header import split_header
    from .sdk import Context, Frame, Plugin
    from .wire import PluginHeader, StreamDecoder, StreamFrame, close_frame

__all__ = [
    "AlreadyLoaded",
    "BacklogOfAnother",
    "BundleChanged",
    "BundleError",
    "Context",
    "DeadLetterUnknown",
    "DependencyConflict",
    "DependencyCycle",
    "DependencyMissing",
    "DependencyUndeclared",
    "DependentsLoaded",
    "DispatchTimeout",
    "EnforcementTooWeak",
    "FateUnknown",
    "Frame",
    "FrameError",
    "FrameType",
    "HandshakeRefused",
    "HandshakeRequired",
    "InvalidFrameType",
    "JournalCorrupt",
    "JournalFailed",
    "KeyUnusable",
    "LetterOfAnother",
    "MailboxFailed",
    "MailboxFull",
    "ManifestError",
    "NotStarted",
    "NyxPluginError",
    "PermissionDenied",
    "Plugin",
    "PluginFailed",
    "PluginHeader",
    "PluginNotFailed",
    "PluginNotLoaded",
    "PluginNotRegistered",
    "PluginQuarantined",
    "PolicyRefused",
    "RedirectRefused",
    "RefusalLost",
    "RegistryFailed",
    "ResponseTooLarge",
    "SandboxViolation",
    "ServiceNotRunning",
    "ServiceRunning",
    "SignatureError",
    "SigningUnavailable",
    "StreamDecoder",
    "StreamFrame",
    "SwapFailed",
    "SwapRefused",
    "SystemStopped",
    "WrongLoop",
    "close_frame",
    "split_header",
]

_WIRE = ".wire"
_HOMES = {
    **dict.fromkeys(("Context", "Frame", "Plugin"), ".sdk"),
    **dict.fromkeys(("PluginHeader", "StreamDecoder", "StreamFrame", "close_frame"), _WIRE),
    "FrameType": ".frame_type",
    "split_header": ".header",
}

if not TYPE_CHECKING:  # Type checkers would take any name for one that is there.

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _HOMES.get(name, ".errors")
        try:
            value = getattr(import_module(home, __name__), name)
        except ModuleNotFoundError as error:
            if home != _WIRE or error.name != "attrs":
                raise
            raise ImportError(
                f"{name} is for applications: it needs the package attrs, which a worker has not; a plugin is given"
                " frames as Frame, and sends them with ctx.emit, ctx.send and ctx.request"
            ) from None
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
