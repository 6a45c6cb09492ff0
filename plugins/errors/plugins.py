"""Errors about the states of plugins: one that does not exist, that is not ready, or that has failed."""

from __future__ import annotations

from ...config.errors import NyxPluginError
from .close import unsupported

# What is said of plugins that are loaded and can't do just now what is asked.
_UNABLE = {
    "paused": "is paused: its state has to be 'ready' for that; resume it first",
    "restarting": "is being restarted: its state is 'restarting'; wait until it is 'ready', or unload it",
    "failed": "has failed: its state is 'failed'; reset it first, or unload it and load another version",
    "quarantined": "is quarantined: its state is 'quarantined'; reset it first, or unload it and load another version",
}


class PluginNotRegistered(NyxPluginError, LookupError):
    """No plugin has this id. Load one, or correct the id.

    ``close`` is the payload of the CLOSE owed to the peer when the frame carried REQUIRED, else ``None``.
    """

    def __init__(self, plugin_id: int, required: bool = False) -> None:
        self.plugin_id = plugin_id
        self.close: bytes | None = None
        text = f"plugin {plugin_id} is not registered"
        if required:
            self.close = unsupported(plugin_id)
            text += f"; the frame was REQUIRED, so the peer is owed CLOSE {self.close.hex()}"
        super().__init__(text)


class PluginNotLoaded(NyxPluginError, LookupError):
    """The plugin is registered but can't do that in its present ``state``. Load it, or wait until it is ready.

    One that is ``failed`` or ``quarantined`` needs a reset.
    """

    def __init__(self, plugin_id: int, state: str) -> None:
        self.plugin_id = plugin_id
        self.state = state
        super().__init__(f"plugin {plugin_id} {_UNABLE.get(state, f'is not loaded: its state is {state!r}')}")


class PluginNotFailed(NyxPluginError, ValueError):
    """Only plugins that have failed or are in quarantine can be reset; this one is in another ``state``."""

    def __init__(self, plugin_id: int, state: str) -> None:
        self.plugin_id = plugin_id
        self.state = state
        super().__init__(
            f"plugin {plugin_id} can't be reset: its state is {state!r}, and only failed and quarantined plugins can"
        )


class PluginFailed(NyxPluginError, RuntimeError):
    """The plugin could not do its part (its handler raised, it crashed, it never became ready): see ``reason``."""

    def __init__(self, plugin_id: int, reason: str, step: str = "handle") -> None:
        self.plugin_id = plugin_id
        self.reason = reason
        self.step = step
        super().__init__(f"plugin {plugin_id} failed ({step}): {reason}")


class PluginQuarantined(NyxPluginError, PermissionError):
    """The plugin's worker has broken its bounds too often (``reason``) and was ended. Mend it; reset it or load it."""

    def __init__(self, plugin_id: int, reason: str) -> None:
        self.plugin_id = plugin_id
        self.reason = reason
        super().__init__(
            f"plugin {plugin_id} is quarantined: {reason}; see its events and its log, "
            "then reset it, or unload it and load a version that is mended"
        )


class AlreadyLoaded(NyxPluginError, ValueError):
    """A plugin with this id is loaded. Unload it first, or load with another id; one that has failed can be reset."""

    def __init__(self, plugin_id: int, state: str) -> None:
        self.plugin_id = plugin_id
        self.state = state
        what_to_do = "; reset it, or unload it first" if state in ("failed", "quarantined") else ""
        super().__init__(f"plugin {plugin_id} is already loaded: its state is {state!r}{what_to_do}")
