"""The errors of bundles, keys and what is kept on disk."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.actors import inheritance
from nyx_plugins.actors.backlog import Backlog, Holder, KeptFrame
from nyx_plugins.actors.dead_letters import Bounds, DeadLetters
from nyx_plugins.actors.journal import Journal
from nyx_plugins.actors.letter_book import DeadFrame
from nyx_plugins.actors.letter_office import LetterOffice
from nyx_plugins.actors.messages import Extra
from nyx_plugins.actors.ring_file import Pages
from nyx_plugins.actors.segments import Segments
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import Settings
from nyx_plugins.plugins.errors import (
    BacklogOfAnother,
    BundleChanged,
    DeadLetterUnknown,
    JournalCorrupt,
    JournalFailed,
    KeyUnusable,
    LetterOfAnother,
    MailboxFailed,
    RegistryFailed,
    SignatureError,
    SigningUnavailable,
)
from nyx_plugins.plugins.integrity import check_copy
from nyx_plugins.plugins.keys import PrivateKey

from .conftest import CONTROL, DATA, check, header, provokes


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


@provokes(RegistryFailed, OSError)
def test_registry_failed(make_system: Callable[..., PluginSystem], tmp_path: Path) -> None:
    """A load that can't be registered is refused, and is possible once it can."""
    with sqlite3.connect(tmp_path / "registry.sqlite") as database:
        system = make_system(state_dir=tmp_path)
        database.execute("CREATE TRIGGER full BEFORE INSERT ON plugins BEGIN SELECT RAISE(FAIL, 'no room'); END")
        with pytest.raises(RegistryFailed) as caught:
            system.load("builtin:echo")
        path = str(tmp_path / "registry.sqlite")
        text = f"registry {path} can't be written: no room; nothing was changed: make room there, or mend its rights"
        check(caught.value, RegistryFailed, text, path=path, reason="no room")
        assert system.loaded_plugin_count() == 0
        database.execute("DROP TRIGGER full")
    system.load("builtin:echo")
    database.close()


@provokes(MailboxFailed, OSError)
def test_mailbox_failed(make_system: Callable[..., PluginSystem], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk nothing is loaded and no frame accepted, and all is well once there is room."""
    system = make_system(transport="inline")
    system.load("builtin:echo")
    with monkeypatch.context() as full:
        for name in ("reserve", "blank"):
            full.setattr(Pages, name, lambda *_: False)
        with pytest.raises(MailboxFailed) as unloaded:
            system.load("builtin:kv")
        assert system.loaded_plugin_count() == 1
        with pytest.raises(MailboxFailed) as refused:
            system.dispatch(DATA, header(1002, bytes(60_000)))
        with pytest.raises(MailboxFailed) as uncontrolled:
            system.dispatch(CONTROL, header(1002, b"x"))
        with pytest.raises(MailboxFailed) as unscaled:
            system.scale(1002, 2)
    for plugin_id, caught in ((1003, unloaded), (1002, refused), (1002, uncontrolled), (1002, unscaled)):
        path, reason = caught.value.path, "No space left on device"
        text = f"mailbox of plugin {plugin_id} can't be written in {path}: {reason}; make room on the disk of the"
        text += " runtime directory, or give it another one (system.runtime_dir)"
        check(caught.value, MailboxFailed, text, plugin_id=plugin_id, reason=reason)
    system.load("builtin:kv")
    for frame_type in (DATA, CONTROL):
        system.dispatch(frame_type, header(1002, bytes(60_000)), confirm="processed")
    system.scale(1002, 3)
    assert len(system.plugin_stats(1002).instances) == 3 and system.plugin_stats(1002).restarts == 0


@provokes(DeadLetterUnknown, LookupError)
def test_dead_letter_unknown(tmp_path: Path) -> None:
    """A number that no dead letter has is named."""
    with pytest.raises(DeadLetterUnknown) as caught:
        DeadLetters(tmp_path, 7, Bounds(10, 10_000)).get(3)
    text = "plugin 7 has no dead letter 3: it was redelivered, dropped or displaced, or there never was one; list"
    text += " them to see which there are"
    check(caught.value, DeadLetterUnknown, text, plugin_id=7, letter_id=3)


@provokes(LetterOfAnother, ValueError)
def test_letter_of_another(tmp_path: Path) -> None:
    """A dead letter is for the plugin that it was for: one that has its id now does not get it, and it stays."""
    limits = Settings().limits
    offices = []
    for name in ("geo", "maps"):
        plan: Any = SimpleNamespace(
            plugin_id=7,
            manifest=SimpleNamespace(name=name),
            directory=str(tmp_path / name),
            letters=str(tmp_path / "letters"),
            durable="",
            settings=SimpleNamespace(limits=limits),
        )
        offices.append(LetterOffice(plan, pytest.fail))
    geo, maps = offices
    geo.keep("unloaded", [DeadFrame(0, 0, DATA, b"header", 0)])
    geo.close()
    again = {5: Extra(letter=1)}
    error = maps.claim(51, again)[5]
    text = "plugin 7 is 'maps' now, and the dead letter was for 'geo': it stays; load 'geo' as plugin 7 and redeliver"
    text += " it, or drop it"
    check(error, LetterOfAnother, text, plugin_id=7, letter_id=1, plugin="maps", found="geo")
    maps.settle_claims(lambda *_: True)
    maps.close()
    assert geo.claim(51, again) == {}
    assert geo.counts() == (1, 0)
    geo.settle_claims(lambda *_: True)
    assert geo.counts() == (0, 0)
    geo.close()


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
