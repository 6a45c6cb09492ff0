"""Fixtures for everyone: systems on each transport, broken plugins by name, and a check that no process is left."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import hypothesis
import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.actors.launch import HostProcess
from nyx_plugins.actors.processes import LOOKS, await_ends, become_subreaper, descendants, reap, watch_ends
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import Settings

from .ready_hosts import ReadyHosts

FAULTS = Path(__file__).parent / "faults"
# What faults need of their jail. Each test has a directory of its own below this one.
_TEMPORARY = tempfile.gettempdir()
_NEEDS = {"plugin_that_forks": "subprocesses = true"}
_CEILING = Ceiling(read_paths=(_TEMPORARY,), write_paths=(_TEMPORARY,), subprocesses=True)
TRANSPORTS = ("unix", "inline")

# A shell that starts the tests in the background lets them ignore SIGINT, and programs that they start would do so too.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that uses a system on both transports; those marked ``needs_worker`` where there is a worker."""
    if "transport" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("needs_worker")
        if marker is not None and not marker.kwargs.get("reason"):
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: needs_worker wants a reason")
        metafunc.parametrize("transport", TRANSPORTS[:1] if marker else TRANSPORTS)


@pytest.fixture(scope="session", autouse=True)
def no_process_survives() -> Iterator[None]:
    """Fail the run if a process that a test started is still there at the end, however it hides."""
    become_subreaper()
    before = set(descendants(os.getpid()))
    yield
    for _ in range(LOOKS):
        reap()
        left = [pid for pid in descendants(os.getpid()) if pid not in before]
        # Who is about to end is waited for, and so is the parent who has to take note of it.
        if not left or await_ends(watch_ends(left), 30.0):
            break
    assert not left, f"processes left behind: {[Path(f'/proc/{pid}/cmdline').read_bytes() for pid in left]}"


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Callable[[], Path]]:
    """Return a function that makes folders with short paths, as sockets need them; they are gone after the run."""
    with ExitStack() as stack:
        yield lambda: Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nyx")))


@pytest.fixture(scope="session", autouse=True)
def ready_hosts(no_process_survives: None) -> Iterator[None]:
    """Let systems start faster: their hosts are forked from a process that has imported what they need."""
    hosts = ReadyHosts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HostProcess, "_start", hosts.starter(HostProcess._start))
        yield
    hosts.end()


@pytest.fixture
def runtime_base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory in which all runtime directories of this test lie: its path is short, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="nyx") as base:
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        yield Path(base)


@pytest.fixture
def make_system(transport: str, runtime_base: Path) -> Iterator[Callable[..., PluginSystem]]:
    """Return a factory of systems on the transport under test; all are closed at the end, and must leave no file."""
    systems: list[PluginSystem] = []

    def make(settings: Settings | None = None, **options: Any) -> PluginSystem:
        system = PluginSystem(settings or Settings(ceiling=_CEILING), **{"transport": transport, **options})
        systems.append(system)
        return system

    yield make
    for system in systems:
        system.close(timeout=1.0)
    assert list(runtime_base.iterdir()) == []


@pytest.fixture
def system(make_system: Callable[..., PluginSystem]) -> PluginSystem:
    """Return a running system with default settings."""
    return make_system()


class Lender:
    """Systems that the tests of a file use one after the other: to start one takes longer than most tests.

    There is one for each of the settings that are asked for, in a directory of its own.
    """

    def __init__(self, make_folder: Callable[[], Path]) -> None:
        self._make_folder = make_folder
        self._lent: list[tuple[Settings, str, PluginSystem]] = []

    def lend(self, settings: Settings, transport: str) -> PluginSystem:
        """Return a running system without plugins."""
        for known, where, system in self._lent:
            if (known, where) == (settings, transport):
                return system
        place = attrs.evolve(settings.system, runtime_dir=str(self._make_folder()), transport=transport)
        self._lent.append((settings, transport, PluginSystem(attrs.evolve(settings, system=place))))
        return self._lent[-1][-1]

    def clear(self) -> None:
        """Unload all that the last test has loaded, and see that nothing is left of it."""
        try:
            for _, _, system in self._lent:
                while left := system.plugins():
                    system.unload(left[0].plugin_id, timeout=0, cascade=True)
                assert [*base_of(system).glob("*/plugins/*")] == []
        except Exception:
            self.close()  # what one test has broken is not for the next
            raise

    def close(self) -> None:
        """End all, and see that no file is left."""
        lent, self._lent = self._lent, []
        for _, _, system in lent:
            system.close(timeout=1.0)
        assert [path for _, _, system in lent for path in base_of(system).iterdir()] == []


def base_of(system: PluginSystem) -> Path:
    """Return the directory in which a lent system has its runtime directory."""
    return Path(system.settings.system.runtime_dir or "")


@pytest.fixture(scope="module")
def lender(short_folder: Callable[[], Path]) -> Iterator[Lender]:
    """Return what lends systems to the tests of one file."""
    lender = Lender(short_folder)
    yield lender
    lender.close()


@pytest.fixture
def lend(lender: Lender, transport: str) -> Iterator[Callable[[Settings], PluginSystem]]:
    """Return a function that lends a running system; what the test loads is unloaded. Who ends it, makes its own."""
    yield lambda settings: lender.lend(settings, transport)
    lender.clear()


@pytest.fixture
def lent(lend: Callable[[Settings], PluginSystem]) -> PluginSystem:
    """Return a running system with default settings, which tests before may have used and the next ones will use."""
    return lend(Settings(ceiling=_CEILING))


@pytest.fixture
def fault(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a bundle of ``tests/faults/NAME.py``, with extra lines in manifest and sandbox."""

    def make(name: str, manifest: str = "", plugin_id: int = 1, sandbox: str = "") -> Path:
        needs = sandbox or _NEEDS.get(name, "")
        if needs.partition(" = ")[0] in manifest:
            needs = ""
        bundle = tmp_path / f"{name}-{plugin_id}"
        bundle.mkdir()
        (bundle / "plugin.py").write_text((FAULTS / f"{name}.py").read_text())
        (bundle / "plugin.toml").write_text(
            f'id = {plugin_id}\nname = "{name}"\nversion = "1.0.0"\napi_version = 1\n'
            'entry_point = "plugin:Fault"\n'
            f'permissions = ["handshake", "data_access", "control", "error_reporting"]\n{manifest}'
            f"{'' if '[sandbox]' in manifest else '[sandbox]'}\n{needs}\n"
        )
        return bundle

    return make


def header(plugin_id: int, data: bytes = b"", flags: int = 0) -> bytes:
    """Encode a header; for tests that say little about it."""
    return PluginHeader(plugin_id, flags, data).encode()
