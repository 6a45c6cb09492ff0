"""For tests of running systems: who is who among the processes; waiting for their ends, for events, for log lines."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import select
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.actors.processes import children, descendants, parent, process_name
from nyx_plugins.actors.subscription import Subscription
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import LimitSettings, Settings, SupervisionSettings, SystemSettings

ESSENTIAL = ("Dispatcher", "Guard", "Registry")
LOADER, REMOVER = "nyx-Loader", "nyx-Remover"
_ids = itertools.count(5000)


class Census:
    """The processes of one system, told apart by their places in the tree and by their names."""

    def __init__(self, host: int) -> None:
        self.host = host
        [self.admin] = [pid for pid in children(host) if children(pid)]
        [self.supervisor] = [pid for pid in children(self.admin) if process_name(pid) == "nyx-Supervisor"]
        [self.logger] = [pid for pid in children(self.admin) if pid != self.supervisor]
        roles = {process_name(pid): pid for pid in children(self.supervisor)}
        self.dispatcher, self.guard, self.registry = (roles[f"nyx-{role}"] for role in ESSENTIAL)
        self.nursery = _nursery_of(self.supervisor)

    @property
    def _essential(self) -> list[int]:
        return [self.dispatcher, self.guard, self.registry, self.nursery]

    @property
    def permanent(self) -> list[int]:
        """The processes of a system in which no plugin is loaded."""
        return [self.host, self.admin, self.logger, self.supervisor, *self._essential]

    @property
    def plugin_actors(self) -> list[int]:
        """The plugin actors, in the order in which they were started."""
        return [pid for pid in self._others if process_name(pid) not in (LOADER, REMOVER)]

    @property
    def loaders(self) -> list[int]:
        """The loaders that are at work, or about to end."""
        return [pid for pid in self._others if process_name(pid) == LOADER]

    def await_loaders(self) -> None:
        """Wait until no loader is there any more: each is about to end once its bundles are read."""
        while loaders := self.loaders:
            with Ends(loaders) as ends:
                assert ends.still_there(30.0) == []

    @property
    def _others(self) -> list[int]:
        return [pid for pid in children(self.supervisor) if pid not in self._essential]

    @property
    def everyone(self) -> list[int]:
        """All processes of the system, from the host down."""
        return [self.host, *descendants(self.host)]

    def plugin_actor(self, plugin_id: int) -> int:
        """The actor of the plugin whose manifest has this id."""
        return next(pid for pid in self.plugin_actors if _id_in_manifest(pid) == plugin_id)

    def worker(self, plugin_id: int) -> int:
        """The worker of the plugin whose manifest has this id."""
        [worker] = workers_of(self.plugin_actor(plugin_id))
        return worker


def workers_of(plugin_actor: int) -> list[int]:
    """The workers of a plugin actor, whoever has started them: each shares a page with it."""
    pages = {path for path in _open_files(plugin_actor) if os.path.basename(path).startswith("mark-")}
    children_of_nursery = [pid for one in children(parent(plugin_actor)) if _is_nursery(one) for pid in children(one)]
    return [pid for pid in (*children_of_nursery, *children(plugin_actor)) if pages & _mapped_files(pid)]


def _nursery_of(supervisor: int) -> int:
    """Find it; one that has been exec'ed a moment ago has no arguments yet."""
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        if found := [pid for pid in children(supervisor) if _is_nursery(pid)]:
            return found[0]
    pytest.fail("there is no nursery")


def _is_nursery(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"nursery" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def _open_files(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            found.add(os.readlink(fd))
    return found


def _mapped_files(pid: int) -> set[str]:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        return {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
    return set()


def _id_in_manifest(plugin_actor: int) -> int | None:
    """Read the id beside the mailbox that a plugin actor has open."""
    with contextlib.suppress(OSError):
        for path in map(Path, _open_files(plugin_actor)):
            if path.name == "mailbox-0-data":
                return int(tomllib.loads((path.parent / "bundle" / "plugin.toml").read_text())["id"])
    return None


class Ends:
    """Processes that are expected to end; watched from now on, so that nobody else's id can be mistaken for theirs."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._watched: dict[int, int] = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self._watched[os.pidfd_open(pid)] = pid

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._watched:
            os.close(fd)

    def still_there(self, timeout: float) -> list[int]:
        """Wait until all have ended; returns those that have not within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        left = dict(self._watched)
        while left:
            ended, _, _ = select.select(list(left), [], [], max(0.0, deadline - time.monotonic()))
            if not ended:
                break
            for fd in ended:
                del left[fd]
        return sorted(left.values())


class PluginLog(logging.Handler):
    """What plugins log and print, as it arrives at the application."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._lines.put(f"[plugin {getattr(record, 'plugin_id', None)}] {record.getMessage()}")

    def wait_for(self, text: str, timeout: float = 30.0) -> list[str]:
        """Return the lines up to the first that holds ``text``."""
        deadline = time.monotonic() + timeout
        lines: list[str] = []
        while not lines or text not in lines[-1]:
            try:
                lines.append(self._lines.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                pytest.fail(f"no line with {text!r} within {timeout:g} s, only {lines}")
        return lines


@pytest.fixture(scope="module")
def shared(short_folder: Callable[[], Path]) -> Iterator[PluginSystem]:
    """Run one system for all tests of a file that need no settings of their own, with a healthy plugin (1002) in it.

    Its backoff is so long that whoever is back within seconds was started again at once.
    """
    settings = Settings(
        system=SystemSettings(runtime_dir=str(short_folder())),
        limits=LimitSettings(mailbox_capacity=2000, wall_time_s=60.0),
        supervision=SupervisionSettings(backoff_initial_s=30.0, backoff_max_s=30.0),
        ceiling=Ceiling(write_paths=(tempfile.gettempdir(),), subprocesses=True),
    )
    with PluginSystem(settings) as system:
        system.load("builtin:echo")
        yield system


@pytest.fixture(scope="session")
def census() -> Callable[[PluginSystem], Census]:
    """Return a function that tells the processes of a system apart."""
    return lambda system: Census(system.host_pid)


@pytest.fixture
def ends() -> Iterator[Callable[[Iterable[int]], Ends]]:
    """Return a function that watches processes for their ends."""
    with contextlib.ExitStack() as stack:
        yield lambda pids: stack.enter_context(Ends(pids))


@pytest.fixture
def plugin_log() -> Iterator[PluginLog]:
    """Return the log of all plugins, from now on."""
    logger, handler = logging.getLogger("nyx_plugins.plugin"), PluginLog()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def plugin_id() -> int:
    """Return a plugin id that no other test uses, for systems that several tests share."""
    return next(_ids)


@pytest.fixture
def wait_event() -> Callable[..., list[object]]:
    """Return a function that reads a subscription until a kind of event of one plugin has come.

    It returns the plugin's events, without those of a load that was before the first of interest.
    """

    def wait(subscription: Subscription, kind: str, plugin_id: int, timeout: float = 30.0) -> list[object]:
        deadline = time.monotonic() + timeout
        seen: list[object] = []
        while (notice := subscription.get(max(0.0, deadline - time.monotonic()))) is not None:
            if getattr(notice, "plugin_id", None) != plugin_id or not hasattr(notice, "kind"):
                continue
            seen.append(notice)
            if notice.kind == kind:
                return [event for event in seen if event.kind not in ("loaded", "ready") or event.kind == kind]
        pytest.fail(f"no event {kind!r} of plugin {plugin_id} within {timeout:g} s, only {seen}")

    return wait
