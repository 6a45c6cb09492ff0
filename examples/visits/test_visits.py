"""What the plugin promises. Each test runs twice: in the process of the tests, and in a worker."""

from __future__ import annotations

import cbor2
import pytest

from nyx_plugins import PluginFailed
from nyx_plugins.testing import PluginUnderTest


@pytest.mark.nyx_plugin(companions=["builtin:kv"])
def test_visits_are_counted_in_the_store(plugin: PluginUnderTest) -> None:
    """Each name has a count of its own, which is in the real plugin kv."""
    assert [plugin.request(name) for name in (b"Ada", b"Grace", b"Ada")] == [b"1", b"1", b"2"]
    assert plugin.companions["kv"].request(cbor2.dumps({"op": "get", "key": "Ada"})) == cbor2.dumps(2)


GET = cbor2.dumps({"op": "get", "key": "Ada"})


@pytest.mark.nyx_plugin(stubs={"kv": {GET: cbor2.dumps(6)}, "journal": {}})
def test_a_visit_is_told_to_the_journal(plugin: PluginUnderTest) -> None:
    """Stubs stand for both plugins: one replies as it is told, and what they were sent can be looked at."""
    assert plugin.request(b"Ada") == b"7"
    put = cbor2.dumps({"op": "put", "key": "Ada", "value": 7})
    assert [frame.data for frame in plugin.companions["kv"].emitted] == [GET, put]
    assert [frame.data for frame in plugin.companions["journal"].emitted] == [b"Ada was here, 7 in all"]


@pytest.mark.nyx_plugin(stubs={"kv": {GET: ValueError("the disk is full")}})
def test_a_store_that_fails_fails_the_visit(plugin: PluginUnderTest) -> None:
    """The plugin sees the error that an application would see."""
    with pytest.raises(PluginFailed, match="ValueError: the disk is full"):
        plugin.request(b"Ada")
