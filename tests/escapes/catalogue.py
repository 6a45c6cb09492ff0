"""All attempts, by their groups and numbers."""

from __future__ import annotations

from . import filesystem, ipc, kernel_surface, network, processes, resources, secrets, undoing
from .attempt import Attempt

GROUPS: dict[str, tuple[Attempt, ...]] = {
    "filesystem": filesystem.ATTEMPTS,
    "network": network.ATTEMPTS,
    "processes and signals": processes.ATTEMPTS,
    "IPC": ipc.ATTEMPTS,
    "kernel surface": kernel_surface.ATTEMPTS,
    "undoing a layer": undoing.ATTEMPTS,
    "resources": resources.ATTEMPTS,
    "environment and memory": secrets.ATTEMPTS,
}
NUMBERED: dict[int, Attempt] = dict(enumerate((one for group in GROUPS.values() for one in group), start=1))
