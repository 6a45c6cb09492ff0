"""What can be known of a configuration that has faults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nyx_plugins.config.errors import ConfigError
from nyx_plugins.config.loading import load_settings
from nyx_plugins.config.partial import load_partly
from nyx_plugins.config.settings import LimitSettings, Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the place of a configuration."""
    return tmp_path / "nyx-plugins.toml"


def test_a_configuration_without_faults_is_whole(path: Path) -> None:
    """Everything is as it is loaded."""
    path.write_text('[limits]\nevent_queue = 7\n[[plugins]]\nbundle = "a"\n')
    found = load_partly(path, {})
    assert (found.settings, found.faults) == (load_settings(path, {}), ())
    assert [(item.number, item.settings, item.is_whole) for item in found.plugins] == [
        (0, found.settings.plugins[0], True)
    ]
    assert "ceiling" in found.whole


def test_sections_with_faults_are_as_the_defaults_have_them(path: Path) -> None:
    """The others are as the file and the environment say."""
    path.write_text("[limits]\nevent_queue = 0\n[supervision]\nmax_restarts = 3\n")
    found = load_partly(path, {"NYX_PLUGINS_SUPERVISION_JITTER": "0.5"})
    assert found.settings.limits == LimitSettings()
    assert (found.settings.supervision.max_restarts, found.settings.supervision.jitter) == (3, 0.5)
    assert "limits" not in found.whole and "supervision" in found.whole
    assert [fault.key for fault in found.faults] == ["limits.event_queue"]


@pytest.mark.parametrize("jitter", ["0.5", "much"])
def test_a_variable_hides_no_fault_of_the_file(jitter: str, path: Path) -> None:
    """What does not count now is wrong all the same; a value that only the defaults have accuses nobody."""
    path.write_text('[limits]\nmailbox_capacity = "x"\n[system]\nruntime_dir = "/tmp/\\u0000"\n')
    environ = {
        "NYX_PLUGINS_LIMITS_MAILBOX_CAPACITY": "5",
        "NYX_PLUGINS_RUNTIME_DIR": "/run/some",
        "NYX_PLUGINS_SUPERVISION_JITTER": jitter,
    }
    found = load_partly(path, environ)
    keys = {fault.key for fault in found.faults}
    assert keys - {"NYX_PLUGINS_SUPERVISION_JITTER"} == {"limits.mailbox_capacity", "system.runtime_dir"}
    assert found.settings.limits.mailbox_capacity == 5


def test_plugins_keep_their_numbers_and_their_sound_keys(path: Path) -> None:
    """One without a bundle is nothing; ids are compared even so."""
    path.write_text(
        '[[plugins]]\nid = 1\n[[plugins]]\nbundle = "a"\nid = 2\ncapacity = 0\n[[plugins]]\nbundle = "b"\nid = 2\n'
    )
    found = load_partly(path, {})
    known = [(item.number, Path(item.settings.bundle).name, item.settings.id, item.is_whole) for item in found.plugins]
    assert known == [(1, "a", 2, False), (2, "b", 2, True)]
    assert [fault.key for fault in found.faults] == ["plugins[0].bundle", "plugins[1].capacity", "plugins[2].id"]


@pytest.mark.parametrize("text", ["[[", "plugins = 5", "plugins = [5]", "limits = 5", "ceiling = []"])
def test_what_is_no_configuration_has_its_faults(path: Path, text: str) -> None:
    """They are those of an attempt to load it, and nothing is raised."""
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    found = load_partly(path, {})
    assert (found.settings, found.plugins, found.faults) == (Settings(), (), caught.value.faults)


def test_a_pipe_is_no_configuration(path: Path) -> None:
    """It is refused at once, though it has no writer; an empty file is none the less one, and so is the null device."""
    os.mkfifo(path)
    assert [fault.reason for fault in load_partly(path, {}).faults] == [
        "can't be read: it must be a regular file, not a pipe or a device"
    ]
    assert load_settings(os.devnull, {}) == Settings()
