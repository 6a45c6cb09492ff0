"""Errors about policies: what a plugin may not do, and what can't be enforced."""

from __future__ import annotations

from ...config.errors import NyxPluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class PermissionDenied(NyxPluginError, PermissionError):
    """The plugin lacks the ``permission`` that ``frame_type`` needs. Grant it, or don't send such frames."""

    def __init__(self, plugin_id: int, permission: str, frame_type: int) -> None:
        self.plugin_id = plugin_id
        self.permission = permission
        self.frame_type = frame_type
        needs = "sending to other plugins" if permission == "inter_plugin" else f"frame type 0x{frame_type:02x}"
        super().__init__(f"plugin {plugin_id} has no permission {permission!r}, which {needs} needs")


class SandboxViolation(NyxPluginError, PermissionError):
    """A frame or the plugin itself asks for what its policy does not allow. Widen the policy, or don't ask."""

    def __init__(self, plugin_id: int, request: str, reason: str) -> None:
        self.plugin_id = plugin_id
        self.request = request
        self.reason = reason
        super().__init__(f"plugin {plugin_id}: {request!r} denied by policy: {reason}")


class PolicyRefused(NyxPluginError, PermissionError):
    """A bundle requests more than the operator's ceiling allows; every reason is in ``reasons``."""

    def __init__(self, plugin_id: int, reasons: Iterable[str]) -> None:
        self.plugin_id = plugin_id
        self.reasons = tuple(reasons)
        super().__init__(f"plugin {plugin_id} asks for more than the ceiling allows: " + "; ".join(self.reasons))


class EnforcementTooWeak(NyxPluginError, PermissionError):
    """This machine enforces policies at ``level`` only, and ``required`` is more; every reason is in ``reasons``.

    Plugins are not loaded then. ``nyx-plugins doctor`` tells more.
    """

    def __init__(self, plugin_id: int, level: str, required: str, reasons: Iterable[str]) -> None:
        self.plugin_id = plugin_id
        self.level = level
        self.required = required
        self.reasons = tuple(reasons)
        super().__init__(
            f"plugin {plugin_id} can't be confined as required: this machine enforces policies at level {level}, and"
            f" system.require_enforcement is {required}: {'; '.join(self.reasons)}"
        )
