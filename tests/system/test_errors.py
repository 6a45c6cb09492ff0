"""Every error class, provoked through the public API: its attributes, its text, the builtin that it also is."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

import nyx_plugins
from nyx_plugins import PluginHeader, PluginSystem, load_settings
from nyx_plugins.actors import inheritance
from nyx_plugins.actors.backlog import Backlog, Holder, KeptFrame
from nyx_plugins.actors.dead_letters import Bounds, DeadLetters
from nyx_plugins.actors.journal import Journal
from nyx_plugins.actors.segments import Segments
from nyx_plugins.actors.service_file import Claim
from nyx_plugins.config import errors as config_errors
from nyx_plugins.config.errors import ConfigError, DocumentError, NyxPluginError, StartupError
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import PluginSettings, Settings, SupervisionSettings, SystemSettings
from nyx_plugins.plugins import errors as plugin_errors
from nyx_plugins.plugins.errors import (
    AlreadyLoaded,
    BacklogOfAnother,
    BundleChanged,
    BundleError,
    DeadLetterUnknown,
    DependencyConflict,
    DependencyCycle,
    DependencyMissing,
    DependentsLoaded,
    DispatchTimeout,
    EnforcementTooWeak,
    FrameError,
    HandshakeRefused,
    HandshakeRequired,
    InvalidFrameType,
    JournalCorrupt,
    JournalFailed,
    KeyUnusable,
    MailboxFull,
    ManifestError,
    PermissionDenied,
    PluginFailed,
    PluginNotFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginQuarantined,
    PolicyRefused,
    SandboxViolation,
    ServiceNotRunning,
    ServiceRunning,
    SignatureError,
    SigningUnavailable,
    SwapFailed,
    SwapRefused,
    SystemStopped,
)
from nyx_plugins.plugins.integrity import check_copy
from nyx_plugins.plugins.keys import PrivateKey

DATA, CONTROL = 0x52, 0x53
PROVOKED: set[type] = set()


def provokes(kind: type[NyxPluginError], builtin: type[Exception] = Exception) -> Callable[[Any], Any]:
    """Note that a test provokes this class, which callers can catch as ``builtin`` too."""
    assert issubclass(kind, builtin)
    PROVOKED.add(kind)
    return lambda test: test


def check(error: BaseException | None, kind: type[NyxPluginError], text: str, **attributes: Any) -> None:
    """Compare class, text and attributes, also after a journey between processes."""
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert type(one) is kind
        assert str(one) == text
        assert {name: getattr(one, name) for name in attributes} == attributes


@pytest.fixture(scope="module", params=["unix", "inline"])
def live(request: pytest.FixtureRequest, short_folder: Callable[[], Path]) -> Iterator[PluginSystem]:
    """Run one system for each transport, with two healthy plugins in it."""
    base = short_folder()
    settings = Settings(system=SystemSettings(transport=request.param, runtime_dir=str(base)))
    with PluginSystem(settings) as system:
        system.load("builtin:echo")
        system.load("builtin:kv")
        yield system
    assert list(base.iterdir()) == []


def refusals(system: PluginSystem, frame_type: int, header: bytes) -> Iterator[BaseException | None]:
    """Send a frame in each of the ways there are, and yield what each of them raises."""
    for send in (system.dispatch, system.dispatch_nowait, system.request):
        with pytest.raises(NyxPluginError) as caught:
            send(frame_type, header)
        yield caught.value
    for wait in (True, False):
        [result] = system.dispatch_many([(frame_type, header)], wait=wait)
        assert isinstance(result, NyxPluginError)
        yield result


def header(plugin_id: int, data: bytes = b"", flags: int = 0) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, flags, data).encode()


def test_every_error_class_is_provoked_here() -> None:
    """All classes but the two that are bases of others have a test in this file, and are exported."""
    found = {
        value
        for module in (config_errors, plugin_errors)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, NyxPluginError)
    }
    # Some only plugins meet, in their workers: see tests/plugins/worker/test_http.py and test_correspondence.py.
    in_workers = {plugin_errors.RedirectRefused, plugin_errors.ResponseTooLarge, plugin_errors.DependencyUndeclared}
    # Nobody meets this one unless processes are killed: tests/actors/test_answers_again.py.
    after_kills = {plugin_errors.RefusalLost}
    assert found - PROVOKED == {NyxPluginError, DocumentError} | in_workers | after_kills
    assert {kind.__name__ for kind in PROVOKED} <= set(nyx_plugins.__all__)


# Frames that are refused.


@provokes(InvalidFrameType, ValueError)
@pytest.mark.parametrize("frame_type", [0x50, 0x55, 0x5F, 0, 0x152])
def test_invalid_frame_type(frame_type: int, live: PluginSystem) -> None:
    """A frame type that is not 0x51 to 0x54 is refused before anything else is looked at."""
    for error in refusals(live, frame_type, b"no header either"):
        expected = "expected 0x51 to 0x54, or one that the configuration names"
        text = f"frame type 0x{frame_type:02x} is not a plugin frame: {expected}"
        check(error, InvalidFrameType, text, frame_type=frame_type)


@provokes(FrameError, ValueError)
def test_frame_error(live: PluginSystem) -> None:
    """A malformed header is refused with what is wrong, and where."""
    good = header(1002, b"x")
    for error in refusals(live, DATA, good + b"!"):
        assert isinstance(error, FrameError)
        assert error.offset == len(good)
        check(error, FrameError, f"malformed frame at byte {len(good)}: {error.what}", what=error.what)
    with pytest.raises(FrameError):
        PluginHeader(1 << 32, 0, b"")


@provokes(PluginNotRegistered, LookupError)
def test_plugin_not_registered(live: PluginSystem) -> None:
    """An id that nobody has is refused; a REQUIRED frame carries the CLOSE that its peer is owed."""
    for error in refusals(live, DATA, header(2)):
        check(error, PluginNotRegistered, "plugin 2 is not registered", plugin_id=2, close=None)
    close = bytes.fromhex("000700000002")
    text = "plugin 2 is not registered; the frame was REQUIRED, so the peer is owed CLOSE 000700000002"
    for error in refusals(live, DATA, header(2, flags=1)):
        check(error, PluginNotRegistered, text, plugin_id=2, close=close)
    for ask in (live.plugin_stats, live.plugin_info, live.unload, live.pause, live.resume):
        with pytest.raises(PluginNotRegistered) as caught:
            ask(2)
        check(caught.value, PluginNotRegistered, "plugin 2 is not registered", plugin_id=2)
    for change in (live.grant, live.revoke):
        with pytest.raises(PluginNotRegistered):
            change(2, "control")


@provokes(PluginNotLoaded, LookupError)
def test_plugin_not_loaded(
    live: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """What asks a registered plugin for something that its state does not allow says which state it is."""
    live.load(fault("plugin_that_exits_cleanly", '[restart]\npolicy = "temporary"\n', plugin_id))
    with live.subscribe() as events:
        live.dispatch(DATA, header(plugin_id, b"crash"))
        wait_event(events, "failed", plugin_id)
    with pytest.raises(PluginNotLoaded) as caught:
        live.pause(plugin_id)
    text = f"plugin {plugin_id} is not loaded: its state is 'failed'"
    check(caught.value, PluginNotLoaded, text, plugin_id=plugin_id, state="failed")


@provokes(PluginNotLoaded, LookupError)
def test_plugin_not_ready(live: PluginSystem, plugin_id: int) -> None:
    """Of one that is loaded, the error does not say the contrary, but what is in the way and what to do."""
    live.load("builtin:echo", plugin_id=plugin_id)
    live.pause(plugin_id)
    with pytest.raises(PluginNotLoaded) as caught:
        live.scale(plugin_id, 2)
    text = f"plugin {plugin_id} is paused: its state has to be 'ready' for that; resume it first"
    check(caught.value, PluginNotLoaded, text, plugin_id=plugin_id, state="paused")
    live.resume(plugin_id)


@provokes(PermissionDenied, PermissionError)
def test_permission_denied(live: PluginSystem) -> None:
    """A frame whose permission the plugin lacks is refused; the error names both."""
    text = "plugin 1003 has no permission 'control', which frame type 0x53 needs"
    for error in refusals(live, CONTROL, header(1003)):
        check(error, PermissionDenied, text, plugin_id=1003, permission="control", frame_type=CONTROL)


@provokes(SandboxViolation, PermissionError)
def test_sandbox_violation(live: PluginSystem) -> None:
    """A control frame that asks for what the policy does not allow is refused; the error holds the request."""
    request = "SBX:OPEN /etc/passwd"
    for error in refusals(live, CONTROL, header(1002, request.encode())):
        assert isinstance(error, SandboxViolation)
        assert "/etc/passwd" in error.reason
        text = f"plugin 1002: {request!r} denied by policy: {error.reason}"
        check(error, SandboxViolation, text, plugin_id=1002, request=request)


@provokes(HandshakeRequired, ConnectionError)
def test_handshake_required(live: PluginSystem, plugin_id: int) -> None:
    """Data for a plugin that wants to be greeted first is refused."""
    live.load("builtin:echo", plugin_id=plugin_id, require_handshake=True)
    text = (
        f"plugin {plugin_id} takes frames of type 0x52 only after a handshake: send one (0x51), and go on once it is"
        " processed"
    )
    for error in refusals(live, DATA, header(plugin_id)):
        check(error, HandshakeRequired, text, plugin_id=plugin_id, frame_type=DATA)


@provokes(HandshakeRefused, ConnectionError)
def test_handshake_refused(live: PluginSystem, plugin_id: int) -> None:
    """A greeting that comes to nothing is refused; the error carries the CLOSE."""
    live.load("builtin:echo", plugin_id=plugin_id, require_handshake=True)
    close = b"\0\7" + plugin_id.to_bytes(4, "big")
    reason = "its data is no handshake: truncated: an item is due"
    text = f"plugin {plugin_id} refuses the handshake: {reason}; the peer is owed CLOSE {close.hex()}"
    for error in refusals(live, 0x51, header(plugin_id)):
        check(error, HandshakeRefused, text, plugin_id=plugin_id, reason=reason, close=close)


# Frames that do not get on.


@provokes(MailboxFull)
def test_mailbox_full_of_frames(live: PluginSystem, plugin_id: int) -> None:
    """Without waiting, a frame that finds no room is refused at once; the error says how many there are room for."""
    live.load("builtin:echo", plugin_id=plugin_id, capacity=2)
    live.pause(plugin_id)
    for _ in range(2):
        live.dispatch(DATA, header(plugin_id))
    with pytest.raises(MailboxFull) as caught:
        live.dispatch_nowait(DATA, header(plugin_id))
    text = f"mailbox of plugin {plugin_id} is full: 2 of 2 frames taken"
    check(caught.value, MailboxFull, text, plugin_id=plugin_id, depth=2, capacity=2, unit="frames")
    live.resume(plugin_id)


@provokes(MailboxFull)
def test_mailbox_full_of_bytes(live: PluginSystem, plugin_id: int) -> None:
    """A mailbox is bounded in bytes too; the error says so."""
    live.load("builtin:echo", plugin_id=plugin_id, capacity_bytes=65_536)
    live.pause(plugin_id)
    frame = header(plugin_id, bytes(40_000))
    live.dispatch(DATA, frame)
    with pytest.raises(MailboxFull) as caught:
        live.dispatch_nowait(DATA, frame)
    error = caught.value
    text = f"mailbox of plugin {plugin_id} is full: {error.depth} of {error.capacity} bytes taken"
    check(error, MailboxFull, text, plugin_id=plugin_id, unit="bytes")
    assert len(frame) <= error.depth <= error.capacity
    live.resume(plugin_id)


@provokes(DispatchTimeout, TimeoutError)
def test_dispatch_timeout(live: PluginSystem, plugin_id: int) -> None:
    """Whatever is waited for in vain is named, with the time; the receipt is there if the frame is on its way."""
    live.load("builtin:echo", plugin_id=plugin_id, capacity=1)
    live.pause(plugin_id)
    receipt = live.dispatch(DATA, header(plugin_id))
    with pytest.raises(DispatchTimeout) as caught:
        receipt.outcome(0.05)
    assert caught.value.receipt is receipt
    caught.value.receipt = None
    text = f"plugin {plugin_id}: an outcome not within 0.05 s"
    check(caught.value, DispatchTimeout, text, plugin_id=plugin_id, what="an outcome", timeout=0.05)
    with pytest.raises(DispatchTimeout) as caught:
        live.dispatch(DATA, header(plugin_id), timeout=0.05)
    what = f"room in its mailbox (mailbox of plugin {plugin_id} is full: 1 of 1 frames taken)"
    text = f"plugin {plugin_id}: {what} not within 0.05 s"
    check(caught.value, DispatchTimeout, text, plugin_id=plugin_id, what=what, receipt=None)
    with pytest.raises(DispatchTimeout) as caught:
        live.drain(0.05)
    text = f"outcomes of 1 frames (by plugin: {{{plugin_id}: 1}}) not within 0.05 s"
    check(caught.value, DispatchTimeout, text, plugin_id=None, timeout=0.05)
    live.resume(plugin_id)
    assert receipt.outcome(10.0).reply == b""


@provokes(PluginFailed, RuntimeError)
def test_plugin_failed_in_a_handler(live: PluginSystem, fault: Callable[..., Path], plugin_id: int) -> None:
    """A request to a handler that raises raises PluginFailed with what the handler raised."""
    live.load(fault("raising_plugin", plugin_id=plugin_id))
    with pytest.raises(PluginFailed) as caught:
        live.request(DATA, header(plugin_id, b"raise"))
    reason = "ValueError: this frame is not to my taste"
    text = f"plugin {plugin_id} failed (failed): {reason}"
    check(caught.value, PluginFailed, text, plugin_id=plugin_id, reason=reason, step="failed")


@provokes(PluginFailed, RuntimeError)
def test_plugin_failed_because_it_was_given_up(
    live: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """Once a plugin is failed for good, frames for it are refused with PluginFailed in every way of sending."""
    live.load(fault("plugin_that_exits_cleanly", '[restart]\npolicy = "temporary"\n', plugin_id))
    with live.subscribe() as events:
        assert live.dispatch(DATA, header(plugin_id, b"crash")).outcome(10.0).kind == "dead_lettered"
        wait_event(events, "failed", plugin_id)
    # The session's routes may be told a moment later than its events.
    with pytest.raises(PluginFailed):
        live.request(DATA, header(plugin_id))
    live.plugin_stats(plugin_id)
    for error in refusals(live, DATA, header(plugin_id)):
        assert isinstance(error, PluginFailed)
        assert (error.plugin_id, error.step) == (plugin_id, "dispatch")


@provokes(PluginQuarantined, PermissionError)
def test_plugin_quarantined(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any], transport: str
) -> None:
    """Once a worker has broken its bounds too often, frames for its plugin are refused in every way of sending."""
    if transport == "inline":
        pytest.skip("a worker of its own is what can break the protocol")
    system = make_system(Settings(supervision=SupervisionSettings(max_violations=0)))
    system.load(fault("plugin_that_scribbles_on_its_socket"))
    with system.subscribe() as events:
        system.dispatch(DATA, header(1, b"!" + bytes(4)))
        wait_event(events, "quarantined", 1)
    with pytest.raises(PluginQuarantined):
        system.request(DATA, header(1))
    system.plugin_stats(1)
    reason = "its worker has broken its bounds too often"
    text = f"plugin 1 is quarantined: {reason}; see its events and its log, mend it, then unload and load it"
    for error in refusals(system, DATA, header(1)):
        check(error, PluginQuarantined, text, plugin_id=1, reason=reason)


# Here a filter makes the kernel seem to have no Landlock (system call 444).
WITHOUT_LANDLOCK = """
import ctypes, pickle, struct, sys
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50026), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)), 0, 0) == 0
from nyx_plugins import NyxPluginError, PluginSystem
with PluginSystem() as system:
    try:
        system.load("builtin:echo")
    except NyxPluginError as error:
        sys.stdout.buffer.write(pickle.dumps(error))
"""


@provokes(EnforcementTooWeak, PermissionError)
def test_enforcement_too_weak(runtime_base: Path) -> None:
    """On a machine that can enforce less than is required, nothing is loaded."""
    command = [sys.executable, "-c", WITHOUT_LANDLOCK]
    error = pickle.loads(subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout)
    [reason] = error.reasons
    assert reason.startswith("landlock: the kernel offers no Landlock (Function not implemented): it has to be 6.2 or ")
    text = (
        "plugin 1002 can't be confined as required: this machine enforces policies at level partial, and"
        f" system.require_enforcement is full: {reason}"
    )
    check(error, EnforcementTooWeak, text, plugin_id=1002, level="partial", required="full", reasons=(reason,))


@provokes(SystemStopped, RuntimeError)
def test_system_stopped(make_system: Callable[..., PluginSystem]) -> None:
    """After close() everything raises SystemStopped with the reason, and what was pending has ended too."""
    system = make_system()
    system.load("builtin:echo")
    system.pause(1002)
    receipt = system.dispatch(DATA, header(1002))
    with system.subscribe() as events:
        system.close(timeout=0.0)
        list(events)
    assert receipt.done
    text = "the plugin system has stopped: it was closed"
    for use in (
        lambda: system.dispatch(DATA, header(1002)),
        lambda: system.dispatch_nowait(DATA, header(1002)),
        lambda: system.dispatch_many([(DATA, header(1002))]),
        lambda: system.request(DATA, header(1002)),
        lambda: system.load("builtin:kv"),
        lambda: system.unload(1002),
        lambda: system.plugin_stats(1002),
        system.dispatch_stats,
    ):
        with pytest.raises(SystemStopped) as caught:
            use()
        check(caught.value, SystemStopped, text, reason="it was closed")


# Bundles that are refused.


@provokes(AlreadyLoaded, ValueError)
def test_already_loaded(live: PluginSystem) -> None:
    """Loading an id that is taken names the id and the state of its holder."""
    with pytest.raises(AlreadyLoaded) as caught:
        live.load("builtin:echo")
    text = "plugin 1002 is already loaded: its state is 'ready'"
    check(caught.value, AlreadyLoaded, text, plugin_id=1002, state="ready")


@provokes(ManifestError, ValueError)
def test_manifest_error(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """A manifest is refused with all its faults, each with its key."""
    bundle = fault("raising_plugin", 'capacity = 0\ncolour = "red"\n', plugin_id=1)
    with pytest.raises(ManifestError) as caught:
        live.load(bundle)
    error = caught.value
    assert {fault.key for fault in error.faults} == {"capacity", "colour"}
    assert error.source == f"{bundle}/plugin.toml"
    text = f"manifest {error.source}: " + "; ".join(f"{key}: {reason}" for key, reason in error.faults)
    check(error, ManifestError, text, source=error.source, faults=error.faults)


@provokes(BundleError, ValueError)
def test_bundle_error(live: PluginSystem, tmp_path: Path) -> None:
    """A bundle that can't be read is named, with the reason."""
    for source, reason in {
        str(tmp_path): "has no plugin.toml",
        str(tmp_path / "nowhere"): "it can't be read: No such file or directory",
        "builtin:nowhere": "there is no bundled plugin 'nowhere', only echo, kv, wordcount",
    }.items():
        with pytest.raises(BundleError) as caught:
            live.load(source)
        check(caught.value, BundleError, f"bundle {source}: {reason}", source=source, reason=reason)


@provokes(PolicyRefused, PermissionError)
def test_policy_refused(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """A bundle that asks for more than the ceiling allows is refused with every reason."""
    with pytest.raises(PolicyRefused) as caught:
        live.load(fault("raising_plugin", '[sandbox]\nnetwork = ["*"]\nsubprocesses = true\n', plugin_id=1))
    reasons = caught.value.reasons
    assert [reason.partition(":")[0] for reason in reasons] == ["network", "subprocesses"]
    text = "plugin 1 asks for more than the ceiling allows: " + "; ".join(reasons)
    check(caught.value, PolicyRefused, text, plugin_id=1, reasons=reasons)


@provokes(DependencyMissing, LookupError)
def test_dependency_missing(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """A bundle whose requirements are not met is refused with every one of them."""
    with pytest.raises(DependencyMissing) as caught:
        live.load(fault("raising_plugin", '[requires]\necho = ">=2"\ngeo = "<2"\n', plugin_id=1))
    missing = ("echo >=2 (loaded: 1.0.0)", "geo <2 (not loaded)")
    text = "plugin 1 requires echo >=2 (loaded: 1.0.0), geo <2 (not loaded)"
    check(caught.value, DependencyMissing, text, plugin_id=1, missing=missing)


@provokes(DependencyConflict, RuntimeError)
def test_dependency_conflict(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """A bundle that requires a version that another plugin excludes is refused with both ranges."""
    live.load(fault("obedient_plugin", '[requires]\necho = "<2"\n', plugin_id=2))
    try:
        with pytest.raises(DependencyConflict) as caught:
            live.load(fault("raising_plugin", '[requires]\necho = ">=2"\n', plugin_id=1))
        conflict = "echo >=2 (loaded: 1.0.0), and obedient_plugin (2) requires echo <2"
        text = f"plugin 1 conflicts with others: {conflict}: no one version fits both"
        check(caught.value, DependencyConflict, text, plugin_id=1, conflicts=(conflict,))
    finally:
        live.unload(2)


@provokes(DependencyCycle, ValueError)
def test_dependency_cycle(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """Plugins that need each other are refused with the whole cycle."""
    bundles = [
        fault("raising_plugin", '[requires]\nobedient_plugin = ">=1"\n', plugin_id=1),
        fault("obedient_plugin", '[optional]\nraising_plugin = ">=1"\n', plugin_id=2),
    ]
    one, two = live.load_many([PluginSettings(str(bundle)) for bundle in bundles])
    cycle = ("raising_plugin", "obedient_plugin", "raising_plugin")
    text = f"plugin 1 depends on itself: {' -> '.join(cycle)}; break the cycle"
    check(one, DependencyCycle, text, plugin_id=1, cycle=cycle)
    assert isinstance(two, DependencyCycle)


@provokes(DependentsLoaded, RuntimeError)
def test_dependents_loaded(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """What others require is not unloaded, and they are named."""
    live.load(fault("talking_plugin", plugin_id=3))
    live.load(fault("obedient_plugin", '[requires]\ntalking_plugin = "<2"\n', plugin_id=2))
    try:
        with pytest.raises(DependentsLoaded) as caught:
            live.unload(3)
        text = "plugin 3 is required by obedient_plugin (2): unload them first, or with it (cascade)"
        check(caught.value, DependentsLoaded, text, plugin_id=3, dependents={2: "obedient_plugin"})
    finally:
        live.unload(3, cascade=True)


@provokes(PluginNotFailed, ValueError)
def test_plugin_not_failed(live: PluginSystem) -> None:
    """What works is not reset."""
    with pytest.raises(PluginNotFailed) as caught:
        live.reset(1002)
    text = "plugin 1002 can't be reset: its state is 'ready', and only failed and quarantined plugins can"
    check(caught.value, PluginNotFailed, text, plugin_id=1002, state="ready")


@provokes(SwapRefused, PermissionError)
def test_swap_refused(live: PluginSystem, fault: Callable[..., Path], plugin_id: int) -> None:
    """Another plugin is no new version; every reason is in the error."""
    live.load("builtin:echo", plugin_id=plugin_id)
    with pytest.raises(SwapRefused) as caught:
        live.swap(plugin_id, fault("obedient_plugin"))
    reasons = "; ".join(caught.value.reasons)
    text = f"plugin {plugin_id} is not swapped: the new version does not fit: {reasons}"
    check(caught.value, SwapRefused, text, plugin_id=plugin_id, widens=False)
    assert "obedient_plugin" in reasons


@provokes(SwapFailed, RuntimeError)
def test_swap_failed(live: PluginSystem, fault: Callable[..., Path], tmp_path: Path, plugin_id: int) -> None:
    """A new version that can't be loaded leaves the old one in its place."""
    live.load(bundle := fault("obedient_plugin", plugin_id=plugin_id))
    broken = shutil.copytree(bundle, tmp_path / "broken")
    (broken / "plugin.py").write_text("raise ValueError('as told')")
    with pytest.raises(SwapFailed) as caught:
        live.swap(plugin_id, broken)
    error = caught.value
    text = f"plugin {plugin_id} is not swapped ({error.step}): {error.reason}; the old version goes on"
    check(error, SwapFailed, text, plugin_id=plugin_id)
    assert "ValueError: as told" in error.reason
    assert live.request(DATA, header(plugin_id, b"a")) == b"a"


# Systems that do not start.


@provokes(ConfigError, ValueError)
@pytest.mark.parametrize("start", [load_settings, PluginSystem])
def test_config_error(start: Callable[[Path], Any], tmp_path: Path) -> None:
    """A configuration is refused with all its faults, each with its key, before anything is started."""
    path = tmp_path / "nyx-plugins.toml"
    path.write_text('[limits]\nmailbox_capacity = 0\n[system]\ntransprot = "unix"\n')
    with pytest.raises(ConfigError) as caught:
        start(path)
    error = caught.value
    assert {fault.key for fault in error.faults} == {"limits.mailbox_capacity", "system.transprot"}
    assert "did you mean 'transport'?" in str(error)
    text = f"configuration {path}: " + "; ".join(f"{key}: {reason}" for key, reason in error.faults)
    check(error, ConfigError, text, source=str(path), faults=error.faults)


@provokes(StartupError, OSError)
@pytest.mark.parametrize("key", ["runtime_dir", "state_dir"])
def test_startup_error_for_a_directory(key: str, transport: str, short_folder: Callable[[], Path]) -> None:
    """A directory that can't be made is named, with the reason, and no process is left."""
    blocked = short_folder() / "file" / "dir"
    blocked.parent.write_text("in the way")
    settings = Settings(system=attrs.evolve(SystemSettings(transport=transport), **{key: str(blocked)}))
    with pytest.raises(StartupError) as caught:
        PluginSystem(settings)
    assert str(blocked) in str(caught.value)
    assert "Not a directory" in str(caught.value)
    check(caught.value, StartupError, caught.value.reason, reason=caught.value.reason)


@provokes(StartupError, OSError)
@pytest.mark.needs_worker(reason="inline has no sockets")
def test_startup_error_for_a_path_that_is_too_long(transport: str, tmp_path: Path) -> None:
    """Where no socket's path would fit into 107 bytes, nothing is started."""
    base = tmp_path / ("x" * 100)
    with pytest.raises(StartupError) as caught:
        PluginSystem(Settings(system=SystemSettings(transport=transport, runtime_dir=str(base))))
    assert f"{len(str(base))} bytes, and 75 is the most" in caught.value.reason
    check(caught.value, StartupError, caught.value.reason, reason=caught.value.reason)
    assert not base.exists()


@provokes(StartupError, OSError)
def test_startup_error_for_a_state_directory_in_use(transport: str, runtime_base: Path, tmp_path: Path) -> None:
    """A second system on a state directory is refused, and told whose it is; the first loses nothing."""
    with PluginSystem(transport=transport, state_dir=tmp_path) as first:
        first.load("builtin:echo")
        with pytest.raises(StartupError) as caught:
            PluginSystem(transport=transport, state_dir=tmp_path)
        assert f"state directory {tmp_path} is in use by another system (process {first.host_pid})" in str(caught.value)
        assert len(list(runtime_base.iterdir())) == 1
        assert [info.plugin_id for info in first.plugins()] == [1002]
    with PluginSystem(transport=transport, state_dir=tmp_path) as second:
        assert [info.plugin_id for info in second.plugins()] == [1002]


# Services.


@provokes(ServiceNotRunning, ConnectionError)
def test_service_not_running(tmp_path: Path) -> None:
    """A directory in which no service runs is named, and what to do."""
    with pytest.raises(ServiceNotRunning) as caught:
        PluginSystem.connect(tmp_path)
    text = f"no service is running in {tmp_path}: start one with 'nyx-plugins serve'"
    check(caught.value, ServiceNotRunning, text, runtime_dir=str(tmp_path))


@provokes(ServiceRunning, RuntimeError)
def test_service_running(tmp_path: Path) -> None:
    """A directory has one service at a time; the other's process is named."""
    claim = Claim(tmp_path)
    with pytest.raises(ServiceRunning) as caught:
        Claim(tmp_path)
    claim.release()
    text = (
        f"a service is already running in {tmp_path}, as process {os.getpid()}: stop it first (nyx-plugins stop),"
        " or give this one a runtime directory of its own"
    )
    check(caught.value, ServiceRunning, text, runtime_dir=str(tmp_path), pid=os.getpid())


# What a plugin is configured with.


def test_a_configuration_that_no_plugin_can_be_given_is_refused(live: PluginSystem, plugin_id: int) -> None:
    """Values that CBOR can't hold are named by their key, whether they are found here or at the plugin actor."""
    for value in (object(), 1 << 70):
        with pytest.raises(NyxPluginError, match="config"):
            live.load("builtin:echo", plugin_id=plugin_id, config={"value": value})
    assert plugin_id not in live.loaded_plugins()


# What only asyncio has.


@provokes(plugin_errors.WrongLoop, RuntimeError)
@provokes(plugin_errors.NotStarted, RuntimeError)
def test_wrong_loop_and_not_started(runtime_base: Path) -> None:
    """A system for asyncio is of use only after its start, and only in the loop in which that was."""
    system = nyx_plugins.AsyncPluginSystem(transport="inline")
    with pytest.raises(nyx_plugins.NotStarted) as early:
        system.dispatch_nowait(DATA, header(1))
    text = "the system is not started: use `async with`, or `await AsyncPluginSystem.start()`"
    check(early.value, plugin_errors.NotStarted, text)
    asyncio.run(system.__aenter__())
    with pytest.raises(nyx_plugins.WrongLoop) as wrong:
        system.dispatch_nowait(DATA, header(1))
    where = "no event loop runs here"
    text = f"the system belongs to the event loop that it was started in, but {where}"
    check(wrong.value, plugin_errors.WrongLoop, text, where=where)
    asyncio.run(system.close())


# What code runs; tests/system/test_integrity.py has these from running systems.


@provokes(BundleChanged, RuntimeError)
def test_bundle_changed(tmp_path: Path) -> None:
    """A copy that is not what was registered is not started, and the error says where it is."""
    with pytest.raises(BundleChanged) as caught:
        check_copy(1, tmp_path, "ab")
    reason = f"its digest is {hashlib.sha256().hexdigest()}, and ab was registered"
    text = f"plugin 1: the copy of its bundle in {tmp_path} has changed since it was loaded: {reason}; "
    text += "unload the plugin and load it again"
    check(caught.value, BundleChanged, text, plugin_id=1, directory=str(tmp_path), reason=reason)


@provokes(SignatureError, PermissionError)
def test_signature_error(make_system: Callable[..., PluginSystem], fault: Callable[..., Path]) -> None:
    """Where keys are trusted, a bundle that nobody has signed is refused."""
    system = make_system(Settings(ceiling=Ceiling(trusted_keys=(str(PrivateKey.generate().public),))))
    bundle = fault("obedient_plugin")
    with pytest.raises(SignatureError) as caught:
        system.load(bundle)
    reason = "is not signed: it has no plugin.sig, which 'nyx-plugins sign' makes"
    check(caught.value, SignatureError, f"bundle {bundle}: {reason}", cause="missing", key=None, source=str(bundle))


@provokes(KeyUnusable, ValueError)
def test_key_unusable(make_system: Callable[..., PluginSystem], fault: Callable[..., Path], tmp_path: Path) -> None:
    """A list of trusted keys that can't be read lets nothing be loaded."""
    path = str(tmp_path / "none.pub")
    system = make_system(Settings(ceiling=Ceiling(trusted_keys=(path,))))
    with pytest.raises(KeyUnusable) as caught:
        system.load(fault("obedient_plugin"))
    check(caught.value, KeyUnusable, f"key {path}: can't be read: No such file or directory", path=path)


@provokes(BacklogOfAnother, ValueError)
def test_backlog_of_another(tmp_path: Path) -> None:
    """Frames that were sent to another plugin under the same id are kept for that one, and named."""
    files = Segments(tmp_path / "7")
    files.begin(Backlog(Holder(7, "geo", "boot", 1), {(1, 1): KeptFrame(1, 1, DATA, b"header", 2)}))
    files.close()
    plan: Any = SimpleNamespace(plugin_id=7, manifest=SimpleNamespace(name="maps"))
    with pytest.raises(BacklogOfAnother) as caught:
        inheritance.read(Segments(tmp_path / "7"), plan, lambda _: None)
    path = str(tmp_path / "7")
    text = f"plugin 7 is 'maps', and 1 unfinished frames of 'geo' are kept under its id in {path}: load 'geo', or"
    text += " remove that folder"
    check(caught.value, BacklogOfAnother, text, plugin_id=7, plugin="maps", found="geo", frames=1, path=path)


@provokes(JournalFailed, OSError)
def test_journal_failed(tmp_path: Path) -> None:
    """A journal that is not there names its path and what the system says."""
    path = str(tmp_path / "none.journal")
    with pytest.raises(JournalFailed) as caught:
        Journal.open(path)
    reason = "No such file or directory"
    text = f"journal {path} can't be used: {reason}; make room there, or mend its rights"
    check(caught.value, JournalFailed, text, path=path, reason=reason)


@provokes(DeadLetterUnknown, LookupError)
def test_dead_letter_unknown(tmp_path: Path) -> None:
    """A number that no dead letter has is named."""
    with pytest.raises(DeadLetterUnknown) as caught:
        DeadLetters(tmp_path, 7, Bounds(10, 10_000)).get(3)
    text = "plugin 7 has no dead letter 3: it was redelivered, dropped or displaced"
    check(caught.value, DeadLetterUnknown, text, plugin_id=7, letter_id=3)


@provokes(JournalCorrupt, ValueError)
def test_journal_corrupt(tmp_path: Path) -> None:
    """A file that is no journal is not taken for an empty one."""
    path = tmp_path / "a.journal"
    path.write_bytes(b"something else")
    with pytest.raises(JournalCorrupt) as caught:
        Journal.open(path)
    text = f"journal {path} is corrupt: it does not begin like a journal"
    check(caught.value, JournalCorrupt, text, path=str(path))


@provokes(SigningUnavailable, ImportError)
def test_signing_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that signs, the error names it and what brings it."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(SigningUnavailable) as caught:
        PrivateKey.generate()
    text = "signatures can't be made or checked: that needs the package cryptography; "
    text += "pip install 'nyx-plugins[signing]' brings it"
    check(caught.value, SigningUnavailable, text, package="cryptography")
