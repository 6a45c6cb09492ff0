"""What users do by mistake: it is theirs to see at once, and the system goes on."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem, SystemStopped

HEADER = PluginHeader(1002, 0, b"x")


def _misuses(system: PluginSystem) -> list[Callable[[], Any]]:
    wrong_ids: list[Any] = [[], 2**70, object(), lambda: 0, -1, "1002"]
    calls: list[Callable[[], Any]] = []
    for wrong in wrong_ids:
        for method in ("plugin_info", "plugin_stats", "unload", "pause", "resume", "is_plugin_loaded"):
            calls.append(lambda method=method, wrong=wrong: getattr(system, method)(wrong))
        calls.append(lambda wrong=wrong: system.grant(wrong, "control"))
        calls.append(lambda wrong=wrong: system.load("builtin:kv", plugin_id=wrong))
    receipt, notices = system.dispatch(0x52, HEADER), system.subscribe()
    for nonsense in (float("nan"), "x", -1, True, Decimal(2)):
        calls.append(lambda nonsense=nonsense: receipt.outcome(nonsense))
        calls.append(lambda nonsense=nonsense: receipt.wait_accepted(nonsense))
        calls.append(lambda nonsense=nonsense: notices.get(nonsense))
        calls.append(lambda nonsense=nonsense: system.unload(1002, timeout=nonsense))
        calls.append(lambda nonsense=nonsense: system.request(0x52, HEADER, timeout=nonsense))
        calls.append(lambda nonsense=nonsense: system.drain(nonsense))
        calls.append(lambda nonsense=nonsense: system.close(nonsense))
    for flag in ("no", 0, None):
        calls.append(lambda flag=flag: PluginSystem(sends=flag))
        calls.append(lambda flag=flag: PluginSystem.connect(sends=flag))
    calls.append(lambda: system.grant(1002, "bogus"))
    calls.append(lambda: system.load("builtin:kv", permissions="control"))
    calls.append(lambda: system.subscribe(0))
    calls.append(lambda: system.redeliver(1002, range(10**12)))
    calls.append(lambda: system.drop_dead_letters(1002, itertools.count(1)))
    for wrong_plugins in (None, [None], ["builtin:echo"], "ab", iter([5])):
        calls.append(lambda plugins=wrong_plugins: system.load_many(plugins))
    for nonsense in (5, "x", [None]):
        calls.append(lambda nonsense=nonsense: system.load("builtin:kv", permissions=nonsense))
        calls.append(lambda nonsense=nonsense: system.load("builtin:kv", config=nonsense))
        calls.append(lambda nonsense=nonsense: system.load_many(nonsense))
        calls.append(lambda nonsense=nonsense: system.dispatch_many(nonsense))
    for value in (None, float("nan"), "\ud800", 2**64, {1}):
        calls.append(lambda value=value: system.load("builtin:kv", config={"value": value}))
    return calls


def test_wrong_arguments_are_refused_and_harm_nobody(system: PluginSystem) -> None:
    """Each raises TypeError or ValueError at the caller; the loaded plugin answers as before."""
    system.load("builtin:echo")
    for misuse in _misuses(system):
        with pytest.raises((TypeError, ValueError)):
            misuse()
    assert system.request(0x52, HEADER, timeout=float("inf")) == b"x"
    assert system.loaded_plugins() == [1002]


def test_a_closed_system_says_so(system: PluginSystem) -> None:
    """Nothing is pretended after the end, and closing again is nothing."""
    system.load("builtin:echo")
    system.close()
    system.close()
    assert system.loaded_plugins() == []
    for use in (lambda: system.request(0x52, HEADER), lambda: system.load("builtin:kv"), system.__enter__):
        with pytest.raises(SystemStopped):
            use()


def test_a_forked_process_has_no_part_in_the_system(system: PluginSystem) -> None:
    """In a child, calls fail at once and closing does nothing; the parent's system goes on."""
    system.load("builtin:echo")
    system.pause(1002)
    receipt, notices = system.dispatch_nowait(0x52, HEADER), system.subscribe()
    calls: list[Callable[[], Any]] = [
        lambda: system.request(0x52, HEADER),
        lambda: list(system.subscribe()),
        lambda: list(notices),
        receipt.outcome,
        system.drain,
        system.plugins,
        system.loaded_plugins,
    ]
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads, which is just what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        # It ends by the alarm if it waits for news, of which there are none.
        signal.alarm(60)
        ends = False
        try:
            with notices:
                ends = system.stopped is not None and all(map(_is_stopped, calls))
            system.close()
        finally:
            os._exit(not ends)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    system.resume(1002)
    assert receipt.outcome(60.0).reply == b"x"
    assert system.request(0x52, HEADER) == b"x"
    assert system.stopped is None


def _is_stopped(call: Callable[[], Any]) -> bool:
    try:
        call()
    except SystemStopped:
        return True
    return False


PROGRAM = """
from nyx_plugins import PluginHeader, PluginSystem
with PluginSystem() as system:
    system.load("builtin:echo")
    open("answer", "wb").write(system.request(0x52, PluginHeader(1002, 0, b"x")))
"""


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_a_daemon_without_standard_streams_can_embed_a_system(closed: str, tmp_path: Path) -> None:
    """Closed descriptors 0, 1 and 2 are no reason not to start."""
    close = f"import os; [os.close(int(fd)) for fd in {closed!r}.split()]"
    subprocess.run([sys.executable, "-c", close + PROGRAM], cwd=tmp_path, check=True, timeout=150)
    assert (tmp_path / "answer").read_bytes() == b"x"
