"""What whoever knows the token may do to a plugin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from ...config.errors import NyxPluginError
from ...config.settings import Settings
from ...plugins.errors import DispatchTimeout, PluginNotRegistered, SystemStopped
from ...plugins.permissions import known_permissions

_ID = re.compile("[0-9]{1,10}", re.ASCII)
MAX_PLUGIN_ID = 2**32 - 1


class Managed(Protocol):
    """What is acted on: a ``PluginSystem``."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    def pause(self, plugin_id: int) -> None:
        """Hand no more frames to the plugin."""

    def resume(self, plugin_id: int) -> None:
        """Go on."""

    def reset(self, plugin_id: int) -> None:
        """Bring the plugin back that was given up."""

    def unload(self, plugin_id: int) -> None:
        """Drain and remove the plugin."""

    def grant(self, plugin_id: int, permission: str) -> None:
        """Give a permission."""

    def revoke(self, plugin_id: int, permission: str) -> None:
        """Take a permission away."""


class BadAction(ValueError):
    """There is no such action, plugin id or permission: the text says what there is."""


def action_of(system: Managed, plugin_id: str, action: str, permission: object) -> Callable[[], None]:
    """What the words of a request ask for, not done yet. Raises :class:`BadAction`."""
    if not _ID.fullmatch(plugin_id) or int(plugin_id) > MAX_PLUGIN_ID:
        raise BadAction(f"A plugin's id is a number from 0 to {MAX_PLUGIN_ID:,}.")
    number = int(plugin_id)
    plain = {"pause": system.pause, "resume": system.resume, "reset": system.reset, "unload": system.unload}
    if action in plain:
        return lambda: plain[action](number)
    changes = {"grant": system.grant, "revoke": system.revoke}
    if action not in changes:
        raise BadAction(f"There is no such action: {', '.join((*plain, *changes))} are all.")
    known = known_permissions(system.settings.frame_types)
    if not isinstance(permission, str) or permission not in known:
        raise BadAction(f"There is no such permission: {', '.join(sorted(known))} are all.")
    return lambda: changes[action](number, permission)


def status_of(error: NyxPluginError) -> int:
    """The HTTP status that tells of this error."""
    if isinstance(error, PluginNotRegistered):
        return 404
    if isinstance(error, DispatchTimeout):
        return 504
    return 503 if isinstance(error, SystemStopped) else 409
