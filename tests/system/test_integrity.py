"""A worker runs what was loaded and nothing else: read-only copies, changes noticed, signatures asked for."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.actors import loader
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import Settings
from nyx_plugins.plugins.bundle import StagedBundle, stage_bundle
from nyx_plugins.plugins.errors import BundleChanged, KeyUnusable, PluginFailed, SignatureError
from nyx_plugins.plugins.integrity import unseal
from nyx_plugins.plugins.keys import PrivateKey
from nyx_plugins.plugins.packing import sign_bundle
from nyx_plugins.plugins.signature import sign

DATA, CONTROL = 0x52, 0x53
KEY = PrivateKey.generate()
TRUSTING = Settings(ceiling=Ceiling(trusted_keys=(str(KEY.public),)))

CODE = '''
import os, sys
from nyx_plugins.plugins import Plugin

class Versioned(Plugin):
    """Says which version of its code runs, and ends on request."""

    def on_data(self, frame):
        if frame.data == b"end":
            sys.exit(3)
        import helper
        return helper.VERSION
'''


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle that answers with the version of its code; on ``end`` its worker ends."""
    folder = tmp_path / "versioned"
    folder.mkdir()
    (folder / "plugin.toml").write_text(
        'id = 7\nname = "versioned"\nversion = "1.0"\napi_version = 1\nentry_point = "plugin:Versioned"\n'
        'permissions = ["data_access"]\n'
    )
    (folder / "plugin.py").write_text("import helper\n" + CODE.replace("        import helper\n", ""))
    (folder / "helper.py").write_text('VERSION = b"1"\n')
    return folder


@pytest.fixture
def copy(runtime_base: Path) -> Callable[[], Path]:
    """Return a function that finds the copy of the bundle that is loaded."""

    def find() -> Path:
        [found] = runtime_base.glob("nyx-*/plugins/*/bundle")
        return found

    return find


@pytest.fixture
def signed(bundle: Path) -> Path:
    """Return the bundle, signed."""
    sign_bundle(bundle, lambda staged: sign(staged.digest, KEY))
    return bundle


def version(system: PluginSystem) -> bytes | None:
    """Ask the plugin for its version."""
    return system.request(DATA, PluginHeader(7, 0, b"?"), timeout=30.0)


def end_worker(system: PluginSystem) -> None:
    """Let the plugin end its worker."""
    assert system.dispatch(DATA, PluginHeader(7, 0, b"end")).outcome(30.0).kind == "dead_lettered"


def test_the_copy_is_read_only_and_private(system: PluginSystem, bundle: Path, copy: Callable[[], Path]) -> None:
    """Nobody else reads it, and its owner doesn't write it, whatever has run from it."""
    system.load(bundle)
    assert version(system) == b"1"
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in [copy(), *copy().rglob("*")]}
    assert modes == {"bundle": "0o500", "plugin.toml": "0o400", "plugin.py": "0o400", "helper.py": "0o400"}


def test_changing_the_files_afterwards_changes_nothing(
    system: PluginSystem, bundle: Path, wait_event: Callable[..., Any]
) -> None:
    """Also after a restart, the worker runs what was loaded; loading again takes the new files."""
    digest = system.load(bundle).digest
    (bundle / "helper.py").write_text('VERSION = b"2"\n')
    with system.subscribe() as events:
        end_worker(system)
        wait_event(events, "restarted", 7)
    assert version(system) == b"1"
    assert system.plugin_info(7).digest == digest
    system.unload(7)
    assert system.load(bundle).digest != digest
    assert version(system) == b"2"


def rewrite(copy: Path) -> None:
    """Change code."""
    (copy / "helper.py").chmod(0o600)
    (copy / "helper.py").write_text('VERSION = b"evil"\n')


def plant(copy: Path) -> None:
    """Put compiled code where Python would look first."""
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "helper.cpython-311.pyc").write_bytes(b"evil")


CHANGES = [rewrite, plant, lambda copy: (copy / "helper.py").unlink()]


@pytest.mark.parametrize("change", CHANGES, ids=["rewrite", "plant", "remove"])
def test_a_changed_copy_is_not_started_again(
    system: PluginSystem,
    bundle: Path,
    copy: Callable[[], Path],
    change: Callable[[Path], None],
    wait_event: Callable[..., Any],
) -> None:
    """The plugin is failed, with the reason, and takes no frames; loaded again, it works."""
    system.load(bundle)
    unseal(copy())
    change(copy())
    with system.subscribe() as events:
        end_worker(system)
        reason = wait_event(events, "failed", 7)[-1].reason
    assert f"plugin 7: the copy of its bundle in {copy()} has changed since it was loaded: its digest is" in reason
    stats = system.plugin_stats(7)
    assert (stats.state, stats.processed, stats.worker_pid) == ("failed", 0, None)
    with pytest.raises(PluginFailed):
        system.request(DATA, PluginHeader(7, 0, b"?"), timeout=30.0)
    system.unload(7)
    system.load(bundle)
    assert version(system) == b"1"


@pytest.mark.needs_worker(reason="on inline nobody restarts a plugin actor")
def test_a_restarted_plugin_actor_checks_as_well(
    system: PluginSystem,
    bundle: Path,
    copy: Callable[[], Path],
    census: Callable[..., Any],
    wait_event: Callable[..., Any],
) -> None:
    """What was registered is known to the supervisor, so that killing the one who checks gains nothing."""
    system.load(bundle)
    unseal(copy())
    rewrite(copy())
    with system.subscribe() as events:
        os.kill(census(system).plugin_actor(7), signal.SIGKILL)
        assert "has changed since it was loaded" in wait_event(events, "failed", 7)[-1].reason
    assert system.plugin_stats(7).state == "failed"
    system.unload(7)
    system.load(bundle)
    assert version(system) == b"1"


@pytest.fixture
def meddler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Change each copy between its making and its first start; works where everything is in this process."""

    def stage_and_change(source: Path, target: Path, **more: Any) -> StagedBundle:
        staged = stage_bundle(source, target, **more)
        unseal(target)
        rewrite(target)
        return staged

    monkeypatch.setattr(loader, "stage_bundle", stage_and_change)
    yield


@pytest.mark.usefixtures("meddler")
def test_a_copy_that_changes_before_the_first_start_is_not_loaded(bundle: Path, runtime_base: Path) -> None:
    """The load raises, and nothing is left of it."""
    with PluginSystem(transport="inline") as system:
        with pytest.raises(BundleChanged) as caught:
            system.load(bundle)
        assert caught.value.plugin_id == 7
        assert system.plugins() == []
        assert list(runtime_base.glob("nyx-*/plugins/*")) == []


def test_trusted_keys_ask_for_signatures(make_system: Callable[..., PluginSystem], signed: Path, copy: Any) -> None:
    """What a trusted key has signed is loaded, and who that was is told; bundled plugins need no signature."""
    system = make_system(TRUSTING)
    assert system.load(signed).signed_by == str(KEY.public)
    assert system.plugin_info(7).signed_by == str(KEY.public)
    assert not (copy() / "plugin.sig").exists()
    assert system.load("builtin:echo").signed_by == ""


def test_what_nobody_trusted_has_signed_is_not_loaded(
    make_system: Callable[..., PluginSystem], bundle: Path, runtime_base: Path
) -> None:
    """Each cause is told, and nothing is left: no row, no file."""
    system = make_system(TRUSTING)
    causes = []
    for change in (
        lambda: None,
        lambda: sign_bundle(bundle, lambda staged: sign(staged.digest, PrivateKey.generate())),
        lambda: (bundle / "helper.py").write_text("VERSION = b'3'"),
        lambda: (bundle / "plugin.sig").write_text("trust me"),
    ):
        change()
        with pytest.raises(SignatureError) as caught:
            system.load(bundle)
        causes.append(caught.value.cause)
    assert causes == ["missing", "unknown key", "mismatch", "malformed"]
    assert system.plugins() == []
    assert list(runtime_base.glob("nyx-*/plugins/*")) == []


def test_files_of_trusted_keys_are_read_at_each_load(
    make_system: Callable[..., PluginSystem], signed: Path, tmp_path: Path
) -> None:
    """A key can be added without a restart; a file that can't be read trusts nobody."""
    ring = tmp_path / "ring"
    system = make_system(Settings(ceiling=Ceiling(trusted_keys=(str(ring),))))
    with pytest.raises(KeyUnusable, match="can't be read"):
        system.load(signed)
    ring.write_text(f"{PrivateKey.generate().public}\n")
    with pytest.raises(SignatureError, match="not among the trusted keys"):
        system.load(signed)
    ring.write_text(f"{KEY.public}\n")
    assert system.load(signed).signed_by == str(KEY.public)


def test_who_has_signed_outlives_a_run(make_system: Callable[..., PluginSystem], signed: Path, tmp_path: Path) -> None:
    """A plugin at rest still says whose it was."""
    state = tmp_path / "state"
    with make_system(state_dir=state) as first:
        info = first.load(signed)
    rest = make_system(state_dir=state).plugin_info(7)
    assert (rest.state, rest.digest, rest.signed_by) == ("registered", info.digest, str(KEY.public))


def test_trust_follows_the_settings_in_force(make_system: Callable[..., PluginSystem], bundle: Path) -> None:
    """Without trusted keys anything is loaded, and nobody has signed it."""
    settings = attrs.evolve(TRUSTING, ceiling=Ceiling())
    assert make_system(settings).load(bundle).signed_by == ""
