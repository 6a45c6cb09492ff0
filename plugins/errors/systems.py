"""Errors about systems and services that do not run, or are used where they may not be."""

from __future__ import annotations

from ...config.errors import NyxPluginError, ReceiptError


class SystemStopped(NyxPluginError, RuntimeError):
    """The system has stopped (``reason`` says why). Start a new one."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the plugin system has stopped: {reason}")


class FateUnknown(ReceiptError, SystemStopped):
    """The system has stopped (``reason`` says why) with this frame for plugin ``plugin_id`` on its way.

    It was sent, and nobody is left who could say what became of it; ``receipt`` is its receipt, and ``accepted`` true
    if it is known to be accepted, else ``None``. With ``durability = "disk"`` the next system that loads the plugin
    handles an accepted one, also where this one has stopped in order: send it again only if it may be handled twice.
    Frames that were never sent are refused with :class:`SystemStopped` itself.
    """

    def __init__(self, plugin_id: int, reason: str, accepted: bool | None = None) -> None:
        super().__init__(reason)
        self.plugin_id = plugin_id
        self.accepted = accepted
        known = "was accepted, and may or may not have been handled"
        unknown = "was on its way, and may or may not have been accepted and handled"
        self.args = (
            f'{self}; a frame for plugin {plugin_id} {known if accepted else unknown} (with durability = "disk", an'
            " accepted one is handled by the next system): send it again only if it may be handled twice",
        )

    def of(self, receipt: object, accepted: bool | None) -> FateUnknown:
        """The same, of a single frame."""
        found = FateUnknown(self.plugin_id, self.reason, accepted)
        found.receipt = receipt
        return found


class ServiceNotRunning(NyxPluginError, ConnectionError):
    """No service runs in this runtime directory. Start one (``nyx-plugins serve``), or name another directory."""

    def __init__(self, runtime_dir: str) -> None:
        self.runtime_dir = runtime_dir
        super().__init__(f"no service is running in {runtime_dir}: start one with 'nyx-plugins serve'")


class ServiceRunning(NyxPluginError, RuntimeError):
    """Another service runs in this runtime directory, as process ``pid``. Stop it, or use another directory."""

    def __init__(self, runtime_dir: str, pid: int | None) -> None:
        self.runtime_dir = runtime_dir
        self.pid = pid
        super().__init__(
            f"a service is already running in {runtime_dir}, as process {pid or 'unknown'}: stop it first"
            " (nyx-plugins stop), or give this one a runtime directory of its own"
        )


class WrongLoop(NyxPluginError, RuntimeError):
    """An ``AsyncPluginSystem`` was used outside of the event loop that it was started in. Only ``close`` may be."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(f"the system belongs to the event loop that it was started in, but {where}")


class NotStarted(NyxPluginError, RuntimeError):
    """An ``AsyncPluginSystem`` was used before it was started. Enter it with ``async with``, or await ``start()``."""

    def __init__(self) -> None:
        super().__init__("the system is not started: use `async with`, or `await AsyncPluginSystem.start()`")
