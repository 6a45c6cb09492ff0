"""Errors about the files that outlive a system."""

from __future__ import annotations

from ...config.errors import NyxPluginError


class BacklogOfAnother(NyxPluginError, ValueError):
    """The state directory holds ``frames`` unfinished frames for this id that were sent to another plugin, ``found``.

    Load that one, so that it can process them; or remove the folder ``path``, and they are gone.
    """

    def __init__(self, plugin_id: int, plugin: str, found: str, frames: int, path: str) -> None:
        self.plugin_id = plugin_id
        self.plugin = plugin
        self.found = found
        self.frames = frames
        self.path = path
        super().__init__(
            f"plugin {plugin_id} is {plugin!r}, and {frames} unfinished frames of {found!r} are kept under its id in"
            f" {path}: load {found!r}, or remove that folder"
        )


class RegistryFailed(NyxPluginError, OSError):
    """The file ``path`` of the registrations can't be written: see ``reason``. Nothing was changed.

    Make room on its disk, or mend its rights, and do it again.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"registry {path} can't be written: {reason}; nothing was changed: make room there, or mend its rights"
        )


class JournalFailed(NyxPluginError, OSError):
    """The file (or folder) ``path``, which is to outlive the system, can't be written or read: see ``reason``.

    What could not be made durable was not accepted. Make room on the disk, or mend the rights of the state directory;
    where somebody else has it in use, as processes of a killed system have until they have ended, try again.
    """

    def __init__(self, path: str, reason: str, remedy: str = "make room there, or mend its rights") -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"journal {path} can't be used: {reason}; {remedy}")


class JournalCorrupt(NyxPluginError, ValueError):
    """The file ``path`` is no journal, or what it held for good is damaged: see ``reason``. It is never guessed at."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"journal {path} is corrupt: {reason}")
