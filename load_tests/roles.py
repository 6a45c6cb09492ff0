"""Who is who among the processes of a system, for any system that can be reached."""

from __future__ import annotations

from collections.abc import Mapping

from nyx_plugins import PluginStats
from nyx_plugins.actors.processes import ACTOR_PREFIX, children, process_name

PLUGIN_ACTOR, WORKER = "plugin actor", "worker"
_ROLES = {
    "Supervisor": "supervisor",
    "Registry": "registry",
    "Guard": "guard",
    "Dispatcher": "dispatcher",
    "Loader": "loader",
    "Remover": "remover",
    "PluginActor": PLUGIN_ACTOR,
}
_BY_PARENT = {"host": "admin", "admin": "logger", "supervisor": "nursery"}
"""Who has no name of its own, or not yet: the only child of this kind that its parent has."""


def roles(host: int, plugins: Mapping[str, PluginStats]) -> dict[int, str]:
    """Return the role of each process from the host down; ``plugins`` are the statistics of plugins by their labels."""
    found = {host: "host"}
    places = _places(plugins)
    queue = [host]
    for pid in queue:
        for child in children(pid):
            if child not in found:
                found[child] = places.get(child) or role_of(process_name(child), found[pid])
                queue.append(child)
    return found


def _places(plugins: Mapping[str, PluginStats]) -> dict[int, str]:
    places: dict[int, str] = {}
    for label, stats in plugins.items():
        places[stats.actor_pid] = f"{PLUGIN_ACTOR} {label}"
        workers = [lane.worker_pid for lane in stats.instances] or [stats.worker_pid]
        for number, pid in enumerate(workers, 1):
            if pid is not None:
                places[pid] = f"{WORKER} {label}" + (f".{number}" if len(workers) > 1 else "")
    return places


def role_of(name: str, parent: str) -> str:
    """Return the role of a process by what it is shown as and by the role of its parent. Pure."""
    if name == f"{ACTOR_PREFIX}worker":
        return f"a {WORKER}"
    if name.startswith(ACTOR_PREFIX):
        kind = name.removeprefix(ACTOR_PREFIX)
        return _ROLES.get(kind, kind.lower())
    if parent.startswith((PLUGIN_ACTOR, "nursery")):
        return f"a {WORKER}"
    return _BY_PARENT.get(parent) or (f"a child of {parent}" if name else "gone")
