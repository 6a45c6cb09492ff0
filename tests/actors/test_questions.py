"""The arguments of the public methods, as errors tell them."""

from __future__ import annotations

import pytest

from nyx_plugins import ConfigError
from nyx_plugins.actors import questions


def test_a_wrong_argument_of_load_is_told_without_names_of_classes() -> None:
    """The bundle that was given is named in its place."""
    with pytest.raises(ConfigError) as caught:
        questions.one_plugin("", None, None, None, None, None)
    assert str(caught.value) == "configuration of '': bundle: must be a path, not ''"
