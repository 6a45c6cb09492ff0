"""The settings: defaults, ranges and rules between them."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config import (
    Ceiling,
    ConfigError,
    LimitSettings,
    LoggingSettings,
    PluginSettings,
    SandboxOverride,
    SandboxRequest,
    ServiceSettings,
    Settings,
    SupervisionSettings,
    SystemSettings,
)
from nyx_plugins.config.checks import Check
from nyx_plugins.plugins.policy import Policy

SECTIONS = [
    SystemSettings,
    LimitSettings,
    SupervisionSettings,
    Ceiling,
    LoggingSettings,
    ServiceSettings,
    SandboxRequest,
    SandboxOverride,
    PluginSettings,
    Settings,
]

OUT_OF_RANGE: list[tuple[type, str, object]] = [
    (SystemSettings, "transport", "udp"),
    (SystemSettings, "runtime_dir", "relative"),
    (SystemSettings, "state_dir", "a\0b"),
    (SystemSettings, "transport", "tcp"),
    (SystemSettings, "start_timeout_s", 0),
    (SystemSettings, "stop_timeout_s", -1),
    (SystemSettings, "load_timeout_s", float("nan")),
    (LimitSettings, "max_header_bytes", 4095),
    (LimitSettings, "max_header_bytes", 16 * 1024 * 1024 + 1),
    (LimitSettings, "max_stream_frame_bytes", 1023),
    (LimitSettings, "max_stream_frame_bytes", 64 * 1024 * 1024 + 1),
    (LimitSettings, "mailbox_capacity", 0),
    (LimitSettings, "mailbox_capacity", 100_001),
    (LimitSettings, "mailbox_bytes", -1),
    (LimitSettings, "max_reply_bytes", True),
    (LimitSettings, "snapshot_bytes", True),
    (LimitSettings, "event_queue", 0),
    (LimitSettings, "dispatch_timeout_s", float("inf")),
    (LimitSettings, "drain_timeout_s", "5"),
    (LimitSettings, "wall_time_s", 0),
    (LimitSettings, "log_lines_per_s", -1),
    (SupervisionSettings, "max_restarts", -1),
    (SupervisionSettings, "within_s", 0),
    (SupervisionSettings, "backoff_initial_s", -0.1),
    (SupervisionSettings, "jitter", 1.1),
    (Ceiling, "read_paths", ("x",)),
    (Ceiling, "write_paths", "/x"),
    (Ceiling, "network", ("::1",)),
    (Ceiling, "memory_bytes", 1000),
    (Ceiling, "cpu_seconds", 0),
    (Ceiling, "wall_time_s", None),
    (Ceiling, "open_files", 15),
    (Ceiling, "environment", ("A=B",)),
    (Ceiling, "subprocesses", 1),
    (SandboxRequest, "wall_time_s", 3601),
    (PluginSettings, "id", 2**32),
    (PluginSettings, "capacity", 0),
    (PluginSettings, "capacity_bytes", 4095),
    (PluginSettings, "permissions", ("Control",)),
    (PluginSettings, "config", {"a": {1, 2}}),
    (PluginSettings, "sandbox", {"threads": 1}),
    (SystemSettings, "require_enforcement", "none"),
    (SupervisionSettings, "max_violations", -1),
    (Ceiling, "threads", 0),
    (Ceiling, "scratch_bytes", -1),
    (Ceiling, "packages", ("numpy.linalg",)),
    (Ceiling, "deny_read_paths", ("x",)),
    (Ceiling, "deny_write_paths", ("x",)),
    (Ceiling, "deny_network", ("::1",)),
    (SandboxRequest, "scratch_bytes", None),
    (SandboxOverride, "network", ("::1",)),
    (SandboxOverride, "subprocesses", 0),
    (LoggingSettings, "format", "xml"),
    (LoggingSettings, "level", "INFO"),
    (LoggingSettings, "levels", {"nyx_plugins": "loud"}),
    (LoggingSettings, "levels", {"nyx plugins": "info"}),
    (LoggingSettings, "levels", {"": "info"}),
    (LoggingSettings, "levels", "info"),
    (ServiceSettings, "metrics", "9464"),
    (ServiceSettings, "dashboard", "localhost:65536"),
    (ServiceSettings, "dashboard", 8080),
    (ServiceSettings, "dashboard_token_file", "token"),
    (Settings, "limits", {"mailbox_capacity": 1}),
    (Settings, "plugins", ({"bundle": "x"},)),
]


def build(cls: type, **arguments: Any) -> Any:
    """An instance of a section, with a bundle where one is needed."""
    return cls(**({"bundle": "x"} if cls is PluginSettings else {}), **arguments)


@pytest.mark.parametrize(("cls", "name", "value"), OUT_OF_RANGE, ids=lambda item: str(item)[:20])
def test_values_out_of_range_are_refused_with_their_key(cls: type, name: str, value: object) -> None:
    """A setting that can't work raises ConfigError (a ValueError) that names class and key."""
    with pytest.raises(ConfigError) as caught:
        build(cls, **{name: value})
    assert isinstance(caught.value, ValueError)
    assert caught.value.source == cls.__name__
    assert caught.value.faults[0].key.startswith(name)


@pytest.mark.parametrize("cls", SECTIONS)
def test_every_field_has_a_check(cls: Any) -> None:
    """No setting is taken unchecked."""
    assert [field.name for field in attrs.fields(cls) if not isinstance(field.validator, Check)] == []


@pytest.mark.parametrize("cls", SECTIONS)
def test_settings_survive_pickling(cls: type) -> None:
    """Settings travel between processes."""
    value = build(cls)
    assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize("cls", SECTIONS)
def test_settings_are_frozen(cls: Any) -> None:
    """Nobody changes settings after they were checked."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(build(cls), attrs.fields(cls)[0].name, None)


def test_request_ceiling_and_policy_have_the_same_fields() -> None:
    """Whatever can be asked for has a ceiling and can be set for one plugin, and the other way round."""
    names = [field.name for field in attrs.fields(Ceiling) if field.name != "trusted_keys"]
    assert [field.name for field in attrs.fields(SandboxRequest)] == names
    assert [field.name for field in attrs.fields(SandboxOverride)] == names
    assert [field.name for field in attrs.fields(Policy)] == [*names, "origins"]


def test_a_mailbox_smaller_than_one_header_is_refused() -> None:
    """Such a mailbox could never take the largest valid frame."""
    with pytest.raises(
        ConfigError, match=r"mailbox_bytes: must be 0 or at least max_header_bytes \(65,536\), not 65,535"
    ):
        LimitSettings(mailbox_bytes=65_535)


@pytest.mark.parametrize(
    ("frames", "expected"), [(1, 1024**2), (100, 1024**2), (1000, 4_096_000), (100_000, 64 * 1024**2)]
)
def test_mailbox_bytes_follow_the_capacity(frames: int, expected: int) -> None:
    """Unset, a mailbox has 4 KiB for each frame, from 1 to 64 MiB."""
    assert LimitSettings().mailbox_bytes_for(frames) == expected


def test_mailbox_bytes_as_configured_go_first() -> None:
    """A configured size does not depend on the capacity."""
    assert LimitSettings(mailbox_bytes=70_000).mailbox_bytes_for(100_000) == 70_000


@given(st.integers(1, 100_000), st.integers(4096, 16 * 1024 * 1024))
def test_every_valid_frame_fits_into_an_empty_mailbox(frames: int, header: int) -> None:
    """The derived size is never less than the largest header."""
    assert LimitSettings(max_header_bytes=header).mailbox_bytes_for(frames) >= header


def test_the_first_pause_is_not_longer_than_the_longest() -> None:
    """A backoff that begins above its own limit is refused."""
    with pytest.raises(ConfigError, match=r"backoff_initial_s: must be at most backoff_max_s \(1\), not 2"):
        SupervisionSettings(backoff_initial_s=2, backoff_max_s=1)


def test_two_plugins_with_one_id_are_refused() -> None:
    """The second of two equal ids is the fault; plugins without an id don't count."""
    plugins = tuple(PluginSettings("x", id=number) for number in (None, 7, None, 8, 7))
    with pytest.raises(ConfigError) as caught:
        Settings(plugins=plugins)
    assert [str(fault) for fault in caught.value.faults] == ["plugins[4].id: must be its own, not 7 of plugins[1]"]


@pytest.mark.parametrize("item", ["keys.pub", "ed25519:x", "ed25519:" + "A" * 43 + "=\n", "", 5, "/a\0b"])
def test_a_trusted_key_is_a_key_or_an_absolute_path(item: Any) -> None:
    """Anything else is refused with what it should be."""
    with pytest.raises(ConfigError, match=r"trusted_keys\[0\]: must be a public key .* or the absolute path of a file"):
        Ceiling(trusted_keys=(item,))
    Ceiling(trusted_keys=("/keys/a.pub", "ed25519:" + "A" * 43 + "="))
