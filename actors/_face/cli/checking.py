"""Checking a bundle: it is loaded into a system of its own, each of its handlers gets a frame, and all is noted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from ..actors.events import Emitted, Event, EventKind
from ..actors.receipt import Outcome, OutcomeKind
from ..actors.system import PluginInfo
from ..config.errors import NyxPluginError
from ..config.frame_types import FrameTypeSettings
from ..config.settings import LimitSettings, Settings, SystemSettings
from ..plugins.bundle import read_manifest
from ..plugins.errors import PluginFailed, SystemStopped
from ..plugins.manifest import Manifest
from ..plugins.payloads import Handshake
from ..plugins.permissions import known_permissions, permission_table
from ..plugins.wire import FrameType
from ..service.usage import read_memory
from ..trial import LogLine, PluginUnderTest, Workbench, settings_for
from .failure import Failure

PROBE = b"probe"
_TROUBLE = (EventKind.CRASHED, EventKind.VIOLATION, EventKind.FAILED)


@attrs.frozen
class Handled:
    """What one handler did with its frame; ``result`` is ``replied``, ``no reply`` or what went wrong."""

    handler: str
    sent: bytes
    result: str
    reply: bytes | None = None
    reason: str = ""
    seconds: float | None = None
    """From acceptance by the plugin's mailbox to the outcome."""

    @property
    def fault(self) -> str | None:
        """What is wrong, in one sentence; ``None`` when nothing is."""
        return f"{self.handler} {self.result}: {self.reason}" if self.reason else None


@attrs.frozen
class Trial:
    """How a bundle is to be tried."""

    bundle: str
    transport: str
    timeout_s: float
    data: Mapping[str, bytes]
    """What the frames for each handler carry (``on_...``), where it is not the usual."""
    config: Mapping[str, Any]
    companions: Sequence[str] = ()
    """The bundles that are loaded before it."""
    frame_types: Mapping[str, FrameTypeSettings] = attrs.field(factory=dict)
    """Those that the system has besides those of the protocol."""


@attrs.frozen
class Checked:
    """All that was seen; ``info`` is ``None`` when the plugin could not be loaded."""

    manifest: Manifest
    info: PluginInfo | None = None
    load_s: float = 0.0
    memory_bytes: int | None = None
    handled: tuple[Handled, ...] = ()
    emitted: tuple[Emitted, ...] = ()
    lost: int = 0
    """How many emitted frames and events were lost on the way."""
    logs: tuple[LogLine, ...] = ()
    unload_s: float | None = None
    faults: tuple[str, ...] = ()


def check_bundle(trial: Trial) -> Checked:
    """Load a bundle, drive it and unload it; raises what makes a bundle unusable, and what hinders the system.

    What the plugin itself does wrong is in the result's ``faults``.
    """
    manifest = read_manifest(trial.bundle, known_permissions(trial.frame_types))
    _check_data(manifest, trial)
    with Workbench(_settings(trial), transport=trial.transport) as bench:
        bench.start(trial.bundle)
        for companion in trial.companions:
            bench.load(companion)
        started = time.perf_counter()
        try:
            plugin = bench.load(trial.bundle, config=trial.config)
        except PluginFailed as error:
            failed = Checked(manifest, faults=(f"it could not be loaded: {error.reason}",))
        else:
            return _driven(plugin, Checked(manifest, plugin.info, time.perf_counter() - started), trial)
    return attrs.evolve(failed, logs=tuple(bench.logs(manifest.id)))


def _check_data(manifest: Manifest, trial: Trial) -> None:
    """Refuse what no handler would get."""
    reached = {handler for handler, _ in _handlers(frozenset(manifest.permissions), trial)}
    for handler in trial.data:
        if handler not in reached:
            raise Failure(
                f"'--{handler}' has no use: no frame reaches on_{handler} with the permissions in the plugin's manifest"
                f" ({', '.join(manifest.permissions) or 'none'})"
            )


def _settings(trial: Trial) -> Settings:
    patience = trial.timeout_s
    settings = Settings(
        system=SystemSettings(load_timeout_s=patience, stop_timeout_s=patience),
        limits=LimitSettings(wall_time_s=patience, log_lines_per_s=1000),
        frame_types=dict(trial.frame_types),
    )
    for bundle in (trial.bundle, *trial.companions):
        settings = settings_for(bundle, settings)
    return settings


def _driven(plugin: PluginUnderTest, loaded: Checked, trial: Trial) -> Checked:
    """Send the frames one by one, look at the plugin, and unload it."""
    handled = tuple(
        _handled(plugin, handler, frame_type, _probe(loaded.manifest, handler, trial))
        for handler, frame_type in _handlers(plugin.info.permissions, trial)
    )
    worker = plugin.stats.worker_pid
    memory = None if worker is None else read_memory(worker)
    started = time.perf_counter()
    last_words = _unloaded(plugin)
    seen = attrs.evolve(
        loaded, handled=handled, memory_bytes=memory, unload_s=time.perf_counter() - started, logs=tuple(plugin.logs)
    )
    faults = [*faults_of(handled, plugin.events), *last_words]
    return attrs.evolve(seen, emitted=tuple(plugin.seen(Emitted)), lost=plugin.lost, faults=tuple(faults))


def _handlers(permissions: frozenset[str], trial: Trial) -> Iterator[tuple[str, int]]:
    """The handlers that frames can reach, with the frame type that leads there; one of several types comes for each."""
    own = {item.type for item in trial.frame_types.values()}
    for frame_type, permission in permission_table(trial.frame_types).items():
        if permission in permissions:
            yield ("frame" if frame_type in own else FrameType(frame_type).name.lower()), frame_type


def _probe(manifest: Manifest, handler: str, trial: Trial) -> bytes:
    """What to send where nothing was given: a plugin that requires a handshake gets one that it understands."""
    usual = PROBE
    if handler == "handshake" and manifest.require_handshake:
        usual = Handshake(max(manifest.handshake.versions), "nyx-plugins check").encode()
    return trial.data.get(handler, usual)


def _handled(plugin: PluginUnderTest, handler: str, frame_type: int, data: bytes) -> Handled:
    name, before = f"on_{handler}", plugin.stats.latency.sum_s
    try:
        outcome = plugin.send(data, frame_type)
    except SystemStopped:
        raise
    except NyxPluginError as error:
        return Handled(name, data, "was not called", reason=str(error))
    reason = outcome.reason.removeprefix("crash: ").removeprefix("deadline: ")
    return Handled(name, data, _result(outcome), outcome.reply, reason, plugin.stats.latency.sum_s - before)


def _result(outcome: Outcome) -> str:
    match outcome.kind:
        case OutcomeKind.PROCESSED:
            return "no reply" if outcome.reply is None else "replied"
        case OutcomeKind.FAILED:
            return "raised"
    return "took too long" if outcome.reason.startswith("deadline") else "crashed"


def _unloaded(plugin: PluginUnderTest) -> list[str]:
    try:
        plugin.unload()
    except PluginFailed as error:
        return [f"on_unload: {error.reason}"]
    return []


def faults_of(handled: Iterable[Handled], events: Iterable[Event]) -> list[str]:
    """What went wrong in handlers, and then what went wrong outside of them: in a thread, or after a reply."""
    faults = [item.fault for item in handled if item.fault is not None]
    for event in events:
        if event.kind in _TROUBLE and not any(event.reason in fault for fault in faults):
            faults.append(f"{event.kind}: {event.reason}")
    return faults
