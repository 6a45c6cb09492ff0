"""A plugin on trial: loaded into a system of its own and driven frame by frame, with all that it says kept.

The fixtures for authors and ``nyx-plugins check`` are built on it.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import attrs

from .actors.events import Emitted, Event, EventKind, Notice, PluginStats
from .actors.log_lines import PLUGINS
from .actors.receipt import Outcome
from .actors.subscription import Subscription
from .actors.swap_report import SwapReport
from .actors.system import PluginInfo, PluginSystem
from .config.errors import NyxPluginError
from .config.sandbox import Ceiling, SandboxRequest
from .config.settings import Durability, Settings
from .plugins.bundle import read_manifest
from .plugins.errors import PluginFailed
from .plugins.permissions import known_permissions
from .plugins.wire import FrameType, PluginHeader
from .stubs import Replies, stub_config, write_stub

Kind = TypeVar("Kind", Emitted, Event)

KEPT = 10_000
"""How many log lines, emitted frames and events are kept of one trial; beyond, the oldest go."""
LOST = "lost: they came faster than they could be taken, or there were too many of them to keep"
# One answer of the system to go by may have overtaken what it is to bring along: see PluginUnderTest._settle.
_QUIET_ROUNDS = 3
_MOST_ROUNDS = 100
_UNLOADED_WITHIN_S = 5.0


@attrs.frozen
class LogLine:
    """What a plugin logged or printed; ``level`` is one of :mod:`logging`."""

    level: int
    text: str

    @property
    def level_name(self) -> str:
        """The level in words, such as ``WARNING``."""
        return logging.getLevelName(self.level)


class LogBook(logging.Handler):
    """Keeps the lines of every plugin, whatever their level, from :meth:`open` until :meth:`close`."""

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger(PLUGINS)
        self._former_level = self._logger.level
        self._lines: deque[tuple[int, LogLine]] = deque(maxlen=KEPT)
        self.written = 0
        """How many lines there were so far."""

    def open(self) -> None:
        """Begin to keep lines."""
        self._former_level = self._logger.level
        self._logger.setLevel(logging.DEBUG)
        self._logger.addHandler(self)

    def close(self) -> None:
        """Keep no more lines; those that are kept can still be read. Idempotent."""
        if self in self._logger.handlers:
            self._logger.removeHandler(self)
            self._logger.setLevel(self._former_level)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what a plugin has said."""
        plugin_id: int | None = getattr(record, "plugin_id", None)
        if plugin_id is not None:
            self._lines.append((plugin_id, LogLine(record.levelno, record.getMessage())))
            self.written += 1

    def lines(self, plugin_id: int) -> list[LogLine]:
        """Return what this plugin has said, oldest first."""
        return [line for owner, line in list(self._lines) if owner == plugin_id]


class Workbench:
    """A system for trials, started when the first bundle is loaded; use it as a context manager, or :meth:`close` it.

    Without ``settings`` the first bundle may have whatever its manifest asks for.
    """

    def __init__(self, settings: Settings | str | Path | None = None, *, transport: str | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._system: PluginSystem | None = None
        self._log = LogBook()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.companions: dict[str, PluginUnderTest] = {}
        """What was loaded with :meth:`stub` and :meth:`companion`, by name."""

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def start(self, bundle: str | Path) -> PluginSystem:
        """Start the system for this bundle, unless it runs already, and return it."""
        if self._system is None:
            settings = settings_for(bundle) if self._settings is None else self._settings
            self._system = PluginSystem(settings, transport=self._transport)
            self._log.open()
        return self._system

    def load(
        self,
        bundle: str | Path,
        *,
        plugin_id: int | None = None,
        capacity: int | None = None,
        capacity_bytes: int | None = None,
        permissions: Iterable[str] | None = None,
        config: Mapping[str, Any] | None = None,
        require_handshake: bool | None = None,
        durability: Durability | None = None,
    ) -> PluginUnderTest:
        """Load a bundle; takes and raises what :meth:`PluginSystem.load` does."""
        system = self.start(bundle)
        notices = system.subscribe(KEPT)
        try:
            info = system.load(
                bundle,
                plugin_id=plugin_id,
                capacity=capacity,
                capacity_bytes=capacity_bytes,
                permissions=permissions,
                config=config,
                require_handshake=require_handshake,
                durability=durability,
            )
        except BaseException:
            notices.close()
            raise
        return PluginUnderTest(system, info, self._log, notices, bundle, self.companions)

    def companion(self, bundle: str | Path) -> PluginUnderTest:
        """Load a plugin on which another one depends."""
        plugin = self.load(bundle)
        self.companions[plugin.info.name] = plugin
        return plugin

    def stub(self, name: str, replies: Replies, version: str = "1.0.0") -> PluginUnderTest:
        """Load a plugin that stands for one on which another depends.

        It replies as ``replies`` says, and nothing to other data; ``emitted`` has what it was sent. Raises
        :class:`TypeError` for replies that are none.
        """
        config = stub_config(replies)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="nyx-stubs-")
        self.companions[name] = self.load(write_stub(Path(self._folder.name), name, version), config=config)
        return self.companions[name]

    def logs(self, plugin_id: int) -> list[LogLine]:
        """Return what a plugin has said, one that could not be loaded too; complete once the bench is closed."""
        return self._log.lines(plugin_id)

    def close(self, timeout: float = 1.0) -> None:
        """Stop the system; frames in hand may take ``timeout`` seconds more. Idempotent."""
        if self._system is not None:
            self._system.close(timeout)
        self._log.close()
        if self._folder is not None:
            self._folder.cleanup()


class PluginUnderTest:
    """A loaded plugin: send it frames, then look at what it has replied, emitted and logged."""

    def __init__(
        self,
        system: PluginSystem,
        info: PluginInfo,
        log: LogBook,
        notices: Subscription,
        bundle: str | Path,
        companions: Mapping[str, PluginUnderTest] | None = None,
    ) -> None:
        self.system = system
        """The system that it runs in."""
        self.info = info
        """What it was when it was loaded or swapped last: id, name, version, digest, permissions, policy."""
        self.companions = {} if companions is None else companions
        """The plugins that were loaded for it, stubs and others, by name."""
        self._bundle = bundle
        self._log = log
        self._notices = notices
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._taken = self._forgotten = self._told_lost = 0

    def __repr__(self) -> str:
        return f"<PluginUnderTest {self.info.name} {self.info.version}, id {self.info.plugin_id}>"

    @property
    def plugin_id(self) -> int:
        """The id that frames are sent to."""
        return self.info.plugin_id

    def send(
        self, data: bytes = b"", frame_type: int = FrameType.DATA, *, flags: int = 0, timeout: float | None = None
    ) -> Outcome:
        """Send a frame and return its outcome, good or bad, within ``timeout`` seconds (``None``: long enough).

        Raises what refuses the frame: see :meth:`PluginSystem.dispatch`.
        """
        receipt = self.system.dispatch(frame_type, self._header(data, flags), timeout)
        return receipt.outcome(self.patience_s if timeout is None else timeout)

    def request(
        self, data: bytes = b"", frame_type: int = FrameType.DATA, *, flags: int = 0, timeout: float | None = None
    ) -> bytes | None:
        """Send a frame and return the handler's reply; raises :class:`PluginFailed` when it raised or crashed."""
        patience = self.patience_s if timeout is None else timeout
        return self.system.request(frame_type, self._header(data, flags), patience)

    @property
    def emitted(self) -> list[Emitted]:
        """The frames that it has emitted so far, oldest first.

        Where some were :attr:`lost` on the way, a :class:`UserWarning` says how many.
        """
        found = self.seen(Emitted)
        if self.lost > self._told_lost:
            self._told_lost = self.lost
            warnings.warn(f"{self.lost:,} notices, such as emitted frames, were {LOST}", stacklevel=2)
        return found

    @property
    def lost(self) -> int:
        """How many emitted frames and events, of all plugins of its system, were lost on the way to here so far."""
        return self._notices.dropped + self._forgotten

    @property
    def events(self) -> list[Event]:
        """What has happened to it so far, oldest first."""
        return self.seen(Event)

    def seen(self, kind: type[Kind]) -> list[Kind]:
        """Return what there is so far of one kind of notices, oldest first."""
        self._settle()
        return [item for item in self._kept if isinstance(item, kind)]

    @property
    def logs(self) -> list[LogLine]:
        """The lines that it has logged so far, oldest first. What it printed may be a moment late in a worker."""
        self._settle()
        return self._log.lines(self.plugin_id)

    @property
    def stats(self) -> PluginStats:
        """Its counters."""
        return self.system.plugin_stats(self.plugin_id)

    @property
    def patience_s(self) -> float:
        """How long a frame may take at the most: its wall time and what the system may need besides."""
        policy, settings = self.info.policy, self.system.settings
        wall_time_s = settings.limits.wall_time_s if policy is None else policy.wall_time_s
        return wall_time_s + settings.limits.dispatch_timeout_s

    def swap(
        self, bundle: str | Path | None = None, *, allow_widen: bool = True, timeout: float | None = None
    ) -> SwapReport:
        """Put another version in its place, by default the same bundle, as it is now; see :meth:`PluginSystem.swap`."""
        place = self._bundle if bundle is None else bundle
        report = self.system.swap(self.plugin_id, place, allow_widen=allow_widen, timeout=timeout)
        self.info = self.system.plugin_info(self.plugin_id)
        return report

    def unload(self, timeout: float | None = None) -> None:
        """Unload it; raises :class:`PluginFailed` when ``on_unload`` raised or did not end in time."""
        self.system.unload(self.plugin_id, timeout)
        if last_words := self._last_words():
            raise PluginFailed(self.plugin_id, last_words, "unload")

    def _header(self, data: bytes, flags: int) -> PluginHeader:
        return PluginHeader(self.plugin_id, flags, data)

    def _last_words(self) -> str:
        while (notice := self._notices.get(_UNLOADED_WITHIN_S)) is not None:
            self._keep(notice)
            if isinstance(notice, Event) and (notice.plugin_id, notice.kind) == (self.plugin_id, EventKind.UNLOADED):
                return notice.reason
        return ""

    def _settle(self) -> None:
        """Take in what was said before now.

        A plugin actor sends on what waits at it when the last message is confirmed. That goes out before the next
        question is asked, so an answer or two later all is here; a plugin that never stops talking is not waited for.
        """
        quiet = 0
        for _ in range(_MOST_ROUNDS):
            seen = self._taken + self._log.written
            with contextlib.suppress(NyxPluginError):
                self.system.plugin_stats(self.plugin_id)
            self._take()
            quiet = quiet + 1 if seen == self._taken + self._log.written else 0
            if quiet == _QUIET_ROUNDS:
                return

    def _take(self) -> None:
        while (notice := self._notices.get(timeout=0)) is not None:
            self._keep(notice)

    def _keep(self, notice: Notice) -> None:
        if notice.plugin_id == self.plugin_id:
            self._forgotten += len(self._kept) == KEPT
            self._kept.append(notice)
            self._taken += 1


def settings_for(bundle: str | Path, settings: Settings | None = None) -> Settings:
    """Return ``settings`` with a ceiling under which the bundle gets what its manifest asks for.

    Raises :class:`BundleError` and :class:`ManifestError`.
    """
    base = settings or Settings()
    manifest = read_manifest(bundle, known_permissions(base.frame_types))
    return attrs.evolve(base, ceiling=_raised(base.ceiling, manifest.sandbox))


def _raised(ceiling: Ceiling, request: SandboxRequest) -> Ceiling:
    """Add what is asked for; a limit that is not asked for stays."""
    return attrs.evolve(
        ceiling,
        read_paths=ceiling.read_paths + request.read_paths,
        write_paths=ceiling.write_paths + request.write_paths,
        network=ceiling.network + request.network,
        memory_bytes=None if request.memory_bytes else ceiling.memory_bytes,
        cpu_seconds=None if request.cpu_seconds else ceiling.cpu_seconds,
        wall_time_s=max(ceiling.wall_time_s, request.wall_time_s or 0),
        open_files=max(ceiling.open_files, request.open_files or 0),
        environment=ceiling.environment + request.environment,
        subprocesses=ceiling.subprocesses or request.subprocesses,
        threads=max(ceiling.threads, request.threads or 0),
        scratch_bytes=max(ceiling.scratch_bytes, request.scratch_bytes),
        packages=ceiling.packages + request.packages,
    )
