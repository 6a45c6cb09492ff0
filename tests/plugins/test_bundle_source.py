"""Hostile bundles: names, links, collisions, special files and corrupt zips."""

from __future__ import annotations

import os
import random
import socket
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.plugins import bundle_source
from nyx_plugins.plugins.bundle import stage_bundle
from nyx_plugins.plugins.errors import BundleError, ManifestError

MANIFEST = b"""
id = 7
name = "demo"
version = "1.0"
api_version = 1
entry_point = "plugin:Demo"
"""
FILES = {"plugin.toml": MANIFEST, "plugin.py": b"class Demo: ...\n", "data/words.txt": b"a\nb\n", "data/x/y": b""}


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


def make_special(parent: Path, name: str, mode: int, content: bytes = b"/etc/passwd") -> Path:
    """A zip with one member of another file type."""
    path = make_zip(parent, FILES)
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, content)
    return path


def refusal(bundle: str | Path, tmp_path: Path) -> str:
    """The reason why a bundle is refused; nothing may be left of it."""
    target = tmp_path / "staged"
    with pytest.raises(BundleError) as caught:
        stage_bundle(bundle, target)
    assert caught.value.source == str(bundle)
    assert str(caught.value) == f"bundle {bundle}: {caught.value.reason}"
    assert not target.exists()
    return caught.value.reason


def patched(path: Path, member: str, offset_in_entry: int, value: bytes) -> Path:
    """A zip whose table of contents says something else about a member."""
    raw = bytearray(path.read_bytes())
    start = raw.index(b"PK\x01\x02", raw.rindex(b"PK\x05\x06") - 2000 if len(raw) > 4000 else 0)
    while raw[start + 46 : start + 46 + len(member)] != member.encode():
        start = raw.index(b"PK\x01\x02", start + 4)
    raw[start + offset_in_entry : start + offset_in_entry + len(value)] = value
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("claimed", [1, 2**32 - 2])
def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path, claimed: int) -> None:
    """Too small a size does not smuggle bytes past the count, too large a one is found."""
    bundle = make_zip(tmp_path, FILES | {"big": os.urandom(1000)})
    patched(bundle, "big", 24, struct.pack("<I", claimed))
    assert "'big'" in refusal(bundle, tmp_path)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """Content that does not match its checksum is corrupt."""
    bundle = patched(make_zip(tmp_path, FILES), "plugin.py", 16, b"\0\0\0\0")
    assert refusal(bundle, tmp_path) == "file 'plugin.py' is corrupt: Bad CRC-32 for file 'plugin.py'"


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    """Nobody is asked for a password."""
    bundle = patched(make_zip(tmp_path, FILES), "plugin.py", 8, b"\x01\x00")
    assert refusal(bundle, tmp_path) == "file 'plugin.py' is encrypted"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bound_are_refused(tmp_path: Path, method: int) -> None:
    """bzip2 and LZMA unpack a whole block at once, however large."""
    bundle = make_zip(tmp_path, FILES, compression=method)
    assert refusal(bundle, tmp_path).endswith(f"is compressed by method {method}, not by 8 (deflate) or 0")


def test_a_huge_table_of_contents_is_not_read(tmp_path: Path) -> None:
    """A zip of a hundred thousand empty members is refused before they fill the memory."""
    bundle = tmp_path / "bundle.zip"
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0) + b"x"
    table = entry * 100_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(table), 0, 0)
    bundle.write_bytes(table + end)
    assert refusal(bundle, tmp_path).endswith("its table of contents has 4,700,000 bytes, more than 4,194,304")


UNSAFE = [
    ("/etc/passwd", "is absolute"),
    ("C:/windows/x", "is absolute"),
    ("../outside", "leads outside the bundle"),
    ("a/../../outside", "leads outside the bundle"),
    ("a/..", "leads outside the bundle"),
    ("..", "leads outside the bundle"),
    ("a//b", "has an empty part"),
    ("./a", "has an empty part"),
    ("a\\..\\b", "holds a backslash or an unprintable character"),
    ("a\nb", "holds a backslash or an unprintable character"),
    ("a\u202eb", "holds a backslash or an unprintable character"),
    ("__pycache__/../../x", "leads outside the bundle"),
    ("/".join("a" * 33), "is 33 levels deep, more than 32"),
    ("é" * 128, "is too long: 256 bytes in one part and 256 in all, more than 255 in one part and 1,024 in all"),
    ("/".join(["a" * 250] * 5), "is too long: 250 bytes in one part and 1,254 in all, more than 255 in one part and"),
]


@pytest.mark.parametrize(("name", "reason"), UNSAFE, ids=lambda item: item[:20])
def test_unsafe_names_in_zips_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    """No name leads outside, hides something or means different things on different systems."""
    bundle = make_zip(tmp_path, FILES | {name: b"x"})
    assert refusal(bundle, tmp_path).startswith(f"name {name[:200]!r} {reason}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.zip"]


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    """Some readers end the name there, others don't."""
    bundle = make_zip(tmp_path, FILES | {"aXb": b""})
    bundle.write_bytes(bundle.read_bytes().replace(b"aXb", b"a\0b"))
    assert refusal(bundle, tmp_path) == r"name 'a\x00b' can also be read as 'a'"


@pytest.mark.parametrize("name", [b"a\\b", b"a\nb", b"\xff"])
def test_unsafe_names_in_directories_are_refused(tmp_path: Path, name: bytes) -> None:
    """File systems allow what bundles don't, bytes that are no UTF-8 included."""
    folder = make_folder(tmp_path, FILES)
    Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(b"")
    assert "holds a backslash or an unprintable character" in refusal(folder, tmp_path)


def test_a_bottomless_directory_is_refused(tmp_path: Path) -> None:
    """Nesting is bounded before descriptors or the stack run out."""
    folder = make_folder(tmp_path, FILES)
    deep = folder
    for _ in range(100):
        deep /= "d"
        deep.mkdir()
    assert refusal(folder, tmp_path).endswith("is 33 levels deep, more than 32")


COLLISIONS = [
    ("A.py", "a.py", "names 'A.py' and 'a.py' differ only in case or in Unicode form"),
    ("lib/x", "LIB/y", "names 'lib' and 'LIB' differ only in case or in Unicode form"),
    ("stra\u00dfe", "STRASSE", "names 'stra\u00dfe' and 'STRASSE' differ only in case or in Unicode form"),
    ("\u00e9", "e\u0301", "names '\u00e9' and 'e\u0301' differ only in case or in Unicode form"),
    ("a", "a/b", "name 'a' is both a file and a folder"),
    ("a/b", "a", "name 'a' is both a file and a folder"),
]


@pytest.mark.parametrize(("first", "second", "reason"), COLLISIONS)
def test_names_that_collide_on_some_file_system_are_refused(
    tmp_path: Path, first: str, second: str, reason: str
) -> None:
    """A bundle means the same wherever it is staged."""
    assert refusal(make_zip(tmp_path, FILES | {first: b"1", second: b"2"}), tmp_path) == reason


def test_case_collisions_in_directories_are_refused(tmp_path: Path) -> None:
    """Directories are held to the same rule as zips."""
    folder = make_folder(tmp_path, FILES | {"data/Words.txt": b""})
    if len(os.listdir(folder / "data")) < 3:
        pytest.skip("this file system can't hold both names")
    assert refusal(folder, tmp_path).startswith("names 'data/Words.txt' and 'data/words.txt' differ only in case")


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Readers disagree which of the two counts."""
    bundle = make_zip(tmp_path, FILES | {"plugin.pX": b"evil"})
    bundle.write_bytes(bundle.read_bytes().replace(b"plugin.pX", b"plugin.py"))
    assert refusal(bundle, tmp_path) == "file 'plugin.py' is there twice"


@pytest.mark.parametrize("target", ["/etc/passwd", "plugin.py", "data", "nowhere"])
def test_links_in_directories_are_refused(tmp_path: Path, target: str) -> None:
    """No link is followed, wherever it leads."""
    folder = make_folder(tmp_path, FILES)
    (folder / "data" / "link").symlink_to(target)
    assert refusal(folder, tmp_path) == "'data/link' is a symbolic link, not a file or a folder"


def test_hard_links_to_files_of_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may link another's file may not be able to read it; who loads the bundle may. One's own may be linked."""
    folder = make_folder(tmp_path, FILES)
    os.link(folder / "plugin.py", folder / "data" / "link.py")
    stage_bundle(folder, tmp_path / "own")
    real = os.fstat

    def of_another(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[stat.ST_UID] += 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", of_another)
    assert refusal(folder, tmp_path) == "'plugin.py' is a hard link to a file of another user"


@pytest.mark.parametrize("swap", ["file", "folder"])
def test_a_file_or_folder_swapped_for_a_link_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: str
) -> None:
    """Between looking and opening, the owner of a bundle can't lead the reader elsewhere."""
    folder = make_folder(tmp_path, FILES)
    listing = bundle_source._listing

    def list_then_swap(*arguments: Any) -> Any:
        found = listing(*arguments)
        victim = folder / ("plugin.py" if swap == "file" else "data")
        if not victim.is_symlink():
            victim.rename(tmp_path / "moved")
            victim.symlink_to(tmp_path / "moved")
        return found

    monkeypatch.setattr(bundle_source, "_listing", list_then_swap)
    assert "can't be read: " in refusal(folder, tmp_path)


def test_sockets_and_pipes_in_directories_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Special files are refused without being opened."""
    folder = make_folder(tmp_path, FILES)
    os.mkfifo(folder / "pipe")
    assert refusal(folder, tmp_path) == "'pipe' is a device, a socket or a pipe, not a file or a folder"
    (folder / "pipe").unlink()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as special:
        special.bind("sock")
        assert refusal(folder, tmp_path) == "'sock' is a device, a socket or a pipe, not a file or a folder"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFLNK | 0o777, "a symbolic link"),
        (stat.S_IFCHR, "a device, a socket or a pipe"),
        (stat.S_IFIFO, "a device, a socket or a pipe"),
    ],
)
def test_links_and_devices_in_zips_are_refused(tmp_path: Path, mode: int, kind: str) -> None:
    """The file type that a zip records counts, whatever tool unpacks it."""
    assert refusal(make_special(tmp_path, "odd", mode), tmp_path) == f"'odd' is {kind}, not a file or a folder"


def test_special_permission_bits_are_not_taken_over(tmp_path: Path) -> None:
    """A setuid program in a zip is a plain private file once staged."""
    staged = stage_bundle(make_special(tmp_path, "tool", stat.S_IFREG | 0o4777), tmp_path / "staged")
    assert stat.S_IMODE((staged.directory / "tool").stat().st_mode) == 0o400


def test_a_truncated_zip_is_refused_at_every_length(tmp_path: Path) -> None:
    """However much of the end is missing, the answer is a BundleError."""
    path = make_zip(tmp_path, FILES)
    raw = path.read_bytes()
    for size in range(0, len(raw), 7):
        path.write_bytes(raw[:size])
        refusal(path, tmp_path)


def test_a_zip_with_flipped_bits_gives_the_same_content_or_an_error(tmp_path: Path) -> None:
    """No corruption raises anything but this package's errors, or changes content unnoticed."""
    path, random_ = make_zip(tmp_path, FILES), random.Random(5)
    original = path.read_bytes()
    for attempt in range(300):
        raw = bytearray(original)
        for _ in range(random_.randint(1, 3)):
            raw[random_.randrange(len(raw))] ^= 1 << random_.randrange(8)
        path.write_bytes(raw)
        target = tmp_path / f"staged{attempt}"
        try:
            stage_bundle(path, target)
        except (BundleError, ManifestError):
            assert not target.exists()
        else:
            staged = {found.read_bytes() for found in target.rglob("*") if found.is_file()}
            assert staged <= set(FILES.values())
