"""What a plugin is given, worked out from what the caller asked, its manifest and the settings. Pure."""

from __future__ import annotations

from pathlib import Path

import attrs

from ..config.settings import LimitSettings, Settings
from ..plugins.manifest import Manifest, RestartRequest
from . import inheritance
from . import messages as m
from .dead_letters import FOLDER
from .lifecycle import PluginLife
from .root import Root
from .supervision import Backoff, ChildSpec, Intensity

# So long may a plugin actor take to end that was asked to, in seconds, before it is killed.
STOP_ACTOR_S = 2.0
NURSERY = "nursery"
"""Its role, and the name of its socket in the runtime directory."""


def child_spec(name: str, settings: Settings, wanted: RestartRequest | None = None) -> ChildSpec:
    """Combine the wishes of a plugin's manifest, if it is one, with the operator's settings."""
    common, asked = settings.supervision, wanted or RestartRequest()
    # Nothing goes on there while a program waits: who waits for a frame would not see the end of a wait.
    waits = settings.system.transport != "inline"
    return ChildSpec(
        name,
        asked.policy,
        settings.system.stop_timeout_s,
        Intensity(
            common.max_restarts if asked.max_restarts is None else asked.max_restarts,
            common.within_s if asked.within_s is None else asked.within_s,
        ),
        Backoff(common.backoff_initial_s, common.backoff_max_s, common.jitter) if waits else Backoff(0.0, 0.0),
    )


def plugin_actor_spec(settings: Settings, wanted: RestartRequest) -> ChildSpec:
    """How a plugin actor is restarted and stopped: once its plugin has stopped, there is nothing left for it to do."""
    return attrs.evolve(child_spec("plugin actor", settings, wanted), shutdown_s=STOP_ACTOR_S)


def registration(life: PluginLife) -> m.Registration:
    """The row to register; the permissions asked for are those of the caller, or else of the manifest."""
    assert life.manifest is not None
    manifest, wanted = life.manifest, life.spec.permissions
    asked = frozenset(manifest.permissions if wanted is None else wanted)
    return m.Registration(
        *(life.plugin_id, manifest.name, manifest.version, life.digest, life.state, asked, asked),
        signed_by=life.signed_by,
    )


def route(life: PluginLife, boot: m.Boot, epoch: int) -> m.Route:
    """What the dispatcher and the sessions are to know."""
    assert life.manifest is not None and life.policy is not None and life.registration is not None
    limits = boot.settings.limits
    return m.Route(
        life.plugin_id,
        life.manifest.name,
        life.manifest.version,
        life.state,
        life.registration.granted,
        life.policy,
        capacity(life.spec, life.manifest, limits),
        capacity_bytes(life.spec, life.manifest, limits),
        epoch,
        life.manifest.requires,
        life.manifest.optional,
        life.manifest.offer(life.spec.require_handshake),
        durable=bool(durable_folder(boot, life)),
    )


def start(load_id: int, life: PluginLife, root: Root) -> m.StartPlugin:
    """What the plugin actor is told to begin with."""
    boot = root.boot
    assert life.manifest is not None and life.policy is not None
    return m.StartPlugin(
        load_id=load_id,
        plugin_id=life.plugin_id,
        manifest=life.manifest,
        policy=life.policy,
        directory=life.directory,
        bundle_directory=life.bundle_directory or life.directory,
        digest=life.digest,
        capacity=capacity(life.spec, life.manifest, boot.settings.limits),
        capacity_bytes=capacity_bytes(life.spec, life.manifest, boot.settings.limits),
        config=life.spec.config,
        settings=boot.settings,
        guard=root.essential["guard"],
        dispatcher=root.essential["dispatcher"],
        sessions=tuple(root.sessions.values()),
        host_pid=boot.host_pid,
        paused=life.is_paused,
        dispatcher_epoch=root.epochs["dispatcher"],
        restarts=life.restarts,
        leftovers=life.leftovers,
        given_up=life.given_up,
        instances=life.spec.instances or life.manifest.instances,
        balance=life.spec.balance or life.manifest.balance,
        letters=letters_folder(boot),
        durable=durable_folder(boot, life),
        nursery=nursery(boot),
    )


def durable_folder(boot: m.Boot, life: PluginLife) -> str:
    """Where its frames are kept for longer than the system; empty: nowhere."""
    wanted = life.spec.durability or boot.settings.limits.durability
    if wanted != "disk" or boot.state_dir is None:
        return ""
    return str(Path(boot.state_dir, inheritance.FOLDER, str(life.plugin_id)))


def letters_folder(boot: m.Boot) -> str:
    """Where dead letters lie: where they outlive the system, if there is such a place."""
    return str(Path(boot.state_dir or boot.runtime_dir, FOLDER))


def nursery(boot: m.Boot) -> str:
    """Where the nursery listens; empty if there is none."""
    found = Path(boot.runtime_dir, NURSERY)
    return str(found) if found.exists() else ""


def capacity(spec: m.LoadSpec, manifest: Manifest, limits: LimitSettings) -> int:
    """How many frames the mailbox holds."""
    return spec.capacity or manifest.capacity or limits.mailbox_capacity


def capacity_bytes(spec: m.LoadSpec, manifest: Manifest, limits: LimitSettings) -> int:
    """How many header bytes the mailbox holds; never so few that a valid frame would not fit into an empty one."""
    fitting = limits.mailbox_bytes_for(capacity(spec, manifest, limits))
    return max(spec.capacity_bytes or manifest.capacity_bytes or fitting, limits.max_header_bytes)
