"""The settings of one system: frozen values, checked when they are built (ConfigError names key, limit and value).

``config/defaults.toml`` documents every key with its unit and its range.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args

import attrs
from attrs import field

from . import checks
from .checks import MIB
from .errors import ConfigError, Fault
from .frame_types import FrameTypeSettings, frame_types, permission_name
from .network import listening_address
from .sandbox import Ceiling, SandboxOverride, wall_time

Transport = Literal["unix", "inline"]
LogFormat = Literal["text", "json"]
Enforcement = Literal["full", "partial", "cooperative"]
Durability = Literal["memory", "disk"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]

MAX_PLUGIN_ID = 2**32 - 1
plugin_id = checks.whole(0, MAX_PLUGIN_ID)
capacity = checks.whole(1, 100_000)
capacity_bytes = checks.whole(4096, 1024 * MIB)
instances = checks.whole(1, 64)
max_deliveries = checks.whole(1, 100)
max_restarts = checks.whole(0, 1_000_000)
restart_window = checks.positive_seconds

_permissions = checks.each(permission_name)
_logger_name = checks.text(r"[\w.-]{1,255}", "the name of a logger")
_log_level = checks.one_of(*get_args(LogLevel))
_address_or_empty = checks.either_empty(listening_address)


@attrs.frozen
class SystemSettings:
    """Where the system runs and how long its parts may take to start, to load and to stop (seconds)."""

    transport: Transport = field(default="unix", validator=checks.one_of("unix", "inline"))
    runtime_dir: str = field(default="", validator=checks.absolute_path_or_empty)
    state_dir: str = field(default="", validator=checks.absolute_path_or_empty)
    start_timeout_s: float = field(default=10.0, validator=checks.positive_seconds)
    stop_timeout_s: float = field(default=3.0, validator=checks.seconds)
    load_timeout_s: float = field(default=10.0, validator=checks.positive_seconds)
    fresh_interpreter: bool = field(default=False, validator=checks.flag)
    require_enforcement: Enforcement = field(default="full", validator=checks.one_of(*get_args(Enforcement)))


@attrs.frozen
class LimitSettings:
    """How much may be in hand at once, and for how long (bytes, frames, seconds)."""

    max_header_bytes: int = field(default=65_536, validator=checks.whole(4096, 16 * MIB))
    max_stream_frame_bytes: int = field(default=8 * MIB, validator=checks.whole(1024, 64 * MIB))
    mailbox_capacity: int = field(default=100, validator=capacity)
    mailbox_bytes: int = field(default=0, validator=checks.whole(0, 1024 * MIB))
    max_reply_bytes: int = field(default=MIB, validator=checks.whole(0, 64 * MIB))
    snapshot_bytes: int = field(default=16 * MIB, validator=checks.whole(0, 1024 * MIB))
    event_queue: int = field(default=1000, validator=checks.whole(1, 1_000_000))
    dispatch_timeout_s: float = field(default=5.0, validator=checks.seconds)
    drain_timeout_s: float = field(default=5.0, validator=checks.seconds)
    wall_time_s: float = field(default=5.0, validator=wall_time)
    log_lines_per_s: int = field(default=100, validator=checks.whole(0, 1_000_000))
    dead_letters: int = field(default=1000, validator=checks.whole(0, 100_000))
    dead_letter_bytes: int = field(default=8 * MIB, validator=checks.whole(0, 64 * MIB))
    durability: Durability = field(default="memory", validator=checks.one_of(*get_args(Durability)))

    def __attrs_post_init__(self) -> None:
        """Refuse mailboxes that the largest header would never fit into."""
        if 0 < self.mailbox_bytes < self.max_header_bytes:
            reason = f"must be 0 or at least max_header_bytes ({self.max_header_bytes:,}), not {self.mailbox_bytes:,}"
            raise ConfigError("LimitSettings", [Fault("mailbox_bytes", reason)])

    def mailbox_bytes_for(self, frames: int) -> int:
        """The size in bytes of a mailbox of ``frames`` frames: as configured, or 4 KiB each within 1 to 64 MiB.

        Never less than ``max_header_bytes``, so that every valid frame fits into an empty mailbox.
        """
        return self.mailbox_bytes or max(min(max(frames * 4096, MIB), 64 * MIB), self.max_header_bytes)


@attrs.frozen
class SupervisionSettings:
    """How often a plugin may be restarted or break its bounds within a window, and the pauses between (seconds)."""

    max_restarts: int = field(default=5, validator=max_restarts)
    within_s: float = field(default=60.0, validator=restart_window)
    backoff_initial_s: float = field(default=0.1, validator=checks.seconds)
    backoff_max_s: float = field(default=30.0, validator=checks.seconds)
    jitter: float = field(default=0.1, validator=checks.number(0, 1))
    max_violations: int = field(default=10, validator=checks.whole(0, 1_000_000))

    def __attrs_post_init__(self) -> None:
        """Refuse a first pause that is longer than the longest."""
        if self.backoff_initial_s > self.backoff_max_s:
            reason = f"must be at most backoff_max_s ({self.backoff_max_s:g}), not {self.backoff_initial_s:g}"
            raise ConfigError("SupervisionSettings", [Fault("backoff_initial_s", reason)])


@attrs.frozen
class LoggingSettings:
    """How a program that shows the log writes it: as text or JSON lines, from which level on, by logger."""

    format: LogFormat = field(default="text", validator=checks.one_of(*get_args(LogFormat)))
    level: LogLevel = field(default="info", validator=_log_level)
    levels: dict[str, LogLevel] = field(factory=dict, validator=checks.table_of(_logger_name, _log_level))


@attrs.frozen
class ServiceSettings:
    """What a system that runs as a service offers besides: addresses are ``host:port``, an empty text is off."""

    metrics: str = field(default="", validator=_address_or_empty)
    dashboard: str = field(default="", validator=_address_or_empty)
    dashboard_token_file: str = field(default="", validator=checks.absolute_path_or_empty)


@attrs.frozen
class PluginSettings:
    """One plugin to load at the start: its bundle, and what replaces the manifest's values (``None``: nothing)."""

    bundle: str = field(validator=checks.path)
    id: int | None = field(default=None, validator=checks.optional(plugin_id))
    capacity: int | None = field(default=None, validator=checks.optional(capacity))
    capacity_bytes: int | None = field(default=None, validator=checks.optional(capacity_bytes))
    permissions: tuple[str, ...] | None = field(default=None, validator=checks.optional(_permissions))
    config: dict[str, Any] = field(factory=dict, validator=checks.plain_table)
    sandbox: SandboxOverride | None = field(
        default=None, validator=checks.optional(checks.instance_of(SandboxOverride))
    )
    require_handshake: bool | None = field(default=None, validator=checks.optional(checks.flag))
    instances: int | None = field(default=None, validator=checks.optional(instances))
    durability: Durability | None = field(default=None, validator=checks.optional(checks.one_of(*get_args(Durability))))


@attrs.frozen
class Settings:
    """Everything that one system is configured with."""

    system: SystemSettings = field(factory=SystemSettings, validator=checks.instance_of(SystemSettings))
    limits: LimitSettings = field(factory=LimitSettings, validator=checks.instance_of(LimitSettings))
    supervision: SupervisionSettings = field(
        factory=SupervisionSettings, validator=checks.instance_of(SupervisionSettings)
    )
    ceiling: Ceiling = field(factory=Ceiling, validator=checks.instance_of(Ceiling))
    logging: LoggingSettings = field(factory=LoggingSettings, validator=checks.instance_of(LoggingSettings))
    service: ServiceSettings = field(factory=ServiceSettings, validator=checks.instance_of(ServiceSettings))
    frame_types: dict[str, FrameTypeSettings] = field(factory=dict, validator=frame_types)
    plugins: tuple[PluginSettings, ...] = field(default=(), validator=checks.each(checks.instance_of(PluginSettings)))

    def __attrs_post_init__(self) -> None:
        """Refuse two plugins with the same id."""
        if faults := list(shared_ids(enumerate(self.plugins))):
            raise ConfigError("Settings", faults)


def shared_ids(plugins: Iterable[tuple[int, PluginSettings]]) -> Iterator[Fault]:
    """A fault for each plugin, given with its number, that has the id of an earlier one."""
    seen: dict[int, int] = {}
    for number, plugin in plugins:
        if plugin.id is not None and (first := seen.setdefault(plugin.id, number)) != number:
            yield Fault(f"plugins[{number}].id", f"must be its own, not {plugin.id} of plugins[{first}]")
