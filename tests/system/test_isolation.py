"""Separate actors: every one its own process, with no file, no network port and no secret in common."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.actors.processes import children
from nyx_plugins.config.settings import Settings, SystemSettings

IDS = (1, 1003, 1002)
SECRET = "correct-horse-battery-staple"  # the value is not a secret, but stands for one
TALLY = "/memfd:thespian-tally"


@pytest.fixture(scope="module")
def base(short_folder: Callable[[], Path]) -> Path:
    """Return the directory for everything of the system under test."""
    return short_folder()


@pytest.fixture(scope="module")
def running(base: Path, census: Callable[..., Any]) -> Iterator[PluginSystem]:
    """Run a system with three plugins, one of which has been restarted, started by a program that knows a secret."""
    settings = Settings(system=SystemSettings(runtime_dir=str(base / "run"), state_dir=str(base / "state")))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_PASSWORD", SECRET)
        system = PluginSystem(settings)
    with system:
        system.load(prying_plugin(base / "prying"))
        system.load("builtin:kv")
        system.load("builtin:echo")
        with system.subscribe() as events:
            os.kill(census(system).worker(1003), signal.SIGKILL)
            assert any(str(event.kind) == "restarted" for event in iter(lambda: events.get(30.0), None))
        census(system).await_loaders()
        yield system


def prying_plugin(bundle: Path) -> Path:
    """Make a bundle of the plugin that tells what a worker can see."""
    bundle.mkdir()
    shutil.copy(Path(__file__).parent.parent / "faults" / "prying_plugin.py", bundle / "plugin.py")
    (bundle / "plugin.toml").write_text(
        'id = 1\nname = "prying"\nversion = "1.0.0"\napi_version = 1\nentry_point = "plugin:Fault"\n'
        'permissions = ["data_access"]\n'
    )
    return bundle


def test_every_actor_and_every_worker_is_a_process_of_its_own(
    running: PluginSystem, census: Callable[..., Any]
) -> None:
    """Application, host, Supervisor, Registry, guard, dispatcher, plugin actors and workers all have distinct pids."""
    who = census(running)
    pairs = [pid for plugin_id in IDS for pid in (who.plugin_actor(plugin_id), who.worker(plugin_id))]
    everyone = [os.getpid(), *who.permanent, *pairs]
    assert len(set(everyone)) == len(everyone) == 1 + 8 + 6
    assert set(who.plugin_actors) == {who.plugin_actor(plugin_id) for plugin_id in IDS}
    assert all(os.getsid(who.worker(plugin_id)) == who.worker(plugin_id) for plugin_id in IDS)


def test_no_actor_serves_another_ones_plugin(running: PluginSystem, census: Callable[..., Any]) -> None:
    """Each plugin actor shares a page with one worker, its own, and all of these are children of the nursery."""
    who = census(running)
    workers = [who.worker(plugin_id) for plugin_id in IDS]
    assert sorted(children(who.nursery)) == sorted(workers)
    assert not any(children(who.plugin_actor(plugin_id)) for plugin_id in IDS)


def test_no_regular_file_is_open_in_two_processes(running: PluginSystem, census: Callable[..., Any]) -> None:
    """Nor mapped to share it: the exception is a plugin's mark page, shared by its plugin actor and its own worker."""
    who = census(running)
    files = {pid: open_files(pid) for pid in who.everyone}
    files[os.getpid()] = open_files(os.getpid()) - standard_output()
    shared = {
        (one, other): files[one] & files[other]
        for one, other in itertools.combinations(files, 2)
        if files[one] & files[other]
    }
    pairs = {frozenset((who.plugin_actor(plugin_id), who.worker(plugin_id))) for plugin_id in IDS}
    assert {frozenset(pair) for pair in shared} == pairs
    assert {Path(path).name for paths in shared.values() for path in paths} == {"mark-0"}
    mailboxes = [path for pid in who.plugin_actors for path in files[pid] if path.endswith("/mailbox-0-data")]
    assert len(set(mailboxes)) == len(mailboxes) == len(IDS)


def test_a_connections_counters_are_shared_by_its_two_ends_only(
    running: PluginSystem, census: Callable[..., Any]
) -> None:
    """The pages on which the transport counts what was taken have no name, and no worker has one."""
    who = census(running)
    holders: dict[str, set[int]] = {}
    for pid in [os.getpid(), *who.everyone]:
        for inode, path in shared_maps(pid):
            if path.startswith(TALLY):
                holders.setdefault(inode, set()).add(pid)
    assert len(holders) >= 6
    assert max(map(len, holders.values())) == 2
    assert not set().union(*holders.values()) & {who.worker(plugin_id) for plugin_id in IDS}


def open_files(pid: int) -> set[str]:
    """List the regular files that a process has open, or mapped for writing so that others see it."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if stat.S_ISREG(fd.stat().st_mode):
                found.add(os.readlink(fd))
        except FileNotFoundError:
            continue
    return found | {path for _, path in shared_maps(pid) if not path.startswith(TALLY)}


def shared_maps(pid: int) -> Iterator[tuple[str, str]]:
    """Yield inode and path of what a process has mapped for writing so that others see it."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        _, permissions, _, _, inode, *path = line.split(maxsplit=5)
        if permissions[1] == "w" and permissions[3] == "s" and inode != "0":
            yield inode, path[0]


def standard_output() -> set[str]:
    """Say where this test run's own output goes."""
    return {os.readlink(f"/proc/self/fd/{fd}") for fd in (1, 2)}


def test_a_worker_has_the_sockets_and_pipes_of_its_own_actor_only(
    running: PluginSystem, census: Callable[..., Any]
) -> None:
    """Whatever descriptor a worker has is its socket, the pipe for its output, or /dev/null."""
    who = census(running)
    for plugin_id in IDS:
        links = [os.readlink(fd) for fd in Path(f"/proc/{who.worker(plugin_id)}/fd").iterdir()]
        kinds = sorted({re.sub(r"\d+", "N", link) for link in links})
        assert kinds == ["/dev/null", "pipe:[N]", "socket:[N]"]
        assert len(links) == 4


def test_a_worker_has_neither_thespian_nor_actors_loaded(running: PluginSystem) -> None:
    """What shares a process with plugin code is the SDK and the worker's own modules."""
    modules = cbor2.loads(running.request(0x52, PluginHeader(1, 0, b"modules")) or b"")
    assert "nyx_plugins.plugins.worker.main" in modules
    assert [name for name in modules if re.match(r"thespian|nyx_plugins\.actors|attrs?\b|cattrs", name)] == []


def test_no_process_has_a_network_socket(running: PluginSystem, census: Callable[..., Any]) -> None:
    """Neither an actor nor a worker: all their sockets are Unix-domain ones."""
    network = set(network_sockets())
    for pid in census(running).everyone:
        if pid != running.host_pid:
            assert sockets(pid)
        assert sockets(pid) & network == set()


def test_the_application_gets_no_network_socket(make_system: Callable[..., PluginSystem], transport: str) -> None:
    """Its end of a system consists of Unix-domain sockets, if any."""
    before = sockets(os.getpid())
    make_system().load("builtin:echo")
    added = sockets(os.getpid()) - before
    assert bool(added) == (transport == "unix")
    assert added & set(network_sockets()) == set()


def test_a_network_socket_would_be_seen() -> None:
    """The test above looks in the right place."""
    with socket.socket() as bound, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagram:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        datagram.bind(("::1", 0))
        wanted = {os.fstat(bound.fileno()).st_ino, os.fstat(datagram.fileno()).st_ino}
        assert wanted <= sockets(os.getpid()) & set(network_sockets())


def sockets(pid: int) -> set[int]:
    """List the inodes of a process's sockets."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(fd))
        except FileNotFoundError:
            continue
        if match:
            found.add(int(match[1]))
    return found


def network_sockets() -> Iterator[int]:
    """Yield the inode of every socket of this machine that has to do with a network."""
    for protocol in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6", "packet"):
        path = Path("/proc/net", protocol)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            yield int(fields[8 if protocol == "packet" else 9])


def test_all_files_are_private_to_the_owner(running: PluginSystem, base: Path) -> None:
    """The runtime directory, the state directory and what is in them: 0700 and 0600, whatever the umask.

    The copies of bundles are read-only besides: 0500 and 0400.
    """
    [runtime] = (base / "run").iterdir()
    paths = [runtime, *runtime.rglob("*"), base / "state", *(base / "state").rglob("*")]
    assert len(paths) > 15
    modes = {str(path): stat.S_IMODE(path.lstat().st_mode) for path in paths}
    copies = {str(path) for copy in runtime.glob("plugins/*/bundle") for path in (copy, *copy.rglob("*"))}
    assert len(copies) >= 6
    assert {path: oct(modes[path]) for path in copies if modes[path] not in (0o500, 0o400)} == {}
    assert {path: oct(mode) for path, mode in modes.items() if path not in copies and mode not in (0o700, 0o600)} == {}
    assert {path.lstat().st_uid for path in paths} == {os.getuid()}
    assert sum(stat.S_ISSOCK(path.lstat().st_mode) for path in paths) >= 9


def test_secrets_of_the_applications_environment_reach_no_process(
    running: PluginSystem, census: Callable[..., Any]
) -> None:
    """Neither a worker nor an actor has it: not in its environment, and not on its command line."""
    names = cbor2.loads(running.request(0x52, PluginHeader(1, 0, b"environment")) or b"")
    fixed = {"PATH", "LANG", "OPENBLAS_NUM_THREADS", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    assert set(names) == fixed
    for pid in census(running).everyone:
        for what in ("environ", "cmdline"):
            assert SECRET.encode() not in Path(f"/proc/{pid}/{what}").read_bytes()
