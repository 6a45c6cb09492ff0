"""Configuration: settings, and how they are loaded. Names are imported when they are first used.

Worker processes import this package for its errors alone, so importing it loads nothing else.
"""

from __future__ import annotations

# Importing it from typing would double the time that a worker takes to import this.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from .errors import ConfigError, DocumentError, Fault, NyxPluginError, StartupError
    from .frame_types import FrameTypeSettings
    from .loading import load_settings
    from .sandbox import Ceiling, SandboxOverride, SandboxRequest
    from .settings import (
        LimitSettings,
        LoggingSettings,
        PluginSettings,
        ServiceSettings,
        Settings,
        SupervisionSettings,
        SystemSettings,
    )

__all__ = [
    "Ceiling",
    "ConfigError",
    "DocumentError",
    "Fault",
    "FrameTypeSettings",
    "LimitSettings",
    "LoggingSettings",
    "NyxPluginError",
    "PluginSettings",
    "SandboxOverride",
    "SandboxRequest",
    "ServiceSettings",
    "Settings",
    "StartupError",
    "SupervisionSettings",
    "SystemSettings",
    "load_settings",
]

_MODULES = {
    "errors": ("ConfigError", "DocumentError", "Fault", "NyxPluginError", "StartupError"),
    "frame_types": ("FrameTypeSettings",),
    "loading": ("load_settings",),
    "sandbox": ("Ceiling", "SandboxOverride", "SandboxRequest"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = next((module for module, names in _MODULES.items() if name in names), "settings")
    return getattr(import_module(f".{module}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
