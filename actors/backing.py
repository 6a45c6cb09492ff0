"""What a plugin system stands on: actors in a host process of its own, in this process, or those of a service."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import attrs
import cattrs

from .. import __version__
from ..config.errors import StartupError
from ..config.settings import Settings
from ..plugins.errors import ServiceNotRunning
from . import messages as m
from . import runtime_dir
from .endpoint import Endpoint
from .launch import HostProcess, StopReport, check_state_dir, make_runtime_dir
from .service_file import Service, find
from .state_lock import StateLock
from .transports import sockets
from .trees import remove


class Backing(Protocol):
    """Running actors, and how to reach and to end them."""

    settings: Settings
    endpoint: Endpoint
    host_pid: int
    owned: bool
    """Whether the actors end with the system that stands on them."""

    def watch(self, on_end: Callable[[str], None]) -> None:
        """Call ``on_end(reason)`` when the actors have ended by themselves."""

    def end(self) -> StopReport:
        """End the processes, or leave them to their owner. Idempotent; call it before the session's end."""

    def release(self) -> None:
        """Remove what is left, after the session's end. Idempotent."""


def own(settings: Settings, transport: str | None = None, state_dir: str | Path | None = None) -> Backing:
    """Start actors as the settings say, but for what is not ``None`` here. Raises :class:`StartupError`."""
    changes: dict[str, Any] = {}
    if transport is not None:
        changes["transport"] = transport
    if state_dir is not None:
        changes["state_dir"] = str(state_dir)
    settings = attrs.evolve(settings, system=attrs.evolve(settings.system, **changes)) if changes else settings
    return OwnActors(settings) if settings.system.transport == "inline" else OwnHost(settings)


class OwnHost:
    """Actors in processes that descend from a host process started here."""

    owned = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.host = HostProcess(settings)
        self.host_pid = self.host.pid
        self.endpoint: Endpoint = sockets.Endpoint(self.host.runtime_dir, self.host.key, self.host.supervisor)

    def watch(self, on_end: Callable[[str], None]) -> None:
        """Call ``on_end(reason)`` once the host has ended."""
        self.host.watch(on_end)

    def describe(self, settings: Settings, started_at: float) -> Service:
        """What other programs of the same user have to know; ``settings`` are those in force."""
        host = self.host
        return Service(
            __version__,
            os.getpid(),
            host.pid,
            str(host.runtime_dir),
            host.key,
            host.supervisor,
            started_at,
            cattrs.unstructure(attrs.evolve(settings, plugins=())),
        )

    def end(self) -> StopReport:
        """End the host and all that descends from it."""
        return self.host.end(self.settings.system.stop_timeout_s)

    def release(self) -> None:
        """Nothing is left."""


class OwnActors:
    """Actors in this process, on transport ``inline``."""

    owned = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.host_pid = os.getpid()
        state_dir = check_state_dir(settings)
        self._runtime: Path | None = make_runtime_dir(settings)
        self._lock = runtime_dir.hold(self._runtime)
        self._state_lock: StateLock | None = None
        try:
            self._boot(state_dir)
        except BaseException:
            self.release()
            raise

    def _boot(self, state_dir: str | None) -> None:
        # All the actors' code, which an application whose actors run elsewhere does not need.
        from .supervisor import Supervisor
        from .transports import inline

        if state_dir is not None:
            self._state_lock = StateLock(state_dir)
        self.endpoint: Endpoint = inline.Endpoint(Supervisor)
        answers: list[Any] = []
        self.endpoint.start(answers.append, lambda _: None)
        boot = m.Boot(self.settings, str(self._runtime), state_dir, os.getpid())
        self.endpoint.send(self.endpoint.supervisor, boot)
        for answer in answers:
            if isinstance(answer, m.BootFailed):
                self.endpoint.close()
                raise StartupError(answer.reason)

    def watch(self, on_end: Callable[[str], None]) -> None:
        """They end with this process only."""

    def end(self) -> StopReport:
        """They end when the session closes its endpoint."""
        return StopReport()

    def release(self) -> None:
        """Remove the runtime directory, and leave the state directory to others."""
        if self._state_lock is not None:
            self._state_lock.release()
            self._state_lock = None
        if self._runtime is not None:
            remove(self._runtime)
            os.close(self._lock)
            self._runtime = None


class ServedActors:
    """The actors of a service that runs in a process of its own."""

    owned = False

    def __init__(self, path: Path) -> None:
        service = find(path)
        _check_version(service)
        self.service = service
        self.settings = service.structured_settings()
        self.host_pid = service.host_pid
        try:
            self._ended = os.pidfd_open(service.host_pid)
        except ProcessLookupError:
            raise ServiceNotRunning(str(path)) from None
        self._quit = os.pipe2(os.O_CLOEXEC)
        self._watcher: threading.Thread | None = None
        self.endpoint: Endpoint = sockets.Endpoint(Path(service.runtime_dir), service.key, service.supervisor)

    def watch(self, on_end: Callable[[str], None]) -> None:
        """Call ``on_end(reason)`` once the service's host has ended, from a thread of its own."""
        self._watcher = threading.Thread(target=self._watch, args=(on_end,), name="nyx-plugins-service", daemon=True)
        self._watcher.start()

    def end(self) -> StopReport:
        """Leave them running."""
        return StopReport()

    def release(self) -> None:
        """Stop watching."""
        if self._ended < 0:
            return
        os.close(self._quit[1])
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(5.0)
        os.close(self._quit[0])
        os.close(self._ended)
        self._ended = -1

    def _watch(self, on_end: Callable[[str], None]) -> None:
        ready, _, _ = select.select([self._ended, self._quit[0]], [], [])
        if self._ended in ready:
            on_end("the service ended")


def _check_version(service: Service) -> None:
    """Messages are objects of this package: only the same version understands them."""
    if service.version != __version__:
        raise StartupError(
            f"the service (process {service.pid}) runs version {service.version}, and this is {__version__}:"
            " use the service's version, or restart the service with this one"
        )
