"""The face of the configuration package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nyx_plugins import config

HEAVY = {"attr", "attrs", "cattrs", "packaging", "tomllib", "logging", "thespian", "difflib"}


def test_every_name_of_the_face_is_there() -> None:
    """``__all__`` is sorted and holds what can be imported."""
    assert config.__all__ == sorted(config.__all__)
    assert {
        name for name in config.__all__ if getattr(config, name).__module__.startswith("nyx_plugins.config")
    } == set(config.__all__)
    assert set(config.__all__) <= set(dir(config))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The error names module and name."""
    with pytest.raises(AttributeError, match=r"module 'nyx_plugins\.config' has no attribute 'Setings'"):
        _ = config.Setings


def test_importing_the_errors_loads_nothing_heavy() -> None:
    """Workers import the errors, and their start-up time counts."""
    script = (
        "import sys; before = set(sys.modules); import nyx_plugins.plugins.errors; "
        f"print(sorted((set(sys.modules) - before) & {HEAVY!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=150, check=True)
    assert done.stdout == "[]\n"
