"""The private copy of a bundle: read-only, and any change of it is noticed."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nyx_plugins.actors import trees
from nyx_plugins.plugins import integrity
from nyx_plugins.plugins.bundle import StagedBundle, remove_staged, stage_bundle
from nyx_plugins.plugins.errors import BundleChanged
from nyx_plugins.plugins.integrity import check_copy, content_digest, seal, unseal

NOBODY = 65534


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[StagedBundle]:
    """Return the copy of a bundle."""
    copy = stage_bundle("builtin:echo", tmp_path / "bundle")
    yield copy
    remove_staged(copy.directory)


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """Become somebody to whom modes of files mean something, and return a directory of theirs."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        if is_root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        yield Path(folder)
        if is_root:
            os.seteuid(0)


def test_an_untouched_copy_passes(staged: StagedBundle) -> None:
    """Reading it changes nothing."""
    (staged.directory / "plugin.py").read_bytes()
    check_copy(5, staged.directory, staged.digest)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda copy: (copy / "plugin.py").write_text("import os"),
    "another file": lambda copy: (copy / "sitecustomize.py").write_text(""),
    "compiled code": lambda copy: ((copy / "__pycache__").mkdir(), (copy / "__pycache__/plugin.pyc").write_bytes(b"x")),
    "a signature": lambda copy: (copy / "plugin.sig").write_bytes(b"x"),
    "a file less": lambda copy: (copy / "plugin.py").unlink(),
    "another name": lambda copy: (copy / "plugin.py").rename(copy / "plugin.pyw"),
    "a link": lambda copy: ((copy / "plugin.py").rename(copy.parent / "p"), (copy / "plugin.py").symlink_to("../p")),
    "a linked folder": lambda copy: (copy / "more").symlink_to("/etc"),
    "a pipe": lambda copy: os.mkfifo(copy / "pipe"),
    "no copy": lambda copy: copy.rename(copy.with_name("elsewhere")),
    "too many files": lambda copy: [(copy / f"{number}").touch() for number in range(integrity.MAX_FILES)],
    "a bottomless folder": lambda copy: os.makedirs(copy / "/".join("d" * 500)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_is_noticed(staged: StagedBundle, what: str) -> None:
    """Whatever is written, added, taken away or linked: the reason is in the error, and says what to do."""
    unseal(staged.directory)
    CHANGES[what](staged.directory)
    if what == "a bottomless folder":
        # Folders alone are no content; they are only bounded.
        check_copy(5, staged.directory, staged.digest)
        return
    with pytest.raises(BundleChanged) as caught:
        check_copy(5, staged.directory, staged.digest)
    assert (caught.value.plugin_id, caught.value.directory) == (5, str(staged.directory))
    assert str(caught.value) == (
        f"plugin 5: the copy of its bundle in {staged.directory} has changed since it was loaded: "
        f"{caught.value.reason}; unload the plugin and load it again"
    )


def test_a_huge_file_is_not_read(staged: StagedBundle) -> None:
    """A change that would keep the reader busy for hours is found at once."""
    unseal(staged.directory)
    os.truncate(staged.directory / "plugin.py", 1 << 40)
    with pytest.raises(BundleChanged, match="it holds too many bytes"):
        check_copy(5, staged.directory, staged.digest)


def test_a_file_that_grows_or_shrinks_while_it_is_read_is_another(
    staged: StagedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The length that counts is the one of the moment before; no more and no less is read."""
    unseal(staged.directory)
    real = os.fstat

    def truncating(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        if found.st_size:
            os.truncate(staged.directory / "plugin.py", 1)
        return found

    monkeypatch.setattr(integrity.os, "fstat", truncating)
    with pytest.raises(BundleChanged, match="its digest is"):
        check_copy(5, staged.directory, staged.digest)


def test_who_has_a_sealed_copy_can_neither_change_nor_remove_it(ordinary_user: Path) -> None:
    """Not even its owner can, without changing modes first; and once unsealed, it can be removed."""
    copy = ordinary_user / "bundle"
    (copy / "data").mkdir(parents=True)
    (copy / "data" / "x").write_text("x")
    seal(copy)
    for attempt in (
        lambda: (copy / "data" / "x").write_text("y"),
        lambda: (copy / "new").write_text("y"),
        lambda: (copy / "data" / "x").unlink(),
        lambda: (copy / "data").rename(copy / "other"),
    ):
        with pytest.raises(PermissionError):
            attempt()
    assert len(content_digest(copy)) == 64
    remove_staged(copy)
    assert list(ordinary_user.iterdir()) == []


def test_nothing_is_left_of_a_runtime_directory_with_copies(ordinary_user: Path) -> None:
    """That files are read-only does not keep a system from cleaning up."""
    runtime = ordinary_user / "runtime"
    for number in "12":
        stage_bundle("builtin:echo", runtime / "plugins" / number / "bundle")
        (runtime / "plugins" / number / "mailbox").write_bytes(b"")
    trees.remove(runtime / "plugins" / "1")
    assert [path.name for path in (runtime / "plugins").iterdir()] == ["2"]
    trees.remove(runtime)
    assert list(ordinary_user.iterdir()) == []


def test_a_refused_bundle_leaves_nothing_to_an_ordinary_user(ordinary_user: Path) -> None:
    """What had been written before the fault was found is removed."""
    bundle = ordinary_user / "source"
    (bundle / "a").mkdir(parents=True)
    (bundle / "a" / "x").write_text("x")
    with pytest.raises(Exception, match=r"has no plugin\.toml"):
        stage_bundle(bundle, ordinary_user / "staged")
    assert [path.name for path in ordinary_user.iterdir()] == ["source"]


def test_unsealing_follows_no_link(tmp_path: Path) -> None:
    """What lies elsewhere keeps its mode."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o500)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "link").symlink_to(elsewhere)
    (tmp_path / "top").symlink_to(elsewhere)
    unseal(tmp_path / "copy")
    unseal(tmp_path / "top")
    unseal(tmp_path / "nowhere")
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o500
