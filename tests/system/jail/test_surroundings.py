"""What a plugin finds of the system around it, in a real one: nothing that it could use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem, Settings
from nyx_plugins.config.settings import SystemSettings

pytestmark = pytest.mark.needs_worker(reason="there is no jail in the application's process")
SECRET = "battery-horse-" + "staple-correct"  # no secret, but stands for one; in two parts, for there is only one of it


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of everything."""
    return tmp_path_factory.mktemp("surroundings")


@pytest.fixture(scope="module")
def running(base: Path) -> Iterator[PluginSystem]:
    """Run a system with two plugins, started by a program whose environment has a secret."""
    settings = Settings(system=SystemSettings(runtime_dir=str(base / "run"), state_dir=str(base / "state")))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_PASSWORD", SECRET)
        system = PluginSystem(settings)
    with system:
        for plugin_id in (1, 2):
            system.load(executing_plugin(base / f"plugin-{plugin_id}", plugin_id))
        yield system


def executing_plugin(bundle: Path, plugin_id: int) -> Path:
    """Make a bundle of the plugin that runs what it is told."""
    bundle.mkdir()
    (bundle / "plugin.py").write_text((Path(__file__).parents[2] / "faults" / "executing_plugin.py").read_text())
    (bundle / "plugin.toml").write_text(
        f'id = {plugin_id}\nname = "executing-{plugin_id}"\nversion = "1.0.0"\napi_version = 1\n'
        'entry_point = "plugin:Fault"\npermissions = ["data_access"]\n[sandbox]\nscratch_bytes = 1048576\n'
    )
    return bundle


@pytest.fixture
def run(running: PluginSystem) -> Callable[[str], Any]:
    """Return what lets plugin 1 run code; gives its reply, or the reason why there is none."""

    def told(code: str) -> Any:
        outcome = running.dispatch(0x52, PluginHeader(1, 0, code.encode()), timeout=30.0).outcome(60.0)
        return outcome.reply if outcome.reply is not None else outcome.reason

    return told


def test_no_file_of_the_system_can_be_opened(run: Callable[[str], Any], base: Path) -> None:
    """Neither the ring files nor the page, neither logs nor locks nor the registry's database, nor another's bundle."""
    paths = [path for path in (*(base / "run").rglob("*"), *(base / "state").rglob("*")) if path.is_file()]
    own = run("result = ctx.scratch").decode().rpartition("/")[0]
    others = [path for path in paths if not str(path).startswith(f"{own}/bundle/")]
    assert {path.name for path in others} >= {"mailbox-0-data", "mark-0", "plugin.py"}
    for path in others:
        for mode in ("rb", "r+b"):
            assert "SandboxViolation" in run(f"open({str(path)!r}, {mode!r})")


def test_its_own_bundle_is_read_only(run: Callable[[str], Any]) -> None:
    """A plugin can read its code, and neither change it nor add to it."""
    assert run("import plugin; result = len(open(plugin.__file__).read()) > 9") == b"True"
    assert "SandboxViolation: write to" in run("import plugin; open(plugin.__file__, 'a')")
    assert "SandboxViolation: write to" in run("import plugin; open(plugin.__file__ + '.new', 'w')")


def test_no_socket_of_an_actor_can_be_reached(run: Callable[[str], Any], base: Path) -> None:
    """A plugin that knows the paths of all sockets gets to none of them."""
    sockets = [path for path in (base / "run").rglob("*") if path.is_socket()]
    assert len(sockets) >= 5
    for path in sockets:
        code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r})"
        assert run(code).startswith("SandboxViolation: socket denied by policy")


def test_no_process_of_the_system_can_be_disturbed(run: Callable[[str], Any], running: PluginSystem) -> None:
    """Signals to the host, to its plugin actor and to the other plugin's processes are refused."""
    pids = [running.host_pid, os.getpid()]
    for plugin_id in (1, 2):
        stats = running.plugin_stats(plugin_id)
        pids += [stats.actor_pid, *([stats.worker_pid] if plugin_id == 2 and stats.worker_pid else [])]
    assert len(set(pids)) == 5
    for pid in pids:
        assert run(f"import os; os.kill({pid}, 0)").startswith("SandboxViolation: signal to process")
        assert "SandboxViolation" in run(f"open('/proc/{pid}/mem', 'r+b')")


def test_the_applications_secrets_are_not_in_a_workers_memory(running: PluginSystem) -> None:
    """Whatever is mapped into a worker, the secret of the program that started all is not in it."""
    worker = running.plugin_stats(1).worker_pid
    found = looked_at = 0
    with open(f"/proc/{worker}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{worker}/maps").read_text().splitlines():
            begin, end = (int(number, 16) for number in line.split()[0].split("-"))
            try:
                memory.seek(begin)
                piece = memory.read(end - begin)
            except (OSError, OverflowError, ValueError):
                continue
            looked_at += len(piece)
            found += SECRET.encode() in piece
    assert looked_at > 1_000_000
    assert found == 0


def test_the_jail_is_what_the_kernel_says_it_is(running: PluginSystem) -> None:
    """The kernel's own view of a worker: a filter, no new privileges, no capability of any kind."""
    worker = running.plugin_stats(1).worker_pid
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["SigBlk"] == "0" * 16
    assert status["Umask"] == "0077"
