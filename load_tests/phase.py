"""``Phase``: what one client is to do from one time to another; a calibration is one, and each round is."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .scenario import Arrivals, Call, WhenFull


@attrs.frozen
class Phase:
    """All times are nanoseconds of the monotonic clock, which all processes of a machine share."""

    mode: str
    call: Call
    arrivals: Arrivals
    rate: float
    """Frames per second of this client."""
    batch: int
    window: int
    when_full: WhenFull
    plugins: tuple[int, ...]
    """Ids in the order in which frames go to them, again and again."""
    groups: Mapping[int, str]
    """The group of each plugin, of which latencies are counted apart."""
    frame_bytes: int
    capture: str
    """A file, the frames of which are sent; empty for frames that are made."""
    most_stream_bytes: int
    seed: str
    begin: int
    measured: int
    """When the measured time begins."""
    end: int
    """When it ends: no frame is due after it."""
    drained: int
    """When the last frames must have had their outcomes."""
    interval: int
    """How long frames are counted together."""
    most_frames: int
