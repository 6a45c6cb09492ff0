"""Registry, guard and dispatcher are killed: they come back with what they knew, and whatever was asked is answered."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PermissionDenied, PluginHeader, PluginSystem, SystemStopped
from nyx_plugins.actors.events import Event
from nyx_plugins.actors.subscription import Subscription
from nyx_plugins.config.settings import Settings, SupervisionSettings, SystemSettings

pytestmark = pytest.mark.needs_worker(reason="there is nobody to kill where all is in one process")

DATA, CONTROL = 0x52, 0x53
ECHO, KV = 1002, 1003
LIMIT_S = 60.0
ROLES = ("dispatcher", "guard", "registry")
OFTEN = SupervisionSettings(max_restarts=1000, backoff_max_s=0.1)
KILLED = [*[(role,) for role in ROLES], *itertools.permutations(ROLES, 2)]


@pytest.fixture
def kill(census: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that kills essential actors and waits until they are there again."""

    def kill(system: PluginSystem, roles: Iterable[str], events: Subscription) -> None:
        who, left = census(system), dict.fromkeys(roles)
        for role in left:
            os.kill(getattr(who, role), signal.SIGKILL)
        for event in of_system(events):
            if event.kind == "actor_restarted":
                left = {role: None for role in left if role not in event.reason}
            if not left:
                return
        pytest.fail(f"not restarted: {list(left)}")

    return kill


def of_system(events: Subscription) -> Iterator[Event]:
    """Yield what concerns no plugin."""
    while (event := events.get(LIMIT_S)) is not None:
        if isinstance(event, Event) and event.plugin_id is None:
            yield event


def header(plugin_id: int, data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


@pytest.mark.parametrize("roles", KILLED, ids="-".join)
def test_all_goes_on_after_the_end_of_essential_actors(
    roles: tuple[str, ...], lend: Callable[[Settings], PluginSystem], kill: Callable[..., None]
) -> None:
    """What was loaded, granted and revoked before stands; everything works as before."""
    system = lend(Settings(supervision=OFTEN))
    system.load("builtin:echo")
    system.load("builtin:kv")
    system.revoke(ECHO, "control")
    system.grant(KV, "control")
    system.pause(KV)
    with system.subscribe() as events:
        kill(system, roles, events)
    rows = {info.plugin_id: info for info in system.plugins()}
    assert (rows[ECHO].state, rows[KV].state) == ("ready", "paused")
    assert "control" not in rows[ECHO].permissions and "control" in rows[KV].permissions
    assert system.request(DATA, header(ECHO, b"on"), timeout=LIMIT_S) == b"on"
    with pytest.raises(PermissionDenied):
        system.dispatch(CONTROL, header(ECHO, b"x"))
    system.resume(KV)
    system.unload(ECHO)
    assert system.loaded_plugins() == [KV]
    system.load("builtin:echo")
    assert system.request(DATA, header(ECHO, b"again"), timeout=LIMIT_S) == b"again"


@pytest.mark.parametrize("roles", KILLED, ids="-".join)
def test_all_calls_are_answered_while_essential_actors_end(
    roles: tuple[str, ...], make_system: Callable[..., PluginSystem], kill: Callable[..., None], ends: Any, census: Any
) -> None:
    """Whatever is under way when they end comes to its end, and nothing is left of it."""
    system = make_system(Settings(supervision=OFTEN))
    calls: list[Callable[[], object]] = [
        lambda: system.load("builtin:echo"),
        lambda: system.revoke(ECHO, "data_access"),
        lambda: system.grant(ECHO, "data_access"),
        lambda: system.pause(ECHO),
        lambda: system.resume(ECHO),
        lambda: system.request(DATA, header(ECHO, b"x"), timeout=LIMIT_S),
        lambda: system.plugin_stats(ECHO),
        lambda: system.unload(ECHO),
    ]
    with system.subscribe() as events, ThreadPoolExecutor(1) as pool:
        for call in [*calls, *calls]:
            work = pool.submit(call)
            kill(system, roles, events)
            work.result()
    assert system.plugins() == []
    everyone = ends(census(system).everyone)
    system.close()
    assert everyone.still_there(0.0) == []


def test_a_revoked_permission_does_not_come_back_with_a_new_dispatcher(
    lend: Callable[[Settings], PluginSystem], kill: Callable[..., None]
) -> None:
    """The dispatcher is told by the registry what is in force before it takes a single frame."""
    system = lend(Settings(supervision=OFTEN))
    system.load("builtin:echo")
    with system.subscribe() as events:
        for _ in range(5):
            system.revoke(ECHO, "data_access")
            kill(system, ["dispatcher"], events)
            with pytest.raises(PermissionDenied):
                system.dispatch(DATA, header(ECHO), timeout=LIMIT_S)
            system.grant(ECHO, "data_access")
            assert system.request(DATA, header(ECHO, b"x"), timeout=LIMIT_S) == b"x"


def test_quarantine_outlives_the_guard(
    make_system: Callable[..., PluginSystem],
    fault: Callable[..., Path],
    kill: Callable[..., None],
    wait_event: Callable[..., Any],
) -> None:
    """What the guard has counted counts for the next one, and who is in quarantine stays there until it is reset."""
    settings = Settings(supervision=SupervisionSettings(max_restarts=1000, backoff_max_s=0.1, max_violations=1))
    system = make_system(settings)
    system.load(fault("plugin_that_scribbles_on_its_socket"))
    garbage = header(1, b"!" + bytes(4))
    with system.subscribe() as events:
        system.dispatch(DATA, garbage)
        wait_event(events, "restarted", 1)
        kill(system, ["guard"], events)
        system.dispatch(DATA, garbage)
        wait_event(events, "quarantined", 1)
        kill(system, ["guard"], events)
        assert system.plugin_info(1).state == "quarantined"
        system.reset(1)
        assert system.request(DATA, header(1, b"well"), timeout=LIMIT_S) == b"well"


def test_a_damaged_registry_is_set_aside_and_told_again_what_is_loaded(
    make_system: Callable[..., PluginSystem], kill: Callable[..., None], census: Callable[..., Any], tmp_path: Path
) -> None:
    """Plugins go on with the permissions that they had; what was at rest is in the file that was renamed."""
    state = tmp_path / "state"
    system = make_system(Settings(supervision=OFTEN, system=SystemSettings(state_dir=str(state))))
    system.load("builtin:echo")
    system.revoke(ECHO, "control")
    with system.subscribe() as events:
        os.kill(census(system).registry, signal.SIGSTOP)
        (state / "registry.sqlite").write_bytes(b"nonsense" * 5000)
        for name in ("registry.sqlite-wal", "registry.sqlite-shm"):
            (state / name).unlink(missing_ok=True)
        os.kill(census(system).registry, signal.SIGKILL)
        kinds = [event.kind for event in itertools.islice(of_system(events), 3)]
    assert kinds == ["actor_ended", "set_aside", "actor_restarted"]
    assert len(list(state.glob("registry.sqlite.damaged-*Z"))) == 1
    [info] = system.plugins()
    assert (info.plugin_id, info.state) == (ECHO, "ready")
    assert "control" not in info.permissions
    assert system.request(DATA, header(ECHO, b"on"), timeout=LIMIT_S) == b"on"
    system.unload(ECHO)
    assert system.plugins() == []


@pytest.mark.parametrize("role", ROLES)
def test_past_its_intensity_an_essential_actor_stops_the_system_in_order(
    role: str, make_system: Callable[..., PluginSystem], census: Callable[..., Any], ends: Callable[..., Any]
) -> None:
    """Everybody is told who ended and how often; each decision was an event; no process is left."""
    system = make_system(Settings(supervision=SupervisionSettings(max_restarts=1, within_s=3600)))
    system.load("builtin:echo")
    system.pause(ECHO)
    pending = system.dispatch(DATA, header(ECHO))
    who = census(system)
    everyone = ends([pid for pid in who.everyone if pid != getattr(who, role)])
    with system.subscribe() as events:
        os.kill(getattr(who, role), signal.SIGKILL)
        ended, again = itertools.islice(of_system(events), 2)
        os.kill(getattr(census(system), role), signal.SIGKILL)
        failed = next(of_system(events))
    reason = f"its {role} ended: restarted 1 times within 3600 s"
    assert [str(event.kind) for event in (ended, again, failed)] == ["actor_ended", "actor_restarted", "system_failed"]
    assert (ended.reason, again.reason) == (
        f"the {role} ended: it is started again at once",
        f"the {role} is there again",
    )
    assert failed.reason == reason
    with pytest.raises(SystemStopped, match=reason):
        pending.outcome(LIMIT_S)
    assert everyone.still_there(LIMIT_S) == []
    with pytest.raises(SystemStopped, match=reason):
        system.dispatch(DATA, header(ECHO))


def test_the_registry_of_a_run_without_a_state_directory_is_a_file_too(
    make_system: Callable[..., PluginSystem], runtime_base: Path
) -> None:
    """It lies in the runtime directory, and goes with it."""
    system = make_system(Settings())
    system.load("builtin:echo")
    # Asking is behind what the registry was told.
    assert system.plugin_info(ECHO).state == "ready"
    [path] = runtime_base.glob("*/registry.sqlite")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        assert database.execute("SELECT plugin_id, state FROM plugins").fetchall() == [(ECHO, "ready")]
    database.close()
