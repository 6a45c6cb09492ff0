"""What plugins and the host's processes say, on its way to the application's logging."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginFailed, PluginHeader, PluginSystem

DATA = 0x52

PLUGIN = """
import sys
from nyx_plugins.plugins import Plugin

class Fault(Plugin):
    def on_load(self, ctx):
        for number in range(20):
            ctx.logger.info("load %d", number)
        if ctx.config.get("fail"):
            raise ValueError("no")

    def on_data(self, frame):
        self.ctx.logger.warning("two\\nlines")

    def on_unload(self):
        for number in range(20):
            self.ctx.logger.info("unload %d", number)
        if self.ctx.config.get("prints"):
            print("printed")
            print("without an end", end="", file=sys.stdout)
"""


@pytest.fixture
def talkative(fault: Callable[..., Path]) -> Path:
    """A bundle, id 1, that logs in each phase of its life."""
    bundle = fault("obedient_plugin")
    (bundle / "plugin.py").write_text(PLUGIN)
    return bundle


class Kept(logging.Handler):
    """Keeps records, and holds up whoever logs while the gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.gate = threading.Event()
        self.gate.set()
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)
        self.came.set()
        self.gate.wait(30)

    @property
    def texts(self) -> list[str]:
        """What was said."""
        return [record.getMessage() for record in self.records]


@pytest.fixture
def kept() -> Iterator[Kept]:
    """All that is said to ``nyx_plugins`` and below, from now on."""
    logger, handler = logging.getLogger("nyx_plugins"), Kept()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    handler.gate.set()
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def poison(system: PluginSystem) -> None:
    """Send the supervisor what it can't read, which its process says in Thespian's log."""
    system._session._endpoint.send(system._session._endpoint.supervisor, _Unreadable())


class _Unreadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 / 0",)


def test_all_that_a_plugin_logs_arrives_under_its_name(system: PluginSystem, talkative: Path, kept: Kept) -> None:
    """From its first line in on_load to its last in on_unload, in order, however fast they come."""
    system.load(talkative)
    system.request(DATA, PluginHeader(1, 0, b""))
    system.unload(1)
    system.close()
    said = [record for record in kept.records if record.name == "nyx_plugins.plugin.obedient_plugin"]
    assert [record.getMessage() for record in said] == [
        *(f"load {number}" for number in range(20)),
        "two\nlines",
        *(f"unload {number}" for number in range(20)),
    ]
    assert {(record.plugin_id, record.plugin) for record in said} == {(1, "obedient_plugin")}  # type: ignore[attr-defined]


@pytest.mark.needs_worker(reason="on inline a plugin prints where the application prints")
def test_what_a_plugin_prints_last_arrives_too(
    make_system: Callable[..., PluginSystem], talkative: Path, kept: Kept
) -> None:
    """Also what it printed in on_unload, with a line end or without."""
    system = make_system()
    system.load(talkative, config={"prints": True})
    system.close()
    assert {"printed", "without an end", "unload 19"} <= set(kept.texts)


@pytest.mark.needs_worker(reason="the traceback is logged by the worker")
def test_what_a_plugin_logs_before_its_load_fails_arrives(
    make_system: Callable[..., PluginSystem], talkative: Path, kept: Kept
) -> None:
    """With the traceback of what it raised, as one record."""
    system = make_system()
    with pytest.raises(PluginFailed, match="ValueError: no"):
        system.load(talkative, config={"fail": True})
    system.close()
    assert kept.texts[:20] == [f"load {number}" for number in range(20)]
    [traceback] = [text for text in kept.texts if text.startswith("Traceback")]
    assert traceback.endswith("ValueError: no")


@pytest.mark.needs_worker(reason="there is no host")
def test_what_the_hosts_processes_print_arrives_with_level_and_process(
    make_system: Callable[..., PluginSystem], kept: Kept
) -> None:
    """Thespian's own log among it; nothing of it is written anywhere else."""
    system = make_system()
    poison(system)
    assert kept.came.wait(30)
    system.close()
    said = [record for record in kept.records if record.name == "nyx_plugins.host"]
    assert "can't read a message" in said[0].getMessage()
    assert said[0].levelno == logging.ERROR
    assert said[0].pid != os.getpid()  # type: ignore[attr-defined]


@pytest.mark.needs_worker(reason="there is no host")
def test_an_actor_that_crashes_says_why(make_system: Callable[..., PluginSystem], kept: Kept) -> None:
    """Its traceback is one record, an error, before anybody is told that the system has stopped."""
    system = make_system()
    notices = system.subscribe()
    system._session._endpoint.send(system._session._endpoint.supervisor, object())
    assert list(notices) == []
    [record] = [record for record in kept.records if record.name == "nyx_plugins.host"]
    first, second, *_, last = record.getMessage().splitlines()
    assert (first, second) == ("Supervisor crashed:", "Traceback (most recent call last):")
    assert last.startswith("AttributeError: 'object' object has no attribute")
    assert record.levelno == logging.ERROR


@pytest.mark.needs_worker(reason="there is no host")
def test_an_application_that_does_not_take_its_log_holds_up_nobody(
    make_system: Callable[..., PluginSystem], kept: Kept
) -> None:
    """The host drops what finds no room, goes on, and says afterwards how much it was."""
    system = make_system()
    system.load("builtin:echo")
    kept.gate.clear()
    for _ in range(3000):
        poison(system)
    assert kept.came.wait(30)
    assert system.request(DATA, PluginHeader(1002, 0, b"still there")) == b"still there"
    kept.gate.set()
    system.close()
    assert any("records dropped: they came faster than they were taken" in text for text in kept.texts)
    assert len(kept.texts) < 1000


PROGRAM = """
import os, sys
from pathlib import Path
from nyx_plugins import PluginHeader, PluginSystem
from thespian.system.utilis import thesplog

def look(when):
    print(when, *sorted(path.name for path in Path(os.environ["TMPDIR"]).iterdir()), flush=True)

class Unreadable:
    def __reduce__(self):
        return eval, ("1 / 0",)

with PluginSystem(transport=sys.argv[1]) as system:
    system.load("builtin:echo")
    thesplog("something is wrong", level=50)
    if sys.argv[1] == "unix":
        system._session._endpoint.send(system._session._endpoint.supervisor, Unreadable())
    print(system.request(0x52, PluginHeader(1002, 0, b'x')))
    look("running")
look("closed")
"""


def test_nothing_is_left_in_the_temporary_directory_or_said_unasked(
    transport: str, short_folder: Callable[[], Path]
) -> None:
    """While a system runs, the directory holds at most one folder, under a name that nobody can foretell.

    Nothing is printed by a program that has not configured logging.
    """
    folder = short_folder()
    environment = {
        name: value for name, value in os.environ.items() if name not in ("XDG_RUNTIME_DIR", "THESPLOG_FILE")
    }
    said = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, transport],
        env=environment | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    assert said.stderr == ""
    reply, running, closed = said.stdout.splitlines()
    assert reply == "b'x'"
    names = running.split()[1:]
    assert all(name.startswith("nyx-") and len(name) == len("nyx-12345678") for name in names)
    assert len(names) <= 1
    assert closed == "closed"
    assert list(folder.iterdir()) == []
