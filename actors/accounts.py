"""What a plugin actor tells of its plugin in numbers."""

from __future__ import annotations

import os

import attrs

from .events import PluginStats
from .lanes import Lanes
from .letter_office import LetterOffice
from .remarks import Remarks
from .standing import Standing


def accounts(lanes: Lanes, office: LetterOffice, remarks: Remarks, standing: Standing) -> PluginStats:
    """Return the counters of the mailboxes and what the others have counted."""
    worker = lanes[0].worker
    kept, lost = office.counts()
    box = attrs.asdict(lanes.statistics())
    return PluginStats(
        messages_processed=box["processed"] + box["failed"],
        errors=box["failed"],
        state=standing.state(lanes.is_ready),
        latency=lanes.latency(),
        actor_pid=os.getpid(),
        worker_pid=(worker.pid or None) if worker is not None else None,
        violations=remarks.violations,
        last_death=remarks.last_death,
        instances=lanes.instances(),
        dead_letters=kept,
        dead_letters_lost=lost,
        **box,
    )
