"""What the dispatcher is told, and counts, of a frame that was refused. Pure."""

from __future__ import annotations

from ..plugins.errors import PermissionDenied, SandboxViolation
from . import messages as m


def refusal_of(error: BaseException, plugin_id: int | None, count: int = 1, was_submitted: bool = False) -> m.Refusal:
    """Describe a refused frame for the dispatcher's counters."""
    violation = isinstance(error, (SandboxViolation, PermissionDenied))
    if isinstance(error, PermissionDenied):
        # Of the plugin that it is for, or of the one that has sent it.
        plugin_id = error.plugin_id
    return m.Refusal(
        # Only a violation is a plugin's; ids that nobody has must not make as many kinds of refusals.
        plugin_id if violation else None,
        type(error).__name__,
        count,
        violation=error.request if isinstance(error, SandboxViolation) else None,
        permission=violation,
        was_submitted=was_submitted,
    )
