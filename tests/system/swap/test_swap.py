"""Swaps that succeed: the state goes along, no frame is lost, and everything tells of the new version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import (
    AsyncPluginSystem,
    Difference,
    Event,
    NyxPluginError,
    PermissionDenied,
    PluginHeader,
    PluginSystem,
    Settings,
    SignatureError,
    SwapRefused,
)
from nyx_plugins.plugins.keys import PrivateKey
from nyx_plugins.plugins.packing import sign_bundle
from nyx_plugins.plugins.signature import sign

from .conftest import DATA, LONG_S, MakeVersion, P, Sender, Traces

CONTROL = 0x53
KEY = PrivateKey.generate()


def ask(system: PluginSystem, number: int) -> bytes | None:
    """Send one frame and return its reply."""
    return system.request(DATA, PluginHeader(P, 0, b"%d" % number), LONG_S)


def test_versions_change_under_load(
    system: PluginSystem, version: MakeVersion, sending: Callable[[PluginSystem], Sender]
) -> None:
    """Frames that come in all the time are processed once each and in order, by one version after the other."""
    system.load(version("1.0"))
    sender = sending(system)
    for number in ("1.1", "1.2", "1.3"):
        sender.await_more()
        report = system.swap(P, version(number))
        assert (report.new_version, report.state_carried, report.swapped) == (number, True, True)
    sender.await_more()
    versions = sender.stop()
    assert list(dict.fromkeys(versions)) == ["1.0", "1.1", "1.2", "1.3"]


def test_a_swap_is_known_everywhere(
    system: PluginSystem, version: MakeVersion, wait_event: Callable[..., list[Event]]
) -> None:
    """Information and events tell of the new version; counters go on."""
    system.load(version("1.0"))
    ask(system, 0)
    before = system.plugin_info(P)
    with system.subscribe() as notices:
        system.swap(P, version("1.1"))
        assert wait_event(notices, "swapped", P)[-1].reason == "1.0 -> 1.1"
    after = system.plugin_info(P)
    assert (before.version, after.version, after.state) == ("1.0", "1.1", "ready")
    assert before.digest != after.digest
    assert ask(system, 1) == b"1.1 1"
    assert system.plugin_stats(P).processed == 2


def test_nothing_is_left_of_the_old_version(
    system: PluginSystem, version: MakeVersion, traces: Traces, transport: str
) -> None:
    """Once swap() returns, the old version's files are gone, and its worker; on_unload has run."""
    system.load(version("1.0", 'def on_unload(self): print("bye")'))
    first = traces.files()
    for number in ("1.1", "1.2"):
        system.swap(P, version(number))
        files = traces.files()
        assert len([name for name in files if name.endswith("plugin.py")]) == 1
        assert len(files) == len(first) + 1
        assert transport == "inline" or len(traces.workers()) == 1
    system.unload(P)
    assert traces.files() == []


def test_a_version_without_state_begins_anew(system: PluginSystem, version: MakeVersion) -> None:
    """A snapshot of None carries nothing, and restore() is not called."""
    system.load(version("1.0", "def snapshot(self): return None"))
    ask(system, 0)
    report = system.swap(P, version("1.1", "def restore(self, state, version): raise AssertionError"))
    assert not report.state_carried
    assert ask(system, 0) == b"1.1 0"


def test_a_paused_plugin_stays_paused(system: PluginSystem, version: MakeVersion) -> None:
    """What waits in the mailbox of a paused plugin is for the new version, once it goes on."""
    system.load(version("1.0"))
    system.pause(P)
    receipt = system.dispatch(DATA, PluginHeader(P, 0, b"0"))
    system.swap(P, version("1.1"))
    assert system.plugin_info(P).state == "paused"
    system.resume(P)
    assert receipt.outcome(LONG_S).reply == b"1.1 0"


def test_growth_is_refused_with_every_difference(
    system: PluginSystem, version: MakeVersion, traces: Traces, tmp_path: Path
) -> None:
    """A version that may do more needs allow_widen; what it may do is in force then, and shrinking needs nothing."""
    system.load(version("1.0", reads=False))
    sandbox = f'[sandbox]\nread_paths = ["{tmp_path}"]\nwall_time_s = 40.0'
    wider = version("1.1", manifest=sandbox, permissions='"data_access", "control"', reads=False)
    before = traces.files()
    with pytest.raises(SwapRefused) as refused:
        system.swap(P, wider)
    grown = ("permissions: 'control' is new", f"read_paths: {str(tmp_path)!r} is new", "wall_time_s: 30.0 becomes 40.0")
    assert refused.value.reasons == grown
    assert (traces.files(), system.plugin_info(P).version) == (before, "1.0")
    report = system.swap(P, wider, allow_widen=True)
    assert tuple(map(str, report.differences)) == grown
    assert system.request(CONTROL, PluginHeader(P, 0, b"")) == b"1.1"
    info = system.plugin_info(P)
    assert info.policy is not None
    assert (info.permissions, info.policy.wall_time_s) == ({"data_access", "control"}, 40.0)
    back = system.swap(P, version("1.2", reads=False))
    assert all(not difference.grows for difference in back.differences)
    with pytest.raises(PermissionDenied):
        system.request(CONTROL, PluginHeader(P, 0, b""))


def test_a_dry_run_only_shows(
    system: PluginSystem, version: MakeVersion, traces: Traces, wait_event: Callable[..., list[Event]]
) -> None:
    """A dry run reports the differences, changes nothing, and is no event."""
    system.load(version("1.0"))
    before = traces.files()
    with system.subscribe() as notices:
        report = system.swap(P, version("1.1", permissions='"control"'), dry_run=True)
        assert (traces.files(), system.plugin_info(P).version) == (before, "1.0")
        system.swap(P, version("1.2"))
        assert [event.reason for event in wait_event(notices, "swapped", P)] == ["1.0 -> 1.2"]
    assert report.differences == (
        Difference("permissions", "'control' is new", True),
        Difference("permissions", "'data_access' is gone", False),
    )
    assert not report.swapped
    assert ask(system, 0) == b"1.2 0"


def test_what_was_granted_and_revoked_stands(system: PluginSystem, version: MakeVersion) -> None:
    """Permissions changed by hand are not the new version's to change back."""
    system.load(version("1.0", permissions='"data_access", "control"'))
    system.revoke(P, "control")
    system.grant(P, "handshake")
    system.swap(P, version("1.1", permissions='"data_access", "control"'))
    assert system.plugin_info(P).permissions == {"data_access", "handshake"}


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ({}, {"name": "other"}, "has to keep its name"),
        ({}, {"manifest": '[requires]\nmissing = ">=1"'}, "missing >=1"),
    ],
)
def test_what_does_not_fit_is_refused(
    system: PluginSystem, version: MakeVersion, old: dict[str, str], new: dict[str, str], error: str
) -> None:
    """Another plugin's bundle, and a version whose requirements are not met, leave the old one in its place."""
    system.load(version("1.0", **old))
    with pytest.raises(NyxPluginError, match=error):
        system.swap(P, version("1.1", **new))
    assert ask(system, 0) == b"1.0 0"


def test_dependents_are_heard(system: PluginSystem, version: MakeVersion, tmp_path: Path) -> None:
    """A version that does not meet what a loaded plugin requires is refused by the name of that plugin."""
    system.load(version("1.0"))
    dependent = version("3.0", manifest='[requires]\ncounter = "<2"', name="dependent")
    system.load(dependent, plugin_id=8)
    with pytest.raises(NyxPluginError, match="dependent"):
        system.swap(P, version("2.0"))
    assert system.swap(P, version("1.9")).new_version == "1.9"


def test_signatures_count_as_for_a_load(
    make_system: Callable[..., PluginSystem], settings: Settings, version: MakeVersion
) -> None:
    """Where keys are trusted, only what one of them has signed takes a plugin's place, and is said to be signed."""
    ceiling = attrs.evolve(settings.ceiling, trusted_keys=(str(KEY.public),))
    system = make_system(attrs.evolve(settings, ceiling=ceiling))
    system.load(signed(version("1.0")))
    new = version("1.1")
    with pytest.raises(SignatureError):
        system.swap(P, new)
    assert ask(system, 0) == b"1.0 0"
    system.swap(P, signed(new))
    assert system.plugin_info(P).signed_by == str(KEY.public)


def signed(bundle: Path) -> Path:
    """Sign a bundle, and return it."""
    sign_bundle(bundle, lambda staged: sign(staged.digest, KEY))
    return bundle


def test_there_has_to_be_something_to_swap(system: PluginSystem, version: MakeVersion) -> None:
    """A plugin that is not there, and a bundle that is not there, are told apart."""
    with pytest.raises(NyxPluginError, match="plugin 7 is not registered"):
        system.swap(P, version("1.0"))
    system.load(version("1.0"))
    with pytest.raises(NyxPluginError, match="nowhere"):
        system.swap(P, "/nowhere")
    assert ask(system, 0) == b"1.0 0"


def test_a_restarted_worker_is_of_the_new_version(system: PluginSystem, version: MakeVersion) -> None:
    """A worker that crashes after a swap is started again as the new version, from its files."""
    system.load(version("1.0"))
    system.swap(
        P,
        version("1.1", "def on_control(self, frame): raise SystemExit(1)", permissions='"data_access", "control"'),
        allow_widen=True,
    )
    assert "crash" in system.dispatch(CONTROL, PluginHeader(P, 0, b"")).outcome(LONG_S).reason
    assert ask(system, 0) == b"1.1 0"


def test_swapping_with_asyncio(runtime_base: Path, settings: Settings, version: MakeVersion, transport: str) -> None:
    """An AsyncPluginSystem swaps as a PluginSystem does."""

    async def main() -> Any:
        async with AsyncPluginSystem(settings, transport=transport) as system:
            await system.load(version("1.0"))
            await system.request(DATA, PluginHeader(P, 0, b"0"))
            report = await system.swap(P, version("1.1"))
            return report.new_version, await system.request(DATA, PluginHeader(P, 0, b"1"))

    assert asyncio.run(main()) == ("1.1", b"1.1 1")
