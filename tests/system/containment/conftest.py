"""Plugins that go wrong and keep a journal of what they ran."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import LimitSettings, Settings

DATA = 0x52

SETTINGS = Settings(
    limits=LimitSettings(mailbox_capacity=2000, wall_time_s=60.0), ceiling=Ceiling(write_paths=(tempfile.gettempdir(),))
)

JOURNAL = '''
from nyx_plugins.plugins import Plugin
from plugin import Fault as _Fault

class Fault(_Fault):
    """The same, and writes down each data frame before it is handled."""

    def on_load(self, ctx):
        super().on_load(ctx)
        self._journal = open(ctx.config["journal"], "ab", buffering=0)

    def on_data(self, frame):
        self._journal.write(frame.data + b"\\n")
        return super().on_data(frame)
'''


@pytest.fixture
def journaled(fault: Callable[..., Path], plugin_id: int, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that loads a fault which keeps a journal, and the function that reads the journal."""
    journal = tmp_path / "journal"

    def load(system: PluginSystem, name: str, manifest: str = "") -> Callable[[], list[bytes]]:
        bundle = fault(name, manifest, plugin_id, f'write_paths = ["{tmp_path}"]')
        (bundle / "journaling.py").write_text(JOURNAL)
        toml = bundle / "plugin.toml"
        toml.write_text(toml.read_text().replace("plugin:Fault", "journaling:Fault"))
        system.load(bundle, config={"journal": str(journal)})
        return lambda: journal.read_bytes().splitlines()

    return load


def data(plugin_id: int, *texts: bytes) -> list[tuple[int, bytes]]:
    """Make data frames."""
    return [(DATA, PluginHeader(plugin_id, 0, text).encode()) for text in texts]


def send(system: PluginSystem, plugin_id: int, *texts: bytes) -> list[Any]:
    """Send data frames; returns their receipts."""
    return system.dispatch_many(data(plugin_id, *texts), timeout=30.0)


def outcomes(receipts: list[Any]) -> list[tuple[str, bytes | None]]:
    """Wait for the outcomes; a kind and a reply for each."""
    return [(str(outcome.kind), outcome.reply) for outcome in (receipt.outcome(30.0) for receipt in receipts)]


def processed(*texts: bytes) -> list[tuple[str, bytes | None]]:
    """Say what outcomes echoed frames have."""
    return [("processed", text) for text in texts]


NUMBERS = [b"%d" % number for number in range(50)]
