"""A pytest plugin for the authors of plugins, at hand in every test once ``nyx-plugins[testing]`` is installed.

The fixture ``plugin`` is the plugin whose ``plugin.toml`` lies in the test's folder or in one above it, loaded and
ready; a test that takes it runs twice, in this process and with a worker. ``load_plugin`` loads others, or the same
one otherwise.

``@pytest.mark.nyx_plugin(...)`` says how: ``bundle`` (a path from the test's folder, or ``builtin:NAME``),
``transport`` ("inline" or "unix"), ``settings`` (:class:`Settings`, or the path of a configuration), what the plugin
depends on, as ``companions`` (bundles) or ``stubs`` (by name: what to reply to which data), and what
:meth:`PluginSystem.load` takes, such as ``config`` and ``permissions``. ``--nyx-transport inline`` runs one half.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .trial import LogLine as LogLine
    from .trial import PluginUnderTest as PluginUnderTest
    from .trial import Workbench

__all__ = ["LoadPlugin", "LogLine", "PluginUnderTest"]

LoadPlugin = Callable[..., "PluginUnderTest"]
"""``load_plugin(bundle=None, *, plugin_id=..., config=..., permissions=..., capacity=..., capacity_bytes=...)``."""

TRANSPORTS = ("inline", "unix")
_MARKER = "nyx_plugin"
_OF_THE_SYSTEM = {"transport", "settings", "companions", "stubs"}
_OF_THE_PLUGIN = {"bundle", "plugin_id", "capacity", "capacity_bytes", "permissions", "config"}
_BUILTIN = "builtin:"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--nyx-transport``."""
    parser.getgroup("nyx-plugins").addoption(
        "--nyx-transport",
        choices=[*TRANSPORTS, "both"],
        default="both",
        help="Run tests of plugins in this process (inline), with a worker (unix), or both ways. Default: both.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker."""
    names = ", ".join(f"{name}=..." for name in sorted(_OF_THE_SYSTEM | _OF_THE_PLUGIN))
    config.addinivalue_line("markers", f"{_MARKER}({names}): what the fixture `plugin` loads, and where it runs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of a plugin on each transport that marker and option leave."""
    if "nyx_transport" in metafunc.fixturenames:
        only = _wishes(metafunc.definition).get("transport")
        if only not in (None, *TRANSPORTS):
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: transport must be inline or unix, not {only!r}")
        chosen = metafunc.config.getoption("nyx_transport")
        wanted = TRANSPORTS if only is None else (only,)
        metafunc.parametrize("nyx_transport", [_param(transport, chosen) for transport in wanted])


@pytest.fixture
def nyx_transport() -> str:
    """Return where the plugin runs: ``inline`` (this process) or ``unix`` (a worker)."""
    return TRANSPORTS[0]


@pytest.fixture
def load_plugin(request: pytest.FixtureRequest, nyx_transport: str) -> Iterator[LoadPlugin]:
    """Return a function that loads a bundle into this test's system, the test's own bundle by default."""
    from .trial import Workbench

    wishes = _wishes(request.node)
    folder = request.path.parent
    with Workbench(_settings(wishes, folder), transport=nyx_transport) as bench:
        yield _loader(bench, wishes, folder)


@pytest.fixture
def plugin(load_plugin: LoadPlugin) -> PluginUnderTest:
    """Return the test's own plugin, loaded; the test fails in one sentence when it can't be loaded."""
    from .config.errors import NyxPluginError

    try:
        return load_plugin()
    except NyxPluginError as error:
        why = str(error)
    # Not in the except clause: pytest would tell of both.
    pytest.fail(why, pytrace=False)


def __getattr__(name: str) -> object:
    """Import the types when a test asks for them: pytest loads this module at every start."""
    if name not in ("LogLine", "PluginUnderTest"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import trial

    return getattr(trial, name)


def _param(transport: str, chosen: str) -> Any:
    why = ""
    if transport == "unix" and sys.platform != "linux":
        why = "workers need Linux"
    elif chosen not in (transport, "both"):
        why = f"--nyx-transport is {chosen}"
    return pytest.param(transport, marks=pytest.mark.skip(reason=why) if why else ())


def _wishes(item: pytest.Item | pytest.Function) -> dict[str, Any]:
    """Gather the markers of test, class and module; the nearest has the last word."""
    wishes: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers(_MARKER))):
        if marker.args or (unknown := set(marker.kwargs) - _OF_THE_SYSTEM - _OF_THE_PLUGIN):
            culprit = repr(marker.args[0]) if marker.args else ", ".join(sorted(unknown))
            known = ", ".join(sorted(_OF_THE_SYSTEM | _OF_THE_PLUGIN))
            raise pytest.UsageError(f"{item.nodeid}: the marker {_MARKER} takes {known} by name, not {culprit}")
        wishes |= marker.kwargs
    return wishes


def _settings(wishes: Mapping[str, Any], folder: Path) -> Any:
    settings = wishes.get("settings")
    return folder / settings if isinstance(settings, (str, os.PathLike)) else settings


def _loader(bench: Workbench, wishes: Mapping[str, Any], folder: Path) -> LoadPlugin:
    usual = {name: value for name, value in wishes.items() if name in _OF_THE_PLUGIN - {"bundle"}}

    def load(bundle: str | os.PathLike[str] | None = None, **options: Any) -> PluginUnderTest:
        if bundle is not None:
            return bench.load(_located(bundle, folder), **options)
        own = _located(wishes.get("bundle"), folder)
        bench.start(own)
        _load_companions(bench, wishes, folder, own)
        return bench.load(own, **{**usual, **options})

    return load


def _load_companions(bench: Workbench, wishes: Mapping[str, Any], folder: Path, own: str | Path) -> None:
    """Load, once, what the test's own plugin depends on."""
    from .plugins.bundle import read_manifest
    from .stubs import stub_version

    if bench.companions:
        return
    for bundle in wishes.get("companions", ()):
        bench.companion(_located(bundle, folder))
    for name, replies in wishes.get("stubs", {}).items():
        bench.stub(name, replies, stub_version(read_manifest(own), name) or "1.0.0")


def _located(bundle: str | os.PathLike[str] | None, folder: Path) -> str | Path:
    """Return the path of a bundle named from ``folder``; without a name, of that which ``folder`` belongs to."""
    if bundle is not None:
        text = os.fspath(bundle)
        return text if text.startswith(_BUILTIN) else folder / text
    for place in (folder, *folder.parents):
        if (place / "plugin.toml").is_file():
            return place
    pytest.fail(
        f"there is no plugin.toml in {folder} or a folder above it: name the bundle, as in"
        f' @pytest.mark.{_MARKER}(bundle="path/of/the/bundle")',
        pytrace=False,
    )
