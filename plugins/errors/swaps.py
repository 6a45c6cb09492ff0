"""Errors about swaps of a plugin for a new version."""

from __future__ import annotations

from ...config.errors import NyxPluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class SwapRefused(NyxPluginError, PermissionError):
    """A new version is not put in the place of the old one, which goes on; every reason is in ``reasons``.

    With ``widens`` they are what it would be allowed beyond the old one: ``allow_widen=True`` lets it have that.
    """

    def __init__(self, plugin_id: int, reasons: Iterable[str], widens: bool = False) -> None:
        self.plugin_id = plugin_id
        self.reasons = tuple(reasons)
        self.widens = widens
        why = "the new version would be allowed more" if widens else "the new version does not fit"
        what_to_do = " (allow_widen=True allows it)" if widens else ""
        super().__init__(f"plugin {plugin_id} is not swapped: {why}: {'; '.join(self.reasons)}{what_to_do}")


class SwapFailed(NyxPluginError, RuntimeError):
    """A new version could not take the place of the old one: ``step`` failed, see ``reason``.

    The old one goes on, unless its own end is the reason (``goes_on``).
    """

    def __init__(self, plugin_id: int, step: str, reason: str, goes_on: bool = True) -> None:
        self.plugin_id = plugin_id
        self.step = str(step)
        self.reason = reason
        self.goes_on = goes_on
        what_is_left = "; the old version goes on" if goes_on else ""
        super().__init__(f"plugin {plugin_id} is not swapped ({step}): {reason}{what_is_left}")
