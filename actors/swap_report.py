"""What became of a swap, as its caller is told."""

from __future__ import annotations

import attrs

from ..plugins.differences import Difference


@attrs.frozen
class SwapReport:
    """How one version of a plugin took the place of another; of a dry run, how it would."""

    plugin_id: int
    old_version: str
    new_version: str
    differences: tuple[Difference, ...]
    """In what the new version may do more or less than the old one, what else senders notice, and what stays."""
    pause_s: float = 0.0
    """For how long neither version worked; frames were accepted all the time."""
    state_carried: bool = False
    """Whether there was state, and the new version goes on with it."""
    swapped: bool = True
    """False for a dry run."""
