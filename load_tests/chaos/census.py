"""Who is who among the processes of the run, and how one of them is killed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from nyx_plugins.actors.processes import ACTOR_PREFIX, children, parent, process_name

WORKER, PLUGIN_ACTOR, CLIENT = "worker", "plugin actor", "client"
NURSERY = "nursery"
DISPATCHER, REGISTRY, GUARD = "dispatcher", "registry", "guard"
ROLES = (WORKER, PLUGIN_ACTOR, CLIENT, DISPATCHER, REGISTRY, GUARD, NURSERY)
"""Who is killed. The Supervisor, the admin and the host are not: nothing outlives them."""
_NAMES = {
    f"{ACTOR_PREFIX}worker": WORKER,
    f"{ACTOR_PREFIX}Nursery": NURSERY,
    f"{ACTOR_PREFIX}PluginActor": PLUGIN_ACTOR,
    f"{ACTOR_PREFIX}Dispatcher": DISPATCHER,
    f"{ACTOR_PREFIX}Registry": REGISTRY,
    f"{ACTOR_PREFIX}Guard": GUARD,
}


class Census:
    """The processes of one system, by role."""

    def __init__(self, host: int) -> None:
        self.host = host
        [self.admin] = [pid for pid in children(host) if children(pid)]
        [self.supervisor] = [pid for pid in children(self.admin) if process_name(pid) == f"{ACTOR_PREFIX}Supervisor"]

    def of(self, role: str) -> list[int]:
        """Return who has this role now, in the order of their births."""
        return [pid for parent in self.parents_of(role) for pid in children(parent) if _role(pid) == role]

    def parents_of(self, role: str) -> list[int]:
        """Return whose children they are: of workers, those who may have forked or exec'ed them."""
        if role != WORKER:
            return [self.supervisor]
        return [pid for pid in children(self.supervisor) if _role(pid) in (NURSERY, PLUGIN_ACTOR)]

    @property
    def lasting(self) -> dict[str, int]:
        """Those that live as long as the system."""
        return {"host": self.host, "admin": self.admin, "supervisor": self.supervisor}


def _role(pid: int) -> str | None:
    return _NAMES.get(process_name(pid))


def kill(pid: int, parents: Sequence[int]) -> bool:
    """Kill a process if it still is a child of one of ``parents``: nobody else's, whatever became of the number."""
    with contextlib.suppress(OSError):
        process = os.pidfd_open(pid)
        try:
            if parent(pid) in parents:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                return True
        finally:
            os.close(process)
    return False


def descriptors(pid: int) -> list[str]:
    """Return what the descriptors of a process lead to."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found
