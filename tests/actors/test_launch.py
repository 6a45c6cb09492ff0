"""Starting a host process that can't be started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nyx_plugins import PluginSystem, StartupError


def test_a_python_that_cannot_be_run_leaves_nothing_behind(
    runtime_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names it, and the runtime directory is removed."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StartupError, match="python can't be started for the host: No such file"):
        PluginSystem(transport="unix")
    assert list(runtime_base.iterdir()) == []
