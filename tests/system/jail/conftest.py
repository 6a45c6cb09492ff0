"""A jailed plugin that runs what it is told."""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem, Receipt, Settings
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import LimitSettings

DATA = 0x52


class Prisoner:
    """The plugin, from outside."""

    def __init__(self, system: PluginSystem, plugin_id: int) -> None:
        self.system = system
        self.plugin_id = plugin_id

    def send(self, code: str) -> Receipt:
        """Let it run code."""
        header = PluginHeader(self.plugin_id, 0, textwrap.dedent(code).encode())
        return self.system.dispatch(DATA, header, timeout=60.0)

    def run(self, code: str) -> str:
        """Let it run code, and return its ``result``; fail the test with what it raises."""
        outcome = self.send(code).outcome(30.0)
        assert outcome.reply is not None, outcome.reason
        return outcome.reply.decode()

    def fails(self, code: str) -> str:
        """Let it run code that has to raise; returns the exception's type and text."""
        outcome = self.send(code).outcome(30.0)
        assert str(outcome.kind) == "failed", outcome
        return outcome.reason


@pytest.fixture
def ceiling() -> Ceiling:
    """Return a ceiling that allows what the tests here ask for; their paths are below the temporary directory."""
    paths = (tempfile.gettempdir(),)
    return Ceiling(read_paths=paths, write_paths=paths, packages=("numpy",), subprocesses=True, network=("*",))


@pytest.fixture
def prisoner(
    lend: Callable[[Settings], PluginSystem], fault: Callable[..., Path], ceiling: Ceiling
) -> Callable[..., Prisoner]:
    """Return a function that loads the plugin with the given sandbox."""

    def load(sandbox: str = "", **settings: Any) -> Prisoner:
        # Whatever is not about time takes as long as the machine wants it to.
        settings = {"limits": LimitSettings(wall_time_s=30.0), **settings}
        system = lend(Settings(ceiling=ceiling, **settings))
        system.load(fault("executing_plugin", sandbox=sandbox))
        return Prisoner(system, 1)

    return load
