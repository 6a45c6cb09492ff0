"""What the plugin promises. Each test runs twice: in the process of the tests, and in a worker."""

from __future__ import annotations

import pytest
from nyx_plugins.testing import PluginUnderTest


def test_a_name_is_greeted(plugin: PluginUnderTest) -> None:
    """The reply to a name is a greeting."""
    assert plugin.request(b"Ada") == b"Hello, Ada!"


@pytest.mark.nyx_plugin(config={"greeting": "Ciao"})
def test_the_greeting_can_be_configured(plugin: PluginUnderTest) -> None:
    """What the configuration says is said, and logged."""
    assert plugin.request(b"Ada") == b"Ciao, Ada!"
    assert [line.text for line in plugin.logs] == ["greeting with 'Ciao'"]


def test_what_is_no_text_fails(plugin: PluginUnderTest) -> None:
    """A frame that can't be read fails by itself; the plugin goes on."""
    assert plugin.send(b"\xff").reason.startswith("UnicodeDecodeError")
    assert plugin.request(b"Ada") == b"Hello, Ada!"
    assert plugin.stats.errors == 1
