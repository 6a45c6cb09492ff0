"""When what was changed last: of two that want different things, the one who has asked later must not be overruled.

A change is asked for again when it may have been lost. The second copy may come long after its sender was answered, and
after somebody else has been answered who wanted the opposite. So a copy is done only if nothing was changed since the
first one was sent; else it has been done already, or was overtaken. Clocks are monotonic ones, which all processes of a
machine share.
"""

from __future__ import annotations

import attrs


def is_overtaken(asked_at: float, changed_at: float) -> bool:
    """Whether what was first asked for then is answered by what was done since. 0: it is asked for now."""
    return 0.0 < asked_at <= changed_at


@attrs.define
class Changes:
    """Of one plugin, by what is changed."""

    since: float
    """When the plugin came: what was asked for before was about another."""
    _at: dict[str, float] = attrs.field(factory=dict)

    def note(self, what: str, now: float) -> None:
        """It has been changed."""
        self._at[what] = now

    def at(self, what: str) -> float:
        """When it was changed last."""
        return self._at.get(what, self.since)
