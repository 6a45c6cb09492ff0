"""Bundles for `nyx-plugins check`, and what it found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
TIMEOUT_S = 150

MANIFEST = 'id = 1\nname = "demo"\nversion = "1.0.0"\napi_version = 1\nentry_point = "plugin:Demo"\n'
CHATTY = """
from nyx_plugins.plugins import Plugin

class Demo(Plugin):
    def on_load(self, ctx):
        ctx.emit(b"loaded")
        ctx.logger.debug("config %s", sorted(ctx.config.items()))

    def on_handshake(self, frame):
        self.ctx.emit(frame.data, frame_type=0x5F, flags=3)
        self.ctx.emit(b"again")

    def on_data(self, frame):
        return frame.data

    def on_unload(self):
        self.ctx.logger.warning("\\x1b[31mgoing")
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a bundle of some code, with extra lines in its manifest."""

    def make(code: str = CHATTY, manifest: str = 'permissions = ["handshake", "data_access"]\n') -> Path:
        folder = tmp_path / "demo"
        folder.mkdir()
        (folder / "plugin.py").write_text(code)
        (folder / "plugin.toml").write_text(MANIFEST + manifest)
        return folder

    return make


@pytest.fixture
def check(invoke: Invoke) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Return a function that runs ``check --json`` and returns exit code and object."""

    def run(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        result = invoke("check", "--json", *arguments)
        assert result.stderr == ""
        return result.exit_code, json.loads(result.stdout)

    return run


Check = Callable[..., tuple[int, dict[str, Any]]]


def results(found: dict[str, Any]) -> dict[str, str]:
    """Return what became of the frame of each handler."""
    return {item["handler"]: item["result"] for item in found["handlers"]}
