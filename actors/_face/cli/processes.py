"""What the processes of a running system are, as a tree."""

from __future__ import annotations

import os

from rich.tree import Tree

from ..actors.processes import ACTOR_PREFIX, children, process_name
from ..actors.system import PluginSystem

_ROLES = {
    "nyx-PluginActor": "plugin actor",
    "nyx-worker": "worker, which runs the plugin",
    "nyx-Nursery": "nursery, from which workers are forked",
}


def process_tree(system: PluginSystem) -> Tree:
    """Return who runs where, from this process down."""
    tree = Tree(f"this process ({os.getpid()})")
    if system.host_pid == os.getpid():
        tree.add("all actors and plugins are in it")
    else:
        _add(tree, system.host_pid, "host: outlives nothing, and nothing outlives it")
    return tree


def _add(above: Tree, pid: int, role: str) -> None:
    branch = above.add(f"{role} ({pid})")
    for child in children(pid):
        if child_role := _role(child):
            _add(branch, child, child_role)


def _role(pid: int) -> str | None:
    """Say what the process is; ``None`` for one that has ended."""
    name = process_name(pid)
    if not name:
        return None
    if name.startswith(ACTOR_PREFIX):
        return _ROLES.get(name, name.removeprefix(ACTOR_PREFIX).lower())
    return "Thespian's admin" if children(pid) else "Thespian's logger"
