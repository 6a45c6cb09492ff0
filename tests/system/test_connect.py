"""Programs that connect to a system that another one runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from nyx_plugins import (
    DispatchTimeout,
    Emitted,
    Event,
    EventKind,
    FrameType,
    PluginHeader,
    PluginSystem,
    Receipt,
    ServiceNotRunning,
    ServiceRunning,
    Settings,
    StartupError,
    StopReport,
    SystemStopped,
)
from nyx_plugins.actors.service_file import Claim, Service, find, service_dir
from nyx_plugins.config.settings import LimitSettings

pytestmark = pytest.mark.needs_worker(reason="an inline system can't be connected to")

HOLDER = """
import sys
from nyx_plugins import PluginSystem
system = PluginSystem.connect(sys.argv[1])
for _ in range(int(sys.argv[2])):
    system.dispatch(0x52, bytes.fromhex(sys.argv[3]))
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(runtime_base: Path) -> Path:
    """Return the directory of the service under test."""
    return runtime_base / "nyx-plugins"


@pytest.fixture
def claim(place: Path) -> Iterator[Claim]:
    """Return the right to be the service of that directory."""
    held = Claim(place)
    yield held
    held.release()
    (place / "service.lock").unlink()
    place.rmdir()


@pytest.fixture
def served(system: PluginSystem, claim: Claim) -> PluginSystem:
    """Return a system that others can connect to."""
    system.publish(claim)
    return system


def data(plugin_id: int, content: bytes) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, content).encode()


def test_a_connected_program_can_do_what_the_owner_can(served: PluginSystem) -> None:
    """Each sees what the other does; closing the connection leaves the system running."""
    with PluginSystem.connect() as other:
        assert other.host_pid == served.host_pid
        assert other.load("builtin:echo").plugin_id == 1002
        # The other's routes follow; asking its dispatcher anything does not wait for them.
        while not served.is_plugin_loaded(1002):
            served.dispatch_stats()
        assert served.request(FrameType.DATA, data(1002, b"x")) == b"x"
        served.revoke(1002, "data_access")
        assert "data_access" not in other.plugin_info(1002).permissions
        other.grant(1002, "data_access")
        assert other.request(FrameType.DATA, data(1002, b"y")) == b"y"
        other.pause(1002)
        other.resume(1002)
        assert other.plugin_stats(1002).processed == 2
        assert other.dispatch_stats().frames_dispatched == 2
        assert other.close() == StopReport()
    assert served.request(FrameType.DATA, data(1002, b"z")) == b"z"
    assert [info.plugin_id for info in served.plugins()] == [1002]


def test_a_connection_has_the_settings_of_the_service(
    make_system: Callable[..., PluginSystem], claim: Claim, place: Path
) -> None:
    """Its limits, but not the plugins' configuration, which is nobody's business."""
    system = make_system(Settings(limits=LimitSettings(dispatch_timeout_s=1.5)))
    system.publish(claim)
    with PluginSystem.connect(place) as other:
        assert other.settings == attrs.evolve(system.settings, plugins=())


def test_a_connection_gets_the_streams_it_asks_for(served: PluginSystem, fault: Callable[..., Path]) -> None:
    """Events and emits by default; one that wants nothing gets nothing."""
    with PluginSystem.connect() as all_of_it, PluginSystem.connect(streams=()) as nothing:
        wanted, unwanted = all_of_it.subscribe(), nothing.subscribe()
        served.load(fault("plugin_that_floods_emits", plugin_id=5))
        while not nothing.is_plugin_loaded(5):
            nothing.dispatch_stats()
        assert nothing.request(FrameType.DATA, data(5, b"1")) == b"done"
        found = [wanted.get(30.0) for _ in range(3)]
        assert Event(EventKind.READY, 5) in found
        assert any(isinstance(notice, Emitted) for notice in found)
        assert unwanted.get(0.0) is None
    with pytest.raises(ValueError, match="unknown stream 'logs': expected some of events, emits, log"):
        PluginSystem.connect(streams=["logs"])


def test_a_killed_client_leaves_nothing_behind(served: PluginSystem, fault: Callable[..., Path], place: Path) -> None:
    """Its credit comes back when its frames are finished, its sockets go, and the system serves the others."""
    served.load("builtin:echo", plugin_id=7, capacity=4)
    sockets = Path(find(place).runtime_dir) / "s"
    client = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place), "4", data(7, b"x").hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with client:
        assert client.stdout is not None and client.stdout.readline() == b"connected\n"
        assert list(sockets.glob(f"{client.pid}-*"))
        client.kill()
    # The supervisor learns of the end by itself, between what it is asked here.
    deadline = time.monotonic() + 30.0
    while list(sockets.glob(f"{client.pid}-*")):
        assert time.monotonic() < deadline
        served.resume(7)
    receipts = [served.dispatch(FrameType.DATA, data(7, b"y"), timeout=30.0) for _ in range(20)]
    assert all(receipt.outcome(30.0) for receipt in receipts)


def test_the_end_of_the_system_is_told_to_every_client(served: PluginSystem) -> None:
    """A stop in order ends connections with its reason, and with it what they wait for."""
    other = PluginSystem.connect()
    subscription = other.subscribe()
    other.load("builtin:echo")
    report = served.close()
    assert (report.unloaded, report.dead_lettered, report.killed, report.left) == ((1002,), 0, (), ())
    assert [notice for notice in subscription if isinstance(notice, Event) and notice.kind is EventKind.UNLOADED]
    with pytest.raises(SystemStopped, match=r"it was stopped|the service ended"):
        other.load("builtin:kv")
    other.close()


def test_the_death_of_the_service_is_told_to_every_client(served: PluginSystem) -> None:
    """Kill -9 of the host ends what a client waits for."""
    other = PluginSystem.connect()
    subscription = other.subscribe()
    os.kill(served.host_pid, signal.SIGKILL)
    assert list(subscription) == []
    with pytest.raises(SystemStopped):
        other.plugins()
    other.close()


def test_nobody_is_there(place: Path) -> None:
    """One sentence, whether the directory is missing, empty, or left behind by a service that was killed."""
    message = f"no service is running in {place}: start one with 'nyx-plugins serve'"
    with pytest.raises(ServiceNotRunning, match=message):
        PluginSystem.connect(place)
    place.mkdir(mode=0o700)
    with pytest.raises(ServiceNotRunning, match=message):
        PluginSystem.connect(place)
    (place / "service.lock").touch()
    (place / "service.json").write_text("{}")
    with pytest.raises(ServiceNotRunning, match=message):
        PluginSystem.connect(place)
    for name in ("service.lock", "service.json"):
        (place / name).unlink()
    place.rmdir()


def test_files_that_cannot_be_written_are_named(claim: Claim, place: Path, tmp_path: Path) -> None:
    """At the start and later; only the last word is left out, since nothing can be done any more."""
    (place / "stopped.json").mkdir()
    claim.report_stop({"reason": ""})
    (place / "stopped.json").rmdir()
    service = Service("1", os.getpid(), os.getpid(), str(place), "", "", 0.0, {})
    (place / "service.json").mkdir()
    with pytest.raises(StartupError, match=f"{place}/service.json can't be written: Is a directory"):
        claim.publish(service)
    (place / "service.json").rmdir()
    assert [path.name for path in place.iterdir()] == ["service.lock"]
    other = tmp_path / "other"
    other.mkdir(0o700)
    os.mkfifo(other / "service.lock")
    with pytest.raises(StartupError, match=f"{other}/service.lock can't be written: Invalid argument"):
        Claim(other)
    with pytest.raises(ServiceNotRunning):
        find(other)


def test_a_second_service_is_refused_with_the_pid_of_the_first(claim: Claim, place: Path) -> None:
    """Two services can't share a directory; when the first has gone the next may have it."""
    with pytest.raises(ServiceRunning, match=f"already running in {place}, as process {os.getpid()}: stop it") as found:
        Claim(place)
    assert found.value.pid == os.getpid()
    claim.release()
    Claim(place).release()


def test_the_directory_has_to_be_private(tmp_path: Path) -> None:
    """What others could write to or read is neither served from nor trusted."""
    tmp_path.chmod(0o755)
    with pytest.raises(StartupError, match=r"no service can run in .*its mode is 0o755: it must be the owner's alone"):
        Claim(tmp_path)
    with pytest.raises(StartupError, match=r"the service of .* can't be used: its mode is 0o755"):
        PluginSystem.connect(tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StartupError, match=r"no service can run in .*: File exists|it is no directory"):
        Claim(file)


def test_what_is_published_is_for_the_owner_only(served: PluginSystem, place: Path) -> None:
    """The key lets in whoever reads it: nobody else can."""
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "service.json").stat().st_mode) == 0o600


def test_another_version_is_refused_in_one_sentence(served: PluginSystem, place: Path) -> None:
    """Messages are objects of one version."""
    content = json.loads((place / "service.json").read_text())
    (place / "service.json").write_text(json.dumps(content | {"version": "0.0.1"}))
    with pytest.raises(StartupError, match=r"runs version 0\.0\.1, and this is .*: use the service's version, or"):
        PluginSystem.connect(place)


def test_an_inline_system_or_a_connection_is_not_published(served: PluginSystem, claim: Claim) -> None:
    """There is nothing to connect to, or it is somebody else's."""
    with PluginSystem.connect() as other, pytest.raises(StartupError, match="only a system with processes of its own"):
        other.publish(claim)


def test_a_claim_is_made_of_a_path_and_published_as_such(runtime_base: Path) -> None:
    """A path may be text; what is no claim is refused before anything is done."""
    claim = Claim(str(runtime_base / "other"))
    assert claim.path == runtime_base / "other"
    claim.release()
    with PluginSystem(transport="inline") as system:
        with pytest.raises(TypeError, match=r"^a claim must be Claim, not PosixPath$"):
            system.publish(claim.path)  # type: ignore[arg-type]
        with pytest.raises(StartupError, match="only a system with processes of its own"):
            system.publish(claim)


def test_where_a_service_lives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As configured, else in the user's runtime directory, never in a shared temporary one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/some/where")
    assert service_dir("relative") == Path.cwd() / "relative"
    assert service_dir() == Path("/some/where/nyx-plugins")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert service_dir() in (Path(f"/run/user/{os.getuid()}/nyx-plugins"), tmp_path / ".local/state/nyx-plugins")


def test_what_is_no_path_is_refused() -> None:
    """The mistake is its maker's."""
    with pytest.raises(TypeError, match="a runtime directory must be a path or None, not int"):
        PluginSystem.connect(5)  # type: ignore[arg-type]


def test_a_stopped_service_is_given_up_in_time(served: PluginSystem) -> None:
    """A service that does not answer (here: its supervisor is stopped) ends the attempt after its timeout."""
    supervisor = int(Path(f"/proc/{served.host_pid}/task/{served.host_pid}/children").read_text().split()[0])
    stopped = [supervisor, *_below(supervisor)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DispatchTimeout, match=r"an answer of the system not within 0\.2 s"):
            PluginSystem.connect(timeout=0.2)
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _below(pid: int) -> list[int]:
    from nyx_plugins.actors.processes import descendants

    return descendants(pid)


def test_others_that_send_nothing_keep_no_room_from_one_that_does(
    make_system: Callable[..., PluginSystem], claim: Claim
) -> None:
    """Frame after frame, one client after the other fills the mailbox of a paused plugin to its capacity."""
    served = make_system(sends=False)
    served.publish(claim)
    served.load("builtin:echo", plugin_id=7, capacity=10)
    served.pause(7)
    with PluginSystem.connect(sends=False):
        for already in (0, 4, 8):
            with PluginSystem.connect() as other:
                frames = [(FrameType.DATA, data(7, b"x"))] * 4
                fitting = min(4, 10 - already)
                results = other.dispatch_many(frames[:fitting], timeout=30.0)
                assert [type(result) for result in results] == [Receipt] * fitting
                results = other.dispatch_many(frames[fitting:], timeout=0.5)
                assert [type(result) for result in results] == [DispatchTimeout] * (4 - fitting)
    assert served.plugin_stats(7).in_mailbox == 10


def test_the_old_service_of_a_directory_that_was_removed_leaves_the_new_one_alone(place: Path) -> None:
    """It touches only what is its own."""
    old = Claim(place)
    (place / "service.lock").unlink()
    place.rmdir()
    new = Claim(place)
    (place / "service.json").write_text("of the new one")
    old.report_stop({})
    old.release()
    assert sorted(path.name for path in place.iterdir()) == ["service.json", "service.lock"]
    new.release()
    (place / "service.lock").unlink()
    place.rmdir()
