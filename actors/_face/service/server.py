"""A plugin system as a service: in the foreground until a signal ends it, open to programs of the same user."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

import attrs

from ..actors.events import EVENTS, LOG, Event, EventKind
from ..actors.launch import StopReport
from ..actors.service_file import Claim, service_dir
from ..actors.subscription import Subscription
from ..actors.system import PluginSystem
from ..config.errors import NyxPluginError, StartupError
from ..config.settings import Settings
from . import logs
from .configured import ConfiguredPlugins
from .notify import Notifier
from .reload import compare_settings, in_force
from .token import read_token

_log = logging.getLogger("nyx_plugins.service")
_events = logging.getLogger("nyx_plugins.events")

EXIT_STOPPED = 0
EXIT_LEFT = 1
EXIT_ENDED = 3
_ENDS = frozenset({signal.SIGTERM, signal.SIGINT})
# The last is sent by the service to itself, when the system has ended.
_SIGNALS = _ENDS | {signal.SIGHUP, signal.SIGUSR1}
_IDLE_S = 3600.0
_GRAVE = frozenset(
    {
        *(EventKind.CRASHED, EventKind.FAILED, EventKind.VIOLATION, EventKind.SWAP_FAILED),
        *(EventKind.ACTOR_ENDED, EventKind.SET_ASIDE, EventKind.SYSTEM_FAILED),
    }
)


class Server:
    """One service. ``read`` returns the settings, and is called again at SIGHUP. Use it in the main thread."""

    def __init__(self, read: Callable[[], Settings]) -> None:
        self._read = read
        self._settings = read()
        self._notifier = Notifier()
        self._extras: list[str] = []
        self._claim: Claim
        self._system: PluginSystem
        self._plugins: ConfiguredPlugins
        self._busy = threading.Lock()
        self._ended = False

    def run(self) -> int:
        """Serve until SIGTERM, SIGINT or the system's own end, and return the exit code.

        Raises :class:`ServiceRunning`, :class:`StartupError` and what else keeps it from starting.
        """
        if self._settings.system.transport != "unix":
            raise StartupError("a service needs processes of its own: transport 'unix', not 'inline'")
        with contextlib.ExitStack() as stack:
            # Blocked for all threads that are started from here on; what arrives meanwhile waits.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
            # What still waits then is to end nothing.
            stack.callback(_ignore, _SIGNALS - _ENDS)
            logs.configure(self._settings.logging, sys.stderr)
            self._claim = Claim(service_dir(self._settings.system.runtime_dir))
            stack.callback(self._claim.release)
            return self._serve(stack)

    def _serve(self, stack: contextlib.ExitStack) -> int:
        settings = self._settings
        system = attrs.evolve(settings.system, runtime_dir=str(self._claim.path))
        self._system = PluginSystem(attrs.evolve(settings, system=system), streams=(EVENTS, LOG), sends=False)
        stack.callback(self._system.close, 0.0)
        self._plugins = ConfiguredPlugins(self._system)
        self._start_thread(self._log_events, self._system.subscribe())
        self._serve_metrics(stack)
        self._serve_dashboard(stack)
        self._system.publish(self._claim)
        self._start_thread(self._load_configured)
        self._wait()
        return self._stop()

    # Starting.

    def _start_thread(self, target: Callable[..., None], *args: object) -> None:
        threading.Thread(target=target, args=args, name=f"nyx-plugins{target.__name__}", daemon=True).start()

    def _serve_metrics(self, stack: contextlib.ExitStack) -> None:
        address = self._settings.service.metrics
        if address:
            from .metrics import serve_metrics

            endpoint = stack.enter_context(contextlib.closing(serve_metrics(address, self._system)))
            self._extras.append(f"metrics at {endpoint.place.url}/metrics")

    def _serve_dashboard(self, stack: contextlib.ExitStack) -> None:
        service = self._settings.service
        if service.dashboard:
            from .dashboard import serve_dashboard

            token = read_token(service.dashboard_token_file) if service.dashboard_token_file else None
            page = stack.enter_context(contextlib.closing(serve_dashboard(service.dashboard, self._system, token)))
            self._extras.append(f"dashboard at {page.place.url}/ ({'read-only' if token is None else 'with a token'})")

    def _load_configured(self) -> None:
        with self._busy, contextlib.suppress(NyxPluginError):
            # While it goes on, the service can be stopped: then there is nothing to say any more.
            self._plugins.load(self._settings.plugins)
            count = self._system.loaded_plugin_count()
            status = f"{count} {'plugin' if count == 1 else 'plugins'} loaded"
            where = ", ".join([f"serving in {self._claim.path}", *self._extras])
            _log.info("%s as process %d: %s", where, os.getpid(), status)
            self._notifier.ready(status)

    def _log_events(self, notices: Subscription) -> None:
        for notice in notices:
            if isinstance(notice, Event):
                level = logging.WARNING if notice.kind in _GRAVE else logging.INFO
                reason = f": {notice.reason}" if notice.reason else ""
                about = {"plugin_id": notice.plugin_id, "event": str(notice.kind)}
                _events.log(level, "%s%s", notice.kind, reason, extra=about)
        self._ended = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    # Serving.

    def _wait(self) -> None:
        while not self._ended:
            found = signal.sigtimedwait(_SIGNALS, self._notifier.watchdog_s or _IDLE_S)
            if found is None:
                self._prove_life()
            elif found.si_signo == signal.SIGHUP:
                self._start_thread(self._reload)
            elif found.si_signo in _ENDS:
                return

    def _prove_life(self) -> None:
        with contextlib.suppress(NyxPluginError):
            self._system.dispatch_stats()
            self._notifier.alive()

    def _reload(self) -> None:
        with self._busy:
            self._notifier.reloading()
            try:
                self._apply(self._read())
            except NyxPluginError as error:
                _log.error("the configuration stays as it was: %s", error)
            except Exception as error:
                # A mistake of ours: whoever asked for this waits for its end, and can ask again.
                _log.error("the configuration was read again in part: %s: %s", type(error).__name__, error)
            self._notifier.ready("configuration read again")

    def _apply(self, new: Settings) -> None:
        changes = compare_settings(self._settings, new)
        logs.configure(new.logging, sys.stderr)
        self._system.reconfigure(new)
        self._system.publish(self._claim)
        _log.info("configuration read again: in force now: %s", ", ".join(changes.at_once) or "nothing new")
        if changes.for_new_plugins:
            _log.info("for plugins that are loaded from now on: %s", ", ".join(changes.for_new_plugins))
        if changes.after_restart:
            _log.warning("after a restart of the service only: %s", ", ".join(changes.after_restart))
        self._settings = in_force(self._settings, new)
        self._plugins.follow(new.plugins)

    # Stopping.

    def _stop(self) -> int:
        stopped = self._system.stopped
        if stopped is not None:
            _log.error("the plugin system has ended by itself: %s", stopped.reason)
        else:
            _log.info("stopping: frames in hand get up to %g s; a second signal ends it at once", self._drain_s)
        self._notifier.stopping()
        for number in _ENDS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        report = self._system.close()
        self._claim.report_stop({**attrs.asdict(report), "reason": "" if stopped is None else stopped.reason})
        _log.info("stopped: %s", in_words(report))
        if stopped is not None:
            return EXIT_ENDED
        return EXIT_LEFT if report.left else EXIT_STOPPED

    @property
    def _drain_s(self) -> float:
        return self._settings.limits.drain_timeout_s


def _ignore(numbers: frozenset[signal.Signals]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def in_words(report: StopReport) -> str:
    """Say what was stopped, killed and left."""
    plugins = ", ".join(map(str, report.unloaded)) or "none"
    lost = f"; frames dead-lettered: {report.dead_lettered:,}" if report.dead_lettered else ""
    killed = ", ".join(report.killed) or "nothing"
    left = ", ".join(map(str, report.left)) or "nothing"
    return f"plugins unloaded: {plugins}{lost}; killed: {killed}; left: {left}"
