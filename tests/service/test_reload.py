"""What a changed configuration means, without a service."""

from __future__ import annotations

import attrs

from nyx_plugins.config.frame_types import FrameTypeSettings
from nyx_plugins.config.settings import (
    Ceiling,
    LimitSettings,
    LoggingSettings,
    PluginSettings,
    ServiceSettings,
    Settings,
    SupervisionSettings,
    SystemSettings,
)
from nyx_plugins.service.reload import PluginChanges, SettingChanges, compare_plugins, compare_settings, in_force

ECHO = PluginSettings("builtin:echo")
KV = PluginSettings("builtin:kv", id=9)


def test_nothing_has_changed() -> None:
    """Equal settings make no change, whatever plugins they name."""
    assert compare_settings(Settings(), Settings(plugins=(ECHO,))) == SettingChanges()


def test_each_key_is_sorted_by_when_it_comes_into_force() -> None:
    """At once, for plugins that are loaded from now on, or after a restart."""
    new = Settings(
        system=SystemSettings(state_dir="/elsewhere"),
        limits=LimitSettings(drain_timeout_s=1.0, mailbox_capacity=7, event_queue=3),
        supervision=SupervisionSettings(max_restarts=1),
        ceiling=Ceiling(open_files=99),
        logging=LoggingSettings(level="debug"),
        service=ServiceSettings(metrics="127.0.0.1:9464"),
    )
    found = compare_settings(Settings(), new)
    assert set(found.at_once) == {"limits.drain_timeout_s", "logging.level"}
    assert set(found.for_new_plugins) == {"limits.mailbox_capacity", "supervision.max_restarts", "ceiling.open_files"}
    assert set(found.after_restart) == {"system.state_dir", "limits.event_queue", "service.metrics"}


def test_frame_types_need_a_restart() -> None:
    """Whether one is new, gone or another."""
    own = {"a": FrameTypeSettings(0x55, "own"), "b": FrameTypeSettings(0x56, "own")}
    other = {"b": FrameTypeSettings(0x57, "own"), "c": FrameTypeSettings(0x58, "own")}
    found = compare_settings(Settings(frame_types=own), Settings(frame_types=other))
    assert found.after_restart == ("frame_types.a", "frame_types.b", "frame_types.c")
    assert found.at_once == found.for_new_plugins == ()


def test_what_needs_a_restart_stays_in_force() -> None:
    """It is named as often as the configuration is read again; all else is taken over."""
    own, other = {"a": FrameTypeSettings(0x55, "own")}, {"b": FrameTypeSettings(0x57, "own")}
    for before, after in (({}, own), (own, other), (own, {})):
        old = Settings(frame_types=before, limits=LimitSettings(event_queue=3))
        new = Settings(frame_types=after, limits=LimitSettings(event_queue=4, drain_timeout_s=1.0))
        now = in_force(old, new)
        assert now == attrs.evolve(old, limits=LimitSettings(event_queue=3, drain_timeout_s=1.0))
        assert compare_settings(now, new).after_restart == compare_settings(old, new).after_restart


def test_every_setting_is_of_one_kind() -> None:
    """No key falls through, and none is of two kinds."""
    sections = [field.name for field in attrs.fields(Settings) if field.name not in ("plugins", "frame_types")]
    keys = {f"{name}.{field.name}" for name in sections for field in attrs.fields(type(getattr(Settings(), name)))}
    nothing = attrs.make_class("Nothing", [])()
    found = SettingChanges()
    for key in keys:
        section, name = key.split(".")
        part = attrs.evolve(getattr(Settings(), section))
        object.__setattr__(part, name, nothing)
        one = compare_settings(Settings(), attrs.evolve(Settings(), **{section: part}))
        found = SettingChanges(
            found.at_once + one.at_once,
            found.for_new_plugins + one.for_new_plugins,
            found.after_restart + one.after_restart,
        )
    assert sorted(found.at_once + found.for_new_plugins + found.after_restart) == sorted(keys)


def test_plugins_are_added_and_removed() -> None:
    """An entry is known by its bundle and its id: another id is another plugin."""
    assert compare_plugins([ECHO], [KV]) == PluginChanges(unload=(ECHO,), load=(KV,))
    other = attrs.evolve(KV, id=10)
    assert compare_plugins([KV], [other]) == PluginChanges(unload=(KV,), load=(other,))


def test_permissions_change_live_and_the_rest_does_not() -> None:
    """What a loaded plugin can't be given is named with its bundle."""
    fewer = attrs.evolve(KV, permissions=("handshake",))
    assert compare_plugins([ECHO, KV], [ECHO, fewer]) == PluginChanges(permit=(fewer,))
    larger = attrs.evolve(KV, capacity=5, config={"a": 1})
    assert compare_plugins([KV], [larger]) == PluginChanges(after_reload=("builtin:kv: capacity", "builtin:kv: config"))
