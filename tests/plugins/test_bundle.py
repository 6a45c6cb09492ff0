"""Bundles: staging directories and zips, and refusing hostile ones."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.plugins.bundle import StagedBundle, read_manifest, resolve_bundle, stage_bundle
from nyx_plugins.plugins.errors import BundleError, ManifestError

MANIFEST = b"""
id = 7
name = "demo"
version = "1.0"
api_version = 1
entry_point = "plugin:Demo"
"""
FILES = {"plugin.toml": MANIFEST, "plugin.py": b"class Demo: ...\n", "data/words.txt": b"a\nb\n", "data/x/y": b""}

Make = Callable[[Path, dict[str, bytes]], Path]


def make_folder(parent: Path, files: dict[str, bytes]) -> Path:
    """A bundle as a directory."""
    folder = parent / "bundle"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def make_zip(parent: Path, files: dict[str, bytes], **options: Any) -> Path:
    """A bundle as a zip."""
    path = parent / "bundle.zip"
    with zipfile.ZipFile(path, "w", **({"compression": zipfile.ZIP_DEFLATED} | options)) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def contents(staged: StagedBundle) -> dict[str, bytes]:
    """What was staged, by relative name."""
    return {
        path.relative_to(staged.directory).as_posix(): path.read_bytes()
        for path in staged.directory.rglob("*")
        if path.is_file()
    }


def refusal(bundle: str | Path, tmp_path: Path, **limits: int) -> str:
    """The reason why a bundle is refused; nothing may be left of it."""
    target = tmp_path / "staged"
    with pytest.raises(BundleError) as caught:
        stage_bundle(bundle, target, **limits)
    assert caught.value.source == str(bundle)
    assert str(caught.value) == f"bundle {bundle}: {caught.value.reason}"
    assert not target.exists()
    return caught.value.reason


both_kinds = pytest.mark.parametrize("make", [make_folder, make_zip])


@both_kinds
def test_a_bundle_is_staged_whole(tmp_path: Path, make: Make) -> None:
    """Every file arrives, with the manifest read."""
    staged = stage_bundle(make(tmp_path, FILES), tmp_path / "staged")
    assert contents(staged) == FILES
    assert staged.directory == tmp_path / "staged"
    assert staged.manifest.name == "demo"


@both_kinds
def test_staged_files_are_private(tmp_path: Path, make: Make) -> None:
    """Nobody else can read the copy, and its owner can't write: folders are 0500 and files 0400, whatever the umask."""
    before = os.umask(0)
    try:
        staged = stage_bundle(make(tmp_path, FILES), tmp_path / "staged")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in staged.directory.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in staged.directory.rglob("*") if path.is_dir()}
    assert (modes, folders) == ({0o400}, {0o500})
    assert stat.S_IMODE(staged.directory.stat().st_mode) == 0o500


def test_the_digest_covers_names_lengths_and_bytes(tmp_path: Path) -> None:
    """The digest is the documented one, so that others can compute it."""
    expected = hashlib.sha256()
    for name, content in sorted(FILES.items()):
        expected.update(struct.pack(">I", len(name)) + name.encode() + struct.pack(">Q", len(content)) + content)
    assert stage_bundle(make_folder(tmp_path, FILES), tmp_path / "staged").digest == expected.hexdigest()


def test_directory_and_zip_have_the_same_digest(tmp_path: Path) -> None:
    """Order, compression, a top-level folder, caches and folder entries make no difference."""
    wrapped = {"demo-1.0/": b"", **{f"demo-1.0/{name}": FILES[name] for name in reversed(FILES)}}
    bundles = [
        make_folder(tmp_path, FILES | {"__pycache__/plugin.pyc": b"x"}),
        make_zip(tmp_path, wrapped, compression=zipfile.ZIP_STORED),
    ]
    digests = {stage_bundle(bundle, tmp_path / f"staged{n}").digest for n, bundle in enumerate(bundles)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "change", [{"plugin.py": b"class Demo:  ...\n"}, {"new": b""}, {"data/x/y": b"", "data/x/z": b""}]
)
def test_any_change_changes_the_digest(tmp_path: Path, change: dict[str, bytes]) -> None:
    """Other content and other names are another bundle."""
    first = stage_bundle(make_folder(tmp_path, FILES), tmp_path / "a").digest
    assert stage_bundle(make_folder(tmp_path, FILES | change), tmp_path / "b").digest != first


def test_moving_bytes_between_name_and_content_changes_the_digest(tmp_path: Path) -> None:
    """Lengths are part of the digest, so that two bundles can't be run together into the same bytes."""
    one = make_folder(tmp_path / "1", FILES | {"a": b"bc"})
    two = make_folder(tmp_path / "2", FILES | {"ab": b"c"})
    assert stage_bundle(one, tmp_path / "a").digest != stage_bundle(two, tmp_path / "b").digest


@both_kinds
def test_caches_and_version_control_are_left_out(tmp_path: Path, make: Make) -> None:
    """What tools leave behind is not part of a bundle."""
    junk = ["__pycache__/a.py", "data/__pycache__/b.pyc", "plugin.pyc", ".git/config", ".hg/x", "data/.svn/y"]
    junk += [".venv/bin/python", ".pytest_cache/v/x", ".mypy_cache/x", ".ruff_cache/x", ".hypothesis/x", ".coverage"]
    staged = stage_bundle(make(tmp_path, FILES | dict.fromkeys(junk, b"junk")), tmp_path / "staged")
    assert contents(staged) == FILES


def test_links_in_what_is_left_out_do_no_harm(tmp_path: Path) -> None:
    """A checkout may keep its version control elsewhere."""
    folder = make_folder(tmp_path, FILES)
    (folder / ".git").symlink_to("/etc")
    assert contents(stage_bundle(folder, tmp_path / "staged")) == FILES


def test_an_empty_target_may_exist(tmp_path: Path) -> None:
    """A directory made by tempfile will do, and becomes private."""
    target = tmp_path / "staged"
    target.mkdir(mode=0o755)
    stage_bundle(make_folder(tmp_path, FILES), target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o500


def test_a_target_with_content_is_refused_and_kept(tmp_path: Path) -> None:
    """Staging never mixes with, or removes, what was there before."""
    target = tmp_path / "staged"
    target.mkdir()
    (target / "precious").write_text("x")
    with pytest.raises(BundleError, match="is not a new or empty directory"):
        stage_bundle(make_folder(tmp_path, FILES), target)
    assert (target / "precious").read_text() == "x"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_target_that_is_no_directory_is_refused_and_kept(tmp_path: Path, kind: str) -> None:
    """Neither a file nor a link is staged into."""
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "staged"
    target.write_text("") if kind == "file" else target.symlink_to("elsewhere")
    with pytest.raises(BundleError, match="can't be staged"):
        stage_bundle(make_folder(tmp_path, FILES), target)
    assert target.exists()


def test_a_bundle_is_not_staged_inside_itself(tmp_path: Path) -> None:
    """A runtime directory inside the bundle would copy itself."""
    folder = make_folder(tmp_path, FILES)
    with pytest.raises(BundleError, match="can't be staged inside itself"):
        stage_bundle(folder, folder / "run" / "staged")
    assert sorted(os.listdir(folder)) == ["data", "plugin.py", "plugin.toml"]


@both_kinds
def test_reading_the_manifest_stages_nothing(tmp_path: Path, make: Make) -> None:
    """A manifest can be looked at without unpacking."""
    bundle = make(tmp_path, FILES)
    before = sorted(tmp_path.rglob("*"))
    assert read_manifest(bundle).id == 7
    assert read_manifest(str(bundle)).id == 7
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bundle_may_be_named_by_a_link(tmp_path: Path) -> None:
    """Operators keep links such as ``current``; only links inside a bundle are refused."""
    make_folder(tmp_path, FILES)
    (tmp_path / "current").symlink_to("bundle")
    assert contents(stage_bundle(tmp_path / "current", tmp_path / "staged")) == FILES


@pytest.mark.parametrize("name", ["echo", "wordcount", "kv"])
def test_bundled_plugins_are_found_and_staged(tmp_path: Path, name: str) -> None:
    """``builtin:`` names lead to the plugins of this package."""
    assert (resolve_bundle(f"builtin:{name}") / "plugin.toml").is_file()
    assert stage_bundle(f"builtin:{name}", tmp_path / "staged").manifest.name == name


@pytest.mark.parametrize("name", ["", "nope", "../builtin/echo", "echo/", "/etc"])
def test_unknown_bundled_plugins_are_refused_with_those_there_are(tmp_path: Path, name: str) -> None:
    """The error names the choices, and no path gets through."""
    reason = refusal(f"builtin:{name}", tmp_path)
    assert reason == f"there is no bundled plugin {name!r}, only echo, kv, wordcount"


def test_other_names_are_paths() -> None:
    """Only the prefix is special."""
    assert resolve_bundle("plugins/echo") == Path("plugins/echo")
    assert resolve_bundle(Path("/x/y.zip")) == Path("/x/y.zip")


@both_kinds
def test_a_bundle_without_manifest_is_refused(tmp_path: Path, make: Make) -> None:
    """Also where a manifest lies too deep."""
    bundle = make(tmp_path, {"a/b/plugin.toml": MANIFEST, "plugin.py": b""})
    assert refusal(bundle, tmp_path) == "has no plugin.toml"
    with pytest.raises(BundleError, match=r"has no plugin\.toml"):
        read_manifest(bundle)


def test_a_zip_with_two_top_level_folders_has_no_manifest(tmp_path: Path) -> None:
    """Which of them would be the bundle can't be known."""
    assert refusal(make_zip(tmp_path, {"a/plugin.toml": MANIFEST, "b/x": b""}), tmp_path) == "has no plugin.toml"


@both_kinds
def test_a_faulty_manifest_lists_its_faults_and_leaves_nothing(tmp_path: Path, make: Make) -> None:
    """ManifestError passes through with its faults, naming the file."""
    bundle = make(tmp_path, {"plugin.toml": MANIFEST.replace(b"id = 7", b"id = -7").replace(b'"demo"', b"5")})
    with pytest.raises(ManifestError) as caught:
        stage_bundle(bundle, tmp_path / "staged")
    assert [fault.key for fault in caught.value.faults] == ["id", "name"]
    assert caught.value.source == f"{bundle}/plugin.toml"
    assert not (tmp_path / "staged").exists()
    with pytest.raises(ManifestError):
        read_manifest(bundle)


@both_kinds
def test_a_huge_manifest_is_not_read_to_its_end(tmp_path: Path, make: Make) -> None:
    """Neither way of reading it goes beyond the limit."""
    bundle = make(tmp_path, {"plugin.toml": b"#" * 70_000})
    with pytest.raises(BundleError, match=r"plugin\.toml has more than 65,536 bytes"):
        read_manifest(bundle)
    with pytest.raises(ManifestError, match="must have at most 65,536 bytes, not 70,000"):
        stage_bundle(bundle, tmp_path / "staged")


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    """The system's reason is in the text."""
    assert refusal(tmp_path / "none", tmp_path) == "it can't be read: No such file or directory"


def test_a_path_with_a_nul_is_refused(tmp_path: Path) -> None:
    """An impossible path raises nothing else."""
    with pytest.raises(BundleError, match="holds a NUL character"):
        stage_bundle("a\0b", tmp_path / "staged")


def test_a_pipe_is_no_bundle_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """Opening a FIFO would block for ever."""
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe", tmp_path) == "is neither a directory nor a zip file"


@pytest.mark.parametrize("content", [b"", b"hello", MANIFEST, b"PK\x05\x06", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    """The reason says what was expected."""
    path = tmp_path / "bundle.zip"
    path.write_bytes(content)
    assert refusal(path, tmp_path).startswith("it is no directory, and as a zip file it is corrupt: ")


@both_kinds
def test_more_bytes_than_allowed_are_refused(tmp_path: Path, make: Make) -> None:
    """The limit is on the whole, and exactly the limit is allowed."""
    bundle = make(tmp_path, {"plugin.toml": MANIFEST, "a": bytes(100_000), "b": bytes(100_000)})
    size = 200_000 + len(MANIFEST)
    assert refusal(bundle, tmp_path, max_bytes=size - 1) == f"holds more than {size - 1:,} bytes in all"
    stage_bundle(bundle, tmp_path / "staged", max_bytes=size)


@both_kinds
def test_more_files_than_allowed_are_refused(tmp_path: Path, make: Make) -> None:
    """The limit is on the number of files, and exactly the limit is allowed."""
    bundle = make(tmp_path, {"plugin.toml": MANIFEST} | {f"f{n}": b"" for n in range(9)})
    assert refusal(bundle, tmp_path, max_files=9) == "holds more than 9 files and folders"
    stage_bundle(bundle, tmp_path / "staged", max_files=10)


def test_empty_folders_count(tmp_path: Path) -> None:
    """A tree of nothing but folders is bounded too, and empty folders are not staged."""
    folder = make_folder(tmp_path, FILES)
    for n in range(10):
        (folder / f"empty{n}").mkdir()
    assert refusal(folder, tmp_path, max_files=10) == "holds more than 10 files and folders"
    assert not list(stage_bundle(folder, tmp_path / "staged").directory.glob("empty*"))


def test_a_zip_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    """Real bytes are counted while they are unpacked: 65 MiB of zeros from 64 KiB don't get onto the disk."""
    bundle = make_zip(tmp_path, {"plugin.toml": MANIFEST, "zeros": bytes(65 * 1024 * 1024)})
    assert bundle.stat().st_size < 100_000
    assert refusal(bundle, tmp_path) == "holds more than 67,108,864 bytes in all"


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the file and what the system says."""
    real_open = os.open

    def deny(path: Any, *arguments: Any, **options: Any) -> int:
        if path == "words.txt":
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", deny)
    assert refusal(make_folder(tmp_path, FILES), tmp_path) == "file 'data/words.txt' can't be read: Permission denied"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every directory")
def test_an_unreadable_directory_is_named(tmp_path: Path) -> None:
    """Missing rights are reported as such."""
    folder = make_folder(tmp_path, FILES)
    (folder / "data").chmod(0)
    assert refusal(folder, tmp_path) == "folder 'data' can't be read: Permission denied"


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong on the target's side is a BundleError too."""
    real_open = os.open

    def full(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(28, "No space left on device", path)
        return real_open(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", full)
    assert refusal(make_folder(tmp_path, FILES), tmp_path) == (
        f"file 'plugin.py' can't be staged in {tmp_path / 'staged'}: No space left on device"
    )


def test_no_descriptor_stays_open_after_a_refusal(tmp_path: Path) -> None:
    """A hostile bundle does not wear out the loader."""
    folder = make_folder(tmp_path, FILES | {"data/x/Y": b""})
    archive = make_zip(tmp_path, FILES | {"..": b""})
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        refusal(folder, tmp_path)
        refusal(archive, tmp_path)
        read_manifest(folder)
    assert len(os.listdir("/dev/fd")) == before
