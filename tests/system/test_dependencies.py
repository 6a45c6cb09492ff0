"""Plugins that need each other: the order in which they are loaded and unloaded, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from nyx_plugins import AsyncPluginSystem, PluginHeader, PluginSystem
from nyx_plugins.actors.subscription import Subscription
from nyx_plugins.config.settings import PluginSettings
from nyx_plugins.plugins.errors import (
    DependencyMissing,
    DependentsLoaded,
    PluginFailed,
    PluginNotRegistered,
)

Bundle = Callable[..., PluginSettings]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Return a function that makes a plugin: its name, id and what it needs; ``load`` is the body of its on_load."""

    def make(name: str, plugin_id: int, requires: str = "", optional: str = "", load: str = "pass") -> PluginSettings:
        folder = tmp_path / f"{name}-{plugin_id}"
        folder.mkdir()
        (folder / "plugin.py").write_text(
            "from nyx_plugins.plugins import Plugin\n\n\nclass P(Plugin):\n"
            f"    def on_load(self, ctx):\n        {load}\n\n    def on_data(self, frame):\n        return frame.data\n"
        )
        tables = "".join(
            f"[{table}]\n" + "".join(f'{need} = ">=1"\n' for need in needs.split())
            for table, needs in (("requires", requires), ("optional", optional))
        )
        (folder / "plugin.toml").write_text(
            f'id = {plugin_id}\nname = "{name}"\nversion = "1.0"\napi_version = 1\nentry_point = "plugin:P"\n'
            f'permissions = ["data_access"]\n{tables}'
        )
        return PluginSettings(str(folder))

    return make


def order(subscription: Subscription, kind: str, ids: Iterable[int]) -> list[int]:
    """Wait until this has happened to all of these plugins, and return in which order."""
    left, seen = set(ids), []
    while left:
        notice = subscription.get(timeout=60.0)
        assert notice is not None, f"no event {kind!r} of {left}, only {seen}"
        if getattr(notice, "kind", None) == kind and notice.plugin_id in left:
            left.discard(notice.plugin_id)
            seen.append(notice.plugin_id)
    return seen


def test_many_are_loaded_in_the_order_of_what_they_need(system: PluginSystem, bundle: Bundle) -> None:
    """Whatever their order in the call; more may wait than are loaded at once; what is optional goes first too."""
    events = system.subscribe()
    chain = [bundle(f"p{n}", n, requires=f"p{n - 1}" if n > 1 else "") for n in range(1, 8)]
    last = bundle("last", 9, optional="p7 absent")
    results = system.load_many([last, *reversed(chain)])
    assert [result.plugin_id for result in results] == [9, *range(7, 0, -1)]  # type: ignore[union-attr]
    assert order(events, "loaded", [*range(1, 8), 9]) == [*range(1, 8), 9]
    info = system.plugin_info(6)
    assert (info.requires, info.optional, info.dependents) == ({"p5": ">=1"}, {}, (7,))
    assert system.plugin_info(9).optional == {"p7": ">=1", "absent": ">=1"}
    assert system.plugin_info(7).dependents == ()


def test_who_needs_what_fails_to_load_fails_with_that_cause(system: PluginSystem, bundle: Bundle) -> None:
    """Also those further on; who only would have used it is loaded, and so is everybody else."""
    base = bundle("base", 1, load='raise ValueError("no disk")')
    needs, further = bundle("needs", 2, requires="base"), bundle("further", 3, requires="needs")
    uses, other = bundle("uses", 4, optional="base"), bundle("other", 5)
    results = system.load_many([further, needs, uses, other, base])
    assert isinstance(results[4], PluginFailed)
    for result, text in zip(
        results[:2], ("needs >=1 (not loaded: plugin 2", "base >=1 (not loaded: plugin 1"), strict=True
    ):
        assert isinstance(result, DependencyMissing)
        assert text in str(result) and "no disk" in str(result)
    assert system.loaded_plugins() == [4, 5]


def test_what_is_required_is_not_unloaded_before_those_that_require_it(system: PluginSystem, bundle: Bundle) -> None:
    """It is refused with their names and goes on; with ``cascade`` all go, those that need others before these."""
    events = system.subscribe()
    system.load_many([bundle("a", 1), bundle("b", 2, requires="a"), bundle("c", 3, "b", "a"), bundle("d", 4, "", "a")])
    with pytest.raises(DependentsLoaded) as caught:
        system.unload(1)
    assert caught.value.dependents == {2: "b", 3: "c"}
    assert system.request(0x52, PluginHeader(1, 0, b"here")) == b"here"
    system.unload(1, cascade=True)
    assert system.loaded_plugins() == [4]
    assert order(events, "unloaded", [1, 2, 3]) == [3, 2, 1]
    with pytest.raises(PluginNotRegistered):
        system.unload(1, cascade=True)


def test_another_of_the_same_name_may_take_its_place(system: PluginSystem, bundle: Bundle) -> None:
    """A plugin whose dependents find what they require elsewhere is unloaded alone."""
    system.load_many([bundle("a", 1), bundle("a", 11), bundle("b", 2, requires="a")])
    assert system.plugin_info(11).dependents == system.plugin_info(1).dependents == (2,)
    system.unload(1)
    with pytest.raises(DependentsLoaded):
        system.unload(11)


def test_a_system_that_stops_unloads_what_others_need_last(system: PluginSystem, bundle: Bundle) -> None:
    """The stop goes the way back that the load came."""
    events = system.subscribe()
    system.load_many([bundle(f"p{n}", n, requires=f"p{n - 1}" if n > 1 else "") for n in range(1, 6)])
    report = system.close()
    assert (report.unloaded, report.killed) == ((1, 2, 3, 4, 5), ())
    assert order(events, "unloaded", range(1, 6)) == [5, 4, 3, 2, 1]


@pytest.mark.needs_worker(reason="the worker of a dependency is killed, which inline has not")
def test_what_was_given_up_meets_no_requirement(
    system: PluginSystem, bundle: Bundle, fault: Callable[..., Path]
) -> None:
    """A plugin that is loaded and has failed is not there for those that are loaded now."""
    system.load(fault("crashing_plugin", '[restart]\npolicy = "temporary"\n'))
    system.dispatch(0x52, PluginHeader(1, 0, b"crash")).outcome(timeout=30.0)
    [error] = system.load_many([bundle("b", 2, requires="crashing_plugin")])
    assert isinstance(error, DependencyMissing)
    assert error.missing == ("crashing_plugin >=1 (loaded: 1.0.0, but failed)",)


@pytest.mark.needs_worker(reason="asyncio needs a system with processes of its own")
def test_asyncio_unloads_with_all_that_need_it(runtime_base: Path, transport: str, bundle: Bundle) -> None:
    """The same names do the same in an event loop."""

    async def run() -> list[int]:
        async with AsyncPluginSystem(transport=transport) as system:
            await system.load_many([bundle("b", 2, requires="a"), bundle("a", 1)])
            with pytest.raises(DependentsLoaded):
                await system.unload(1)
            await system.unload(1, cascade=True)
            return system.loaded_plugins()

    assert asyncio.run(run()) == []
