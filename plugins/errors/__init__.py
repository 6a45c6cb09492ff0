"""Errors, one class per cause, under :class:`NyxPluginError`; a module for each noun that they are about.

Each carries the culprit as attributes and says in its text what was found, what the limit is and what to do.
"""

from __future__ import annotations

from ...config.errors import NyxPluginError
from .bundles import BundleChanged, BundleError, KeyUnusable, ManifestError, SignatureError, SigningUnavailable
from .close import CLOSE_UNSUPPORTED_CAPABILITY
from .delivery import DeadLetterUnknown, DispatchTimeout, LetterOfAnother, MailboxFailed, MailboxFull, RefusalLost
from .dependencies import DependencyConflict, DependencyCycle, DependencyMissing, DependencyUndeclared, DependentsLoaded
from .frames import FrameError, HandshakeRefused, HandshakeRequired, InvalidFrameType
from .http import RedirectRefused, ResponseTooLarge
from .journals import BacklogOfAnother, JournalCorrupt, JournalFailed, RegistryFailed
from .plugins import (
    AlreadyLoaded,
    PluginFailed,
    PluginNotFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginQuarantined,
)
from .policies import EnforcementTooWeak, PermissionDenied, PolicyRefused, SandboxViolation
from .swaps import SwapFailed, SwapRefused
from .systems import FateUnknown, NotStarted, ServiceNotRunning, ServiceRunning, SystemStopped, WrongLoop

__all__ = [
    "CLOSE_UNSUPPORTED_CAPABILITY",
    "AlreadyLoaded",
    "BacklogOfAnother",
    "BundleChanged",
    "BundleError",
    "DeadLetterUnknown",
    "DependencyConflict",
    "DependencyCycle",
    "DependencyMissing",
    "DependencyUndeclared",
    "DependentsLoaded",
    "DispatchTimeout",
    "EnforcementTooWeak",
    "FateUnknown",
    "FrameError",
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
    "PluginFailed",
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
    "SwapFailed",
    "SwapRefused",
    "SystemStopped",
    "WrongLoop",
]
