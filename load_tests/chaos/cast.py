"""The plugins of the chaos run: what each is, and the bundles that are made of them."""

from __future__ import annotations

import enum
import shutil
from pathlib import Path

import attrs

from nyx_plugins.config.settings import PluginSettings

VERSIONS = ("1.0.0", "1.1.0")


class Order(enum.Enum):
    """Within what the order of one client's frames of one class holds."""

    PLUGIN = "plugin"
    KEY = "key"
    NONE = "none"


@attrs.frozen
class Part:
    """One plugin: how much it holds, how often it may be given a frame, and how its frames are spread."""

    id: int
    capacity: int
    deliveries: int = 1
    """How often a frame may be handed out; more than once makes it idempotent."""
    instances: int = 1
    spread: str = ""
    """How frames are spread over several instances, of which there are more and fewer as time goes by."""
    restarts: int = 1_000_000
    """After how many within a minute it is given up, until somebody resets it."""
    stays: bool = True
    """Whether it is there all the time; who comes and goes takes its counters along."""

    @property
    def order(self) -> Order:
        """What its instances keep of the order."""
        if not self.spread:
            return Order.PLUGIN
        return Order.KEY if self.spread == "by_key" else Order.NONE


CAST = (
    Part(1, 10),
    Part(2, 100),
    Part(3, 1000),
    Part(4, 1000, deliveries=3),
    Part(5, 200, deliveries=3),
    Part(6, 500, instances=3, spread="by_key"),
    Part(7, 300, instances=2, spread="round_robin"),
    Part(8, 300, instances=2, spread="least_loaded"),
    Part(9, 50, restarts=3),
    Part(10, 5000),
)
GUEST = Part(11, 200, stays=False)
"""Loaded and unloaded again and again, while clients send to it as to the others."""


def manifest(part: Part, version: str, records: Path) -> str:
    """Return the manifest of a plugin that may write its records."""
    again = f"idempotent = true\nmax_deliveries = {part.deliveries}\n" if part.deliveries > 1 else ""
    several = f'instances = {part.instances}\nbalance = "{part.spread}"\n' if part.spread else ""
    return (
        f'id = {part.id}\nname = "busy-{part.id}"\nversion = "{version}"\napi_version = 1\n'
        f'entry_point = "plugin:Busy"\npermissions = ["data_access", "control"]\ncapacity = {part.capacity}\n'
        f"{again}{several}[restart]\nmax_restarts = {part.restarts}\n"
        f'[sandbox]\nwrite_paths = ["{records}"]\n'
    )


def make_bundles(part: Part, folder: Path, records: Path) -> list[Path]:
    """Write a bundle for each version, and return where they are."""
    return [_make_bundle(part, version, folder / f"{part.id}-{version}", records) for version in VERSIONS]


def _make_bundle(part: Part, version: str, bundle: Path, records: Path) -> Path:
    bundle.mkdir()
    shutil.copy(Path(__file__).with_name("busy_plugin.py"), bundle / "plugin.py")
    (bundle / "plugin.toml").write_text(manifest(part, version, records))
    return bundle


def settings_of(part: Part, bundle: Path, records: Path) -> PluginSettings:
    """Say how the plugin is loaded."""
    return PluginSettings(str(bundle), config={"records": str(records)})
