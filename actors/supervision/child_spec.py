"""What a supervisor promises a child: whether and how often it is started again, and how long it may take to stop."""

from __future__ import annotations

import attrs
from attrs import field, validators


@attrs.frozen
class Intensity:
    """At most ``max_restarts`` restarts within any ``within_s`` seconds; past that the child is given up."""

    max_restarts: int = field(default=5, validator=validators.ge(0))
    within_s: float = field(default=60.0, validator=validators.gt(0))


@attrs.frozen
class Backoff:
    """The first restart is at once; the second waits ``initial_s``, each further one twice as long, up to ``max_s``.

    Each wait is spread by ``jitter`` (0 to 1: the part by which it may be longer or shorter).
    """

    initial_s: float = field(default=0.1, validator=validators.ge(0))
    max_s: float = field(default=30.0, validator=validators.ge(0))
    jitter: float = field(default=0.1, validator=[validators.ge(0), validators.le(1)])

    def wait_s(self, restarts: int, random: float) -> float:
        """The wait after ``restarts`` others in the same window; ``random`` is from 0 to 1 and evenly spread."""
        if restarts == 0:
            return 0.0
        # The exponent is bounded because a float power that overflows raises.
        wait = min(self.initial_s * 2.0 ** min(restarts - 1, 1000), self.max_s)
        return min(wait * (1 + self.jitter * (2 * random - 1)), self.max_s)


@attrs.frozen
class ChildSpec:
    """One child.

    ``permanent`` children are always started again, ``transient`` ones when they ended abnormally, ``temporary`` ones
    never. Asked to stop, it has ``shutdown_s`` seconds before it is killed.
    """

    name: str
    restart: str = field(default="permanent", validator=validators.in_(("permanent", "transient", "temporary")))
    shutdown_s: float = field(default=3.0, validator=validators.ge(0))
    intensity: Intensity = field(factory=Intensity)
    backoff: Backoff = field(factory=Backoff)
