"""``Stage``: the system that is put under load, a private one or one that runs already, with its plugins loaded."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs

from nyx_plugins import AlreadyLoaded, NyxPluginError, PluginNotRegistered, PluginSystem
from nyx_plugins.actors.service_file import Claim, service_dir
from nyx_plugins.config.errors import Fault
from nyx_plugins.config.settings import PluginSettings
from nyx_plugins.service.sampler import AT_REST

from .bundles import Bundles
from .contradictions import frame_faults
from .errors import ScenarioError
from .scenario import Scenario
from .scene import Show, Silence
from .scratch import scratch

UNLOAD_S = 5.0
CALLERS = 16


@attrs.frozen
class Place:
    """One plugin: its group, its number in there from 1 on, and its id."""

    group: str
    number: int
    id: int
    label: str
    """What it is called in a result."""


class Stage:
    """A system with the plugins of a scenario."""

    def __init__(
        self, system: PluginSystem, service: Path, folder: Path, bundles: Bundles, places: tuple[Place, ...]
    ) -> None:
        self.system, self.service, self.folder = system, service, folder
        self.places, self.bundles = places, bundles
        self._others = frozenset(info.plugin_id for info in system.plugins() if info.state != AT_REST)
        """Loaded by somebody else, who wants to keep them."""
        self.load_s = 0.0
        """How long it took until all plugins were ready."""

    def place(self, group: str, number: int) -> tuple[Place, ...]:
        """Return one plugin of a group, or all of them for number 0."""
        return tuple(place for place in self.places if place.group == group and number in (0, place.number))

    def load(self, places: tuple[Place, ...]) -> None:
        """Load these plugins, all at once; raises the first error."""
        begun = time.monotonic()
        wanted = [self.settings(place) for place in places]
        for result in self.system.load_many(wanted):
            if isinstance(result, NyxPluginError):
                raise result
        self.load_s = time.monotonic() - begun

    def settings(self, place: Place) -> PluginSettings:
        """Say how a plugin is loaded."""
        return self.bundles.settings(place.group, place.id)

    def clear(self) -> float:
        """Unload those of these plugins that were loaded here; returns how long it took, in seconds."""
        begun = time.monotonic()
        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(self._unload, [place for place in self.places if place.id not in self._others]))
        return time.monotonic() - begun

    def _unload(self, place: Place) -> None:
        with contextlib.suppress(PluginNotRegistered):
            self.system.unload(place.id, UNLOAD_S)


def places_of(scenario: Scenario) -> tuple[Place, ...]:
    """Return all plugins of a scenario, with ids that count on."""
    places: list[Place] = []
    alone = len(scenario.plugins) == 1
    for name, group in scenario.plugins.items():
        for number in range(1, group.count + 1):
            plugin_id = scenario.first_id + len(places)
            places.append(Place(name, number, group.id or plugin_id, str(number) if alone else f"{name} {number}"))
    return tuple(places)


def runtime_base() -> Path:
    """Return where a program that embeds a system would have its files."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())


@contextmanager
def staged(
    scenario: Scenario, base: Path, connect: Path | None, show: Show | None = None, *, sends: bool = False
) -> Iterator[Stage]:
    """Start a system, or connect to the one in ``connect``, and load the plugins; all is gone afterwards.

    ``sends`` says that frames are sent through the stage's own connection: otherwise all room in mailboxes is left to
    clients until one is sent all the same. Raises what hinders a start: any :class:`NyxPluginError`.
    """
    show = show or Silence()
    reached = _connected(connect, sends) if connect is not None else _own(scenario, sends)
    with scratch("nyx-load-") as folder, reached as (system, service, runtime):
        _refuse_long_frames(scenario, system)
        show.phase("loading plugins")
        stage = Stage(system, service, runtime, Bundles(scenario, folder, base), places_of(scenario))
        try:
            with _free_ids(scenario):
                stage.load(tuple(p for p in stage.places if scenario.plugins[p.group].loaded))
            yield stage
        finally:
            with contextlib.suppress(NyxPluginError):
                if connect is not None:
                    stage.clear()


@contextmanager
def _free_ids(scenario: Scenario) -> Iterator[None]:
    """Say what can be done where a service has a plugin of the same id, of its own or left by a run that was killed."""
    try:
        yield
    except AlreadyLoaded as error:
        key, advice = "first_id", "unload it (nyx-plugins unload), or begin with another: --set first_id=80001"
        raise ScenarioError(scenario.name, [Fault(key, f"{error}: {advice}")]) from error


def _refuse_long_frames(scenario: Scenario, system: PluginSystem) -> None:
    """A system that runs already has a limit of its own, and would refuse each of them."""
    if faults := list(frame_faults(scenario, system.settings.limits.max_header_bytes)):
        raise ScenarioError(scenario.name, faults)


@contextmanager
def _connected(path: Path, sends: bool) -> Iterator[tuple[PluginSystem, Path, Path]]:
    with PluginSystem.connect(path, streams=(), sends=sends) as system:
        yield system, service_dir(path), service_dir(path)


@contextmanager
def _own(scenario: Scenario, sends: bool) -> Iterator[tuple[PluginSystem, Path, Path]]:
    """Start a system of our own, which clients find as they would find a service."""
    with scratch("nl-", runtime_base()) as home:
        settings = scenario.system_settings()
        settings = attrs.evolve(settings, system=attrs.evolve(settings.system, runtime_dir=str(home)))
        claim = Claim(home / "service")
        try:
            with PluginSystem(settings, streams=(), sends=sends) as system:
                system.publish(claim)
                yield system, claim.path, home
        finally:
            claim.release()
