"""Plugins that send frames to plugins: what arrives, what is refused and how, and what may end meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.settings import PluginSettings
from nyx_plugins.plugins.errors import PluginFailed

ASKER, STORE = 1, 2

STORE_CODE = """
from nyx_plugins.plugins import Plugin


class P(Plugin):
    def on_load(self, ctx):
        self.seen = []

    def on_data(self, frame):
        word, _, rest = frame.data.partition(b" ")
        if word == b"raise":
            raise ValueError("as told")
        if word == b"exit":
            import os
            os._exit(3)
        if word == b"all":
            return b",".join(self.seen)
        self.seen.append(frame.data)
        return None if word == b"quiet" else b"got " + frame.data

    def on_control(self, frame):
        return b"flags %d" % frame.flags
"""

ASKER_CODE = '''
import cbor2

from nyx_plugins.plugins import Plugin


class P(Plugin):
    """Does what the frame says: [send or request, plugin, data, options]."""

    def on_data(self, frame):
        verb, plugin, data, options = cbor2.loads(frame.data)
        try:
            answer = getattr(self.ctx, verb)(plugin, data, **options)
        except Exception as error:
            state = {key: value for key, value in vars(error).items()}
            return cbor2.dumps([type(error).__name__, str(error), state])
        return cbor2.dumps(answer)
'''


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., PluginSettings]:
    """Return a function that makes a bundle of this code, with these lines in its manifest."""

    def make(name: str, plugin_id: int, code: str, tables: str = "", permissions: str = "") -> PluginSettings:
        folder = tmp_path / f"{name}-{plugin_id}"
        folder.mkdir()
        (folder / "plugin.py").write_text(code)
        (folder / "plugin.toml").write_text(
            f'id = {plugin_id}\nname = "{name}"\nversion = "1.0"\napi_version = 1\nentry_point = "plugin:P"\n'
            f'permissions = ["data_access", "control"{permissions}]\n{tables}'
        )
        return PluginSettings(str(folder))

    return make


@pytest.fixture
def system(lent: PluginSystem) -> PluginSystem:
    """Return a running system without plugins."""
    return lent


@pytest.fixture
def pair(system: PluginSystem, bundle: Callable[..., PluginSettings]) -> PluginSystem:
    """Return a system with a plugin that asks and a store that it may ask."""
    tables = '[requires]\nstore = ">=1"\n[optional]\nmaps = ">=2"\n'
    results = system.load_many(
        [bundle("asker", ASKER, ASKER_CODE, tables, ', "inter_plugin"'), bundle("store", STORE, STORE_CODE)]
    )
    assert [result.plugin_id for result in results] == [ASKER, STORE]  # type: ignore[union-attr]
    return system


def asked(system: PluginSystem, verb: str, plugin: str | int, data: bytes, **options: object) -> object:
    """Let the asker ask, and return what it got."""
    import cbor2

    reply = system.request(0x52, PluginHeader(ASKER, 0, cbor2.dumps([verb, plugin, data, options])), timeout=60.0)
    assert reply is not None
    return cbor2.loads(reply)


def test_frames_arrive_in_order_and_replies_come_back(pair: PluginSystem) -> None:
    """By name or by id, of any type, with flags; ``send`` returns when the frame is accepted."""
    assert asked(pair, "request", "store", b"one") == b"got one"
    assert asked(pair, "request", STORE, b"two") == b"got two"
    assert asked(pair, "request", "store", b"quiet") is None
    assert asked(pair, "send", "store", b"three") is None
    assert asked(pair, "request", "store", b"", frame_type=0x53, flags=8) == b"flags 8"
    assert asked(pair, "request", "store", b"all") == b"one,two,quiet,three"
    assert pair.plugin_stats(STORE).messages_processed == 6


def test_a_handler_that_fails_is_the_askers_error_and_not_its_end(pair: PluginSystem) -> None:
    """The error is that of an application."""
    name, text, state = asked(pair, "request", "store", b"raise")  # type: ignore[misc]
    assert (name, state["plugin_id"], state["step"]) == ("PluginFailed", STORE, "failed")
    assert text == str(PluginFailed(STORE, "ValueError: as told", "failed"))
    assert asked(pair, "send", "store", b"raise") is None


def test_a_revoke_is_in_force_when_it_returns(pair: PluginSystem) -> None:
    """The sender is denied, and it is its violation; a grant lets it through again."""
    pair.revoke(ASKER, "inter_plugin")
    name, text, state = asked(pair, "send", "store", b"one")  # type: ignore[misc]
    assert (name, state["plugin_id"], state["permission"]) == ("PermissionDenied", ASKER, "inter_plugin")
    assert "sending to other plugins needs" in text
    assert pair.plugin_stats(STORE).accepted == 0
    assert pair.plugin_stats(ASKER).permission_violations == 1
    pair.grant(ASKER, "inter_plugin")
    assert asked(pair, "request", "store", b"two") == b"got two"


def test_what_is_not_declared_or_not_there_is_told_apart(pair: PluginSystem) -> None:
    """So is the plugin itself, which it can't reach."""
    for plugin, expected in (
        ("other", "DependencyUndeclared"),
        (ASKER, "DependencyUndeclared"),
        ("asker", "DependencyUndeclared"),
        (4711, "DependencyUndeclared"),
        ("maps", "DependencyMissing"),
    ):
        name, *_ = asked(pair, "request", plugin, b"")  # type: ignore[misc]
        assert name == expected


def test_the_receivers_permission_counts_too(pair: PluginSystem) -> None:
    """It is the receiver that lacks it then."""
    pair.revoke(STORE, "control")
    name, _, state = asked(pair, "request", "store", b"", frame_type=0x53)  # type: ignore[misc]
    assert (name, state["plugin_id"], state["permission"]) == ("PermissionDenied", STORE, "control")


def test_a_full_mailbox_makes_the_sender_wait_in_vain(pair: PluginSystem) -> None:
    """A paused plugin takes what it has room for; then it is a timeout, and no frame is lost or doubled."""
    pair.pause(STORE)
    # The other half of its room is the application's.
    assert [asked(pair, "send", "store", b"%d" % number) for number in range(50)] == [None] * 50
    for number in range(50, 53):
        assert asked(pair, "send", "store", b"%d" % number, timeout=0.05)[0] == "DispatchTimeout"  # type: ignore[index]
    pair.resume(STORE)
    everything = asked(pair, "request", "store", b"all")
    assert everything == b",".join(b"%d" % number for number in range(50))


@pytest.mark.needs_worker(reason="the worker of the dependency ends")
def test_a_dependency_that_crashes_fails_the_request_and_serves_the_next(pair: PluginSystem) -> None:
    """The frame is dead-lettered as anybody's would be."""
    name, text, state = asked(pair, "request", "store", b"exit")  # type: ignore[misc]
    assert (name, state["step"]) == ("PluginFailed", "dead_lettered")
    assert "crash" in text
    assert asked(pair, "request", "store", b"again", timeout=60.0) == b"got again"


@pytest.mark.needs_worker(reason="the worker of the sender ends")
def test_what_a_sender_has_sent_is_processed_though_it_crashes(
    system: PluginSystem, bundle: Callable[..., PluginSettings]
) -> None:
    """Each accepted frame has one outcome, and the sender's next worker goes on."""
    code = ASKER_CODE.replace(
        "        return cbor2.dumps(answer)",
        '        if data == b"last":\n            __import__("os")._exit(3)\n        return cbor2.dumps(answer)',
    )
    tables = '[requires]\nstore = ">=1"\n'
    system.load_many([bundle("asker", ASKER, code, tables, ', "inter_plugin"'), bundle("store", STORE, STORE_CODE)])
    import cbor2

    last = cbor2.dumps(["send", "store", b"last", {}])
    assert str(system.dispatch(0x52, PluginHeader(ASKER, 0, last)).outcome(60.0).kind) == "dead_lettered"
    assert asked(system, "request", "store", b"all") == b"last"
    stats = system.plugin_stats(STORE)
    assert (stats.accepted, stats.processed, stats.dead_lettered) == (2, 2, 0)


def test_nothing_is_sent_before_the_plugin_is_ready(
    system: PluginSystem, bundle: Callable[..., PluginSettings]
) -> None:
    """What may fail to load must not have had effects elsewhere."""
    code = "from nyx_plugins.plugins import Plugin\n\n\nclass P(Plugin):\n    def on_load(self, ctx):\n        "
    early = bundle("early", 3, code + 'ctx.send("store", b"")\n', '[requires]\nstore = ""\n', ', "inter_plugin"')
    _, error = system.load_many([bundle("store", STORE, STORE_CODE), early])
    assert isinstance(error, PluginFailed)
    assert "PluginNotLoaded: plugin 3 is not loaded: its state is 'starting'" in error.reason
    assert system.plugin_stats(STORE).accepted == 0
