"""What a mailbox has counted."""

from __future__ import annotations

import attrs


@attrs.frozen
class MailboxStatistics:
    """Counts since `Mailbox.create`: ``accepted = processed + failed + dead_lettered + in_mailbox``, always."""

    accepted: int
    processed: int
    failed: int
    dead_lettered: int
    in_mailbox: int
    peak: int
    capacity: int
    bytes_held: int
    capacity_bytes: int
    bytes_processed: int
    """Header bytes plus data bytes of the frames that were processed or failed."""
    permission_violations: int
    restarts: int
