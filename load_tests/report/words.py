"""What metrics mean, in a few words each: a name alone tells little to who reads it for the first time."""

from __future__ import annotations

_WORDS = {
    "processed_per_s": "frames that a plugin has handled, for each second",
    "p50_us": "half of all frames took no longer",
    "p90_us": "nine of ten frames took no longer",
    "p99_us": "99 of 100 frames took no longer",
    "p99_9_us": "999 of 1,000 frames took no longer",
    "max_us": "the slowest frame of all",
    "failed_share": "frames that a plugin raised an error for",
    "dead_lettered_share": "frames that were accepted and given up later",
    "refused_share": "frames that were not accepted",
    "lost_share": "frames of which nobody can say what became of them",
    "unfinished_share": "frames that were sent and had no outcome in time",
    "unsent_share": "frames that were due and never sent",
    "busiest_client_cores": "of the client that had most to do: near 1, the clients are the limit, not the system",
    "system_cpu_us_per_frame": "processor time of all processes but the clients, for each frame",
    "cpu_us_per_frame": "processor time of the processes of one role, for each frame",
    "memory_bytes": "all processes but the clients, at the end",
    "memory_bytes_per_plugin": "a plugin's actor and its worker",
    "memory_growth_bytes": "of the process that grew most in the measured time",
    "client_memory_growth_bytes": "likewise, of the clients",
    "files_bytes": "files in the runtime directory, mailboxes among them, at the most",
    "files_growth_bytes": "by how much they grew in the measured time",
    "sockets_bytes": "waiting in the buffers of sockets, at the most",
    "sockets_growth_bytes": "by how much that grew in the measured time",
    "rate_per_s": "frames that were to be sent, for each second",
    "calibrated_per_s": "what one plugin, or all, processed at the most, where the rate was a share of that",
    "events_failed": "events that could not be done; a mark says why",
    "ready_s": "until each plugin has answered",
    "unload_s": "until all plugins are unloaded",
    "load_s": "from the call that loads the plugins until all are ready",
}


def meaning(metric: str) -> str:
    """Return what ``metric`` means, whatever variant or role it is of; empty where it is not known."""
    return _WORDS.get(metric.partition(" [")[0].partition(".")[0], "")
