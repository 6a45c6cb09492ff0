"""Kernels that can enforce less, simulated by filters under which they seem to lack system calls."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from nyx_plugins.plugins.worker.jail import kernel

LANDLOCK, SECCOMP = kernel.LANDLOCK_CREATE_RULESET, kernel.SECCOMP
PROGRAM = """
import ctypes, errno, json, struct, sys

def lack(*numbers):
    lines = [(0x20, 0, 0, 0)]
    for number in numbers:
        lines += [(0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | errno.ENOSYS)]
    lines.append((0x06, 0, 0, 0x7fff0000))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)), 0, 0) == 0

transport, required, *numbers = sys.argv[1:]
if numbers:
    lack(*map(int, numbers))
from nyx_plugins import NyxPluginError, PluginHeader, PluginSystem, Settings
from nyx_plugins.config.settings import SystemSettings

if __name__ == "__main__":
    settings = Settings(system=SystemSettings(transport=transport, require_enforcement=required))
    with PluginSystem(settings) as system:
        told = {"level": system.enforcement.level, "missing": sorted(system.enforcement.missing)}
        try:
            system.load("builtin:echo")
        except NyxPluginError as error:
            told["error"] = [type(error).__name__, str(error)]
        else:
            told["reply"] = system.request(0x52, PluginHeader(1002, 0, b"hello")).decode()
    print(json.dumps(told))
"""


def on_a_kernel_without(*numbers: int, required: str = "full", transport: str = "unix") -> dict[str, Any]:
    """Run a system that loads the echo plugin, and say how that went."""
    command = [sys.executable, "-c", PROGRAM, transport, required, *map(str, numbers)]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=150, check=False)
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def test_this_kernel_enforces_everything() -> None:
    """The tests of this folder are worth nothing on a machine that can't put the jail on."""
    assert on_a_kernel_without() == {"level": "full", "missing": [], "reply": "hello"}


@pytest.mark.parametrize(
    ("numbers", "level", "missing"),
    [
        ((LANDLOCK,), "partial", ["landlock"]),
        ((SECCOMP,), "partial", ["seccomp"]),
        ((LANDLOCK, SECCOMP), "cooperative", ["landlock", "seccomp"]),
    ],
)
def test_less_than_required_refuses_the_load(numbers: tuple[int, ...], level: str, missing: list[str]) -> None:
    """Below the level that is required nothing is loaded, and the error says which layer is missing and why."""
    told = on_a_kernel_without(*numbers)
    assert (told["level"], told["missing"]) == (level, missing)
    kind, text = told["error"]
    assert kind == "EnforcementTooWeak"
    assert f"enforces policies at level {level}, and system.require_enforcement is full" in text
    assert all(f"{name}: the kernel offers no" in text for name in missing)
    assert "Function not implemented" in text


@pytest.mark.parametrize(
    ("numbers", "required"),
    [((LANDLOCK,), "partial"), ((SECCOMP,), "partial"), ((LANDLOCK, SECCOMP), "cooperative")],
)
def test_what_is_there_is_put_on_where_less_is_required(numbers: tuple[int, ...], required: str) -> None:
    """An operator who asks for less gets plugins that run, with the layers that there are."""
    told = on_a_kernel_without(*numbers, required=required)
    assert (told["level"], told["reply"]) == (required, "hello")


def test_on_inline_nothing_is_enforced_and_nothing_required() -> None:
    """Plugins in the application's own process are not confined, and the system says so."""
    told = on_a_kernel_without(transport="inline")
    assert (told["level"], told["missing"], told["reply"]) == ("cooperative", ["all"], "hello")
