"""A swap of a plugin whose frames are on the disk, and whose worker ends while it finishes what it has in hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nyx_plugins import PluginHeader, PluginSystem, Settings
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import SystemSettings

ID, DATA, LONG_S = 7, 0x52, 60.0
CODE = """
import os
from nyx_plugins.plugins import Plugin

class Ending(Plugin):
    def on_load(self, ctx):
        if {new}:
            open(ctx.config["loaded"], "wb").close()

    def on_data(self, frame):
        if frame.data == b"end":
            open(self.ctx.config["gate"], "rb").read()
            os._exit(13)
        return frame.data
"""


def bundle(folder: Path, version: str, new: bool) -> Path:
    """Write one version; the new one says when it is loaded."""
    path = folder / version
    path.mkdir()
    (path / "plugin.py").write_text(CODE.format(new=new))
    (path / "plugin.toml").write_text(
        f'id = {ID}\nname = "ending"\nversion = "{version}"\napi_version = 1\nentry_point = "plugin:Ending"\n'
        f'permissions = ["data_access"]\n[sandbox]\nread_paths = ["{folder}"]\nwrite_paths = ["{folder}"]\n'
    )
    return path


@pytest.mark.needs_worker(reason="a worker that ends takes a process")
def test_a_swap_goes_on_when_the_old_worker_ends_and_the_disk_is_behind(
    make_system: Callable[..., PluginSystem], tmp_path: Path
) -> None:
    """Its next worker waits for the disk, and the swap for nothing more: the new version takes over."""
    for name in ("gate", "loaded"):
        os.mkfifo(tmp_path / name)
    ceiling = Ceiling(read_paths=(str(tmp_path),), write_paths=(str(tmp_path),))
    system = make_system(Settings(SystemSettings(state_dir=str(tmp_path / "state")), ceiling=ceiling))
    config = {"gate": str(tmp_path / "gate"), "loaded": str(tmp_path / "loaded")}
    system.load(bundle(tmp_path, "1.0.0", new=False), config=config, durability="disk")
    receipt = system.dispatch(DATA, PluginHeader(ID, 0, b"end"))
    with ThreadPoolExecutor(1) as pool:
        swap = pool.submit(system.swap, ID, bundle(tmp_path, "1.1.0", new=True), timeout=LONG_S / 2)
        with open(tmp_path / "loaded", "rb"), open(tmp_path / "gate", "wb"):
            pass
        assert swap.result(LONG_S / 4).new_version == "1.1.0"
    assert receipt.outcome(LONG_S).reason == "crash: worker exited with code 13"
    assert system.request(DATA, PluginHeader(ID, 0, b"on")) == b"on"
