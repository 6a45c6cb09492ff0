"""The arguments of the public methods."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.actors import arguments as args
from nyx_plugins.actors.questions import change_settings
from nyx_plugins.config.errors import ConfigError
from nyx_plugins.config.settings import PluginSettings, Settings


def _refused(check: Callable[..., Any], *values: Any) -> type[Exception]:
    with pytest.raises((TypeError, ValueError)) as refused:
        check(*values)
    return refused.type


@pytest.mark.parametrize("plugin_id", [0, 1, 2**32 - 1])
def test_ids_of_the_wire_are_taken(plugin_id: int) -> None:
    """Every u32 is an id."""
    assert args.checked_id(plugin_id) == plugin_id


def test_what_is_no_id_is_refused_before_it_travels() -> None:
    """Wrong types and numbers beyond u32 are the caller's mistake, and no actor sees them."""
    assert {_refused(args.checked_id, wrong) for wrong in ([], "7", 7.0, True, None, object())} == {TypeError}
    assert {_refused(args.checked_id, wrong) for wrong in (-1, 2**32, 2**70)} == {ValueError}


def test_timeouts_have_a_default_and_an_end() -> None:
    """``None`` is the default, infinity is a year, and what is no time is refused."""
    assert args.checked_seconds(None, 5.0) == 5.0
    assert args.checked_seconds(0, 5.0) == 0.0
    assert {args.checked_seconds(long, 5.0) for long in (float("inf"), 1e300, 10**400)} == {args.FOR_EVER_S}
    assert {_refused(args.checked_seconds, wrong, 5.0) for wrong in (float("nan"), -1, -0.1)} == {ValueError}
    assert {_refused(args.checked_seconds, wrong, 5.0) for wrong in ("1", b"", [], True)} == {TypeError}


def test_queues_have_a_size() -> None:
    """A queue of nothing and one without bound are refused."""
    assert args.checked_capacity(None, 1000) == 1000
    assert args.checked_capacity(1, 1000) == 1
    assert {_refused(args.checked_capacity, wrong, 1) for wrong in (0, -1, 10**9)} == {ValueError}
    assert {_refused(args.checked_capacity, wrong, 1) for wrong in ("1", 1.5, True)} == {TypeError}


def test_permissions_are_known_names_in_a_list() -> None:
    """A text is not taken for its letters, and a misspelt name is told the right ones."""
    assert args.checked_permission("control") == "control"
    assert args.checked_permissions(["control"]) == ("control",)
    assert _refused(args.checked_permissions, "control") is TypeError
    with pytest.raises(ValueError, match=r"unknown permission 'controll': expected one of control, "):
        args.checked_permission("controll")
    assert _refused(args.checked_permission, ["control"]) is ValueError


def test_lists_are_lists() -> None:
    """What is none, or holds something else, is named; a text is no list of names, nor are bytes."""
    assert args.checked_permissions(None) is None
    for check in (args.checked_permissions, args.checked_streams):
        assert {_refused(check, wrong) for wrong in (5, "control", b"log", [5], ["log", None])} == {TypeError}
    assert _refused(args.checked_streams, ["logs"]) is ValueError
    with pytest.raises(TypeError, match=r"plugins\[1\] must be PluginSettings, not int"):
        args.load_specs([PluginSettings("builtin:echo"), 5])  # type: ignore[list-item]
    assert _refused(args.load_specs, 5) is TypeError


def test_a_configuration_is_a_mapping() -> None:
    """And a copy of what the caller may change."""
    config = {"a": 1}
    assert args.checked_config(None) == {}
    assert args.checked_config(config) == config
    assert args.checked_config(config) is not config
    assert {_refused(args.checked_config, wrong) for wrong in (5, "a", [("a", 1)])} == {TypeError}


def test_bundles_are_paths() -> None:
    """Nothing else is turned into a text that looks like one."""
    assert args.checked_bundle(Path("x")) == args.checked_bundle("x") == "x"
    assert {_refused(args.checked_bundle, wrong) for wrong in (None, 5, b"x", [])} == {TypeError}


def test_what_a_plugin_is_loaded_with_is_checked_as_a_whole() -> None:
    """An unknown permission and a configuration that is too large are both named in one error."""
    plugin = PluginSettings("builtin:echo", permissions=("bogus",), config={"a": "x" * (2 << 20)})
    with pytest.raises(ConfigError) as refused:
        args.load_spec(plugin, 3)
    assert [fault.key for fault in refused.value.faults] == ["plugins[3].permissions", "plugins[3].config"]
    assert args.load_spec(PluginSettings("builtin:echo"), 0).bundle == "builtin:echo"
    assert Path(args.load_spec(PluginSettings("echo"), 0).bundle).is_absolute()


def test_so_many_dead_letters_there_are_not() -> None:
    """More numbers than letters can be kept are refused before they are read: even if they have no end."""
    assert args.checked_letters(range(100_000)) == tuple(range(100_000))
    for ids in (range(100_001), itertools.count()):
        with pytest.raises(ValueError, match="ids must be 100,000 numbers of dead letters at most"):
            args.checked_letters(ids)


def test_settings_are_settings() -> None:
    """What a system is to be changed to is looked at before anything is asked."""
    with pytest.raises(TypeError, match=r"^settings must be Settings, not NoneType$"):
        change_settings(Settings(), None)  # type: ignore[arg-type]
