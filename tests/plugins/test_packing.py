"""Packing: the same bytes for the same content, a zip that loads, and nothing overwritten by mistake."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.bundle import stage_bundle
from nyx_plugins.plugins.errors import BundleError, ManifestError
from nyx_plugins.plugins.packing import PackingError, pack, zipped

MANIFEST = b"""
id = 7
name = "demo"
version = "1.0"
api_version = 1
entry_point = "plugin:Demo"
"""
FILES = {
    "plugin.toml": MANIFEST,
    "plugin.py": b"class Demo: ...\n" * 1000,
    "data/\u00e4\u00df.txt": b"\x00\xff" * 10,
    "data/deep/er/x": b"",
    "Z": b"zip",
}
# Of FILES, once and for all: whoever changes the format changes every digest of a published zip.
SHA256 = "dde671fa7a6eee34c42f6b9db9f35682d1dd72e5a77b578dc3c9760fdd281f1f"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a directory of its own, and return it."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    """Return a function that sets the umask until the end of the test."""
    former = os.umask(0o22)
    os.umask(former)
    yield lambda mask: (os.umask(mask), None)[1]
    os.umask(former)


def bundle(folder: Path, files: dict[str, bytes] = FILES, order: int = 0, mode: int = 0o644, when: int = 10**9) -> Path:
    """Make a bundle whose files are created in some order, with some mode and time."""
    names = sorted(files)
    random.Random(order).shuffle(names)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
        path.chmod(mode)
        os.utime(path, (when, when))
    return folder


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, umask: Callable[[int], None]) -> None:
    """Order of creation, modes, times, umask, caches and the name of the folder make no difference."""
    first = pack(bundle(tmp_path / "one"), tmp_path / "1.zip")
    umask(0o77)
    other = bundle(tmp_path / "two", order=5, mode=0o755, when=1_700_000_000)
    bundle(other, dict.fromkeys(("__pycache__/plugin.cpython-311.pyc", ".git/HEAD", ".pytest_cache/v/x"), b"junk"))
    (other / "empty").mkdir()
    second = pack(other, tmp_path / "2.zip")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.digest == second.digest


def test_the_bytes_are_those_of_every_machine(tmp_path: Path) -> None:
    """Nothing of the machine is in the zip: its digest is written down here."""
    packed = pack(bundle(tmp_path / "demo"), "demo.zip")
    assert hashlib.sha256(Path("demo.zip").read_bytes()).hexdigest() == SHA256
    with zipfile.ZipFile("demo.zip") as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == sorted(FILES, key=str.encode)
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {stat.S_IFREG | 0o644}
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert (packed.files, packed.size) == (len(FILES), Path("demo.zip").stat().st_size)


@given(content=st.dictionaries(st.text("abcxyz\u00e9\u6f22._-", min_size=1, max_size=9), st.binary(max_size=40)))
def test_files_come_in_one_order(content: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the order in which names are given, the zip is the same, and holds what they hold."""
    files = {f"_{name}": value for name, value in content.items()}
    folder = tmp_path_factory.mktemp("content")
    for name, value in files.items():
        (folder / name).write_bytes(value)
    made = {zipped(names, folder) for names in (list(files), list(files)[::-1], sorted(files))}
    assert len(made) == 1
    (folder / "zip").write_bytes(made.pop())
    with zipfile.ZipFile(folder / "zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


def test_the_zip_is_the_bundle(tmp_path: Path) -> None:
    """The zip is staged with the digest of the directory."""
    source = bundle(tmp_path / "demo")
    packed = pack(source)
    directory, archive = (stage_bundle(item, tmp_path / f"s{n}") for n, item in enumerate((source, packed.path)))
    assert directory.digest == archive.digest == packed.digest
    assert packed.path == Path("demo-1.0.zip")


def test_packing_a_zip_again_changes_nothing(tmp_path: Path) -> None:
    """A zip is a bundle too, and the packed form of itself."""
    first = pack(bundle(tmp_path / "demo"), tmp_path / "1.zip")
    again = pack(first.path, tmp_path / "2.zip")
    assert first.path.read_bytes() == again.path.read_bytes()


def test_a_large_file_is_packed(tmp_path: Path) -> None:
    """A file that is read in many pieces arrives whole."""
    source = bundle(tmp_path / "demo", FILES | {"weights": random.Random(1).randbytes(9 << 20)})
    assert pack(source).digest == stage_bundle(source, tmp_path / "staged").digest


def test_the_zip_lies_beside_a_bundle_that_is_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip within the bundle would be part of the next one."""
    monkeypatch.chdir(bundle(tmp_path / "demo"))
    assert pack(".").path == tmp_path / "demo-1.0.zip"


@pytest.mark.parametrize("output", ["demo/x.zip", "demo/data/x.zip", "cwd/../demo/x.zip", "link/x.zip"])
def test_an_output_within_the_bundle_is_refused(tmp_path: Path, output: str) -> None:
    """Also where a link leads there."""
    source = bundle(tmp_path / "demo")
    (tmp_path / "link").symlink_to(source / "data")
    with pytest.raises(PackingError, match="lies in the bundle, and would be packed the next time"):
        pack(source, tmp_path / output)
    assert not (tmp_path / output).exists()


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_is_there_is_not_overwritten(tmp_path: Path, elsewhere: Path, kind: str) -> None:
    """Without ``replace`` the zip that is there stays as it is, and nothing else is left."""
    target = elsewhere / "demo.zip"
    if kind == "file":
        target.write_bytes(b"precious")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(PackingError, match=r"demo\.zip is there already: --force replaces it"):
        pack(bundle(tmp_path / "demo"), target)
    assert [path.name for path in elsewhere.iterdir()] == ["demo.zip"]
    assert target.is_symlink() or target.read_bytes() == b"precious"


def test_what_comes_there_meanwhile_is_not_overwritten(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that somebody else makes while the bundle is packed is kept."""
    target = elsewhere / "demo.zip"
    monkeypatch.setattr(os, "fsync", lambda _: target.write_bytes(b"theirs"))
    with pytest.raises(PackingError, match="is there already"):
        pack(bundle(tmp_path / "demo"), target)
    assert target.read_bytes() == b"theirs"
    assert list(elsewhere.iterdir()) == [target]


def test_replacing_is_asked_for(tmp_path: Path, elsewhere: Path) -> None:
    """With ``replace`` the new zip takes the place of the old one."""
    (elsewhere / "demo.zip").write_bytes(b"old")
    packed = pack(bundle(tmp_path / "demo"), "demo.zip", replace=True)
    assert zipfile.is_zipfile(packed.path)
    assert [path.name for path in elsewhere.iterdir()] == ["demo.zip"]


def test_a_zip_that_can_not_be_finished_is_not_there(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full leaves neither a zip nor a part of one."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PackingError, match=r"demo\.zip can't be written: No space left on device"):
        pack(bundle(tmp_path / "demo"), "demo.zip")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("", r"\. is a directory: name a file, such as demo-1\.0\.zip"),
        ("nowhere/x.zip", "nowhere/x.zip can't be written: No such file or directory"),
        ("x" * 300, "can't be written: File name too long"),
        ("a\0b", "can't be written: "),
    ],
)
def test_an_output_that_can_not_be_is_refused(tmp_path: Path, output: str, text: str) -> None:
    """Whatever is wrong with the place is said."""
    with pytest.raises(PackingError, match=text):
        pack(bundle(tmp_path / "demo"), output)


def test_the_zip_is_as_readable_as_any_new_file(tmp_path: Path, umask: Callable[[int], None]) -> None:
    """Its mode follows the umask."""
    umask(0o27)
    assert stat.S_IMODE(pack(bundle(tmp_path / "demo")).path.stat().st_mode) == 0o640


def test_a_faulty_bundle_is_not_packed(tmp_path: Path, elsewhere: Path) -> None:
    """Every fault of the manifest is told, and no zip is made."""
    source = bundle(tmp_path / "demo", FILES | {"plugin.toml": b'id = -1\nname = "Demo"\n'})
    with pytest.raises(ManifestError) as caught:
        pack(source)
    assert {"id", "name", "version"} <= {fault.key for fault in caught.value.faults}
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("entry_point", "fits"),
    [
        ("plugin:Demo", True),
        ("data.main:Demo", True),
        ("data.pack:Demo", True),
        ("data.fast:Demo", True),
        ("plugins:Demo", False),
        ("data:Demo", False),
        ("data.deep:Demo", False),
    ],
)
def test_the_module_of_the_entry_point_is_in_the_bundle(tmp_path: Path, entry_point: str, fits: bool) -> None:
    """A module, a package or a compiled module will do; a misspelt one is found before anybody loads the zip."""
    modules = dict.fromkeys(("data/main.py", "data/pack/__init__.py", "data/fast.cpython-311-x86_64-linux-gnu.so"), b"")
    source = bundle(
        tmp_path / "demo", FILES | modules | {"plugin.toml": MANIFEST.replace(b"plugin:Demo", entry_point.encode())}
    )
    if fits:
        pack(source)
    else:
        with pytest.raises(BundleError, match=f"has no module '{entry_point.split(':')[0]}'"):
            pack(source)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """There is nothing to pack in a folder without a manifest, or where there is no folder."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError):
            pack(path)


def test_no_copy_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The private copy that was packed is removed, also when packing fails; without room for it that is said."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    pack(bundle(tmp_path / "demo"))
    with pytest.raises(PackingError):
        pack(tmp_path / "demo")
    assert list(scratch.iterdir()) == []
    scratch.rmdir()
    with pytest.raises(PackingError, match="can't hold a copy of the bundle"):
        pack(tmp_path / "demo", replace=True)
