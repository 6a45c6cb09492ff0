"""Bundles that nobody would think of: whatever one claims, there is a private copy within the limits, or an error."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.bundle import StagedBundle, read_manifest, remove_staged, stage_bundle
from nyx_plugins.plugins.errors import BundleError, ManifestError
from nyx_plugins.plugins.signature import SIGNATURE_NAME

MAX_FILES = 12
MAX_BYTES = 20_000
MANIFEST = b'id = 7\nname = "demo"\nversion = "1.0"\napi_version = 1\nentry_point = "plugin:Demo"\n'


@attrs.frozen
class Member:
    """One entry of a zip as somebody hostile would write it: the table of contents and the header may differ."""

    name: bytes = b"plugin.toml"
    content: bytes = MANIFEST
    local_name: bytes | None = None
    method: int = 0
    flags: int = 0
    mode: int = stat.S_IFREG | 0o644
    system: int = 3
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    extra: bytes = b""
    crc: int | None = None

    @property
    def packed(self) -> bytes:
        """The content as it is stored."""
        if self.method != 8:
            return self.content
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(self.content) + packer.flush()

    def fields(self) -> tuple[int, ...]:
        """What header and table say of method, checksum and sizes."""
        crc = zlib.crc32(self.content) if self.crc is None else self.crc
        packed = len(self.packed) if self.packed_size is None else self.packed_size
        size = len(self.content) if self.size is None else self.size
        return self.flags, self.method, 0, 0x21, crc, packed, size


def written(members: list[Member], comment: bytes, count: int | None) -> bytes:
    """A zip of these members, with their lies."""
    body, table = b"", b""
    for member in members:
        offset = len(body) if member.offset is None else member.offset
        local = member.name if member.local_name is None else member.local_name
        body += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, *member.fields(), len(local), 0)
        body += local + member.packed
        table += struct.pack("<4sBBHHHHHIII", b"PK\1\2", 20, member.system, 20, *member.fields())
        table += struct.pack("<HHHHHII", len(member.name), len(member.extra), 0, 0, 0, member.mode << 16, offset)
        table += member.name + member.extra
    entries = len(members) if count is None else count
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, entries, entries, len(table), len(body), len(comment))
    return body + table + end + comment


NAMES = [
    b"plugin.py",
    b"plugin.sig",
    b"PLUGIN.SIG",
    b"plugin.toml",
    b"Plugin.toml",
    b"a",
    b"A",
    b"a/b",
    b"a/B/c",
    b"a/",
]
NAMES += [
    b"/etc/passwd",
    b"../x",
    b"a/../../x",
    b"a/..",
    b"..",
    b".",
    b"",
    b"//",
    b"a//b",
    b"./a",
    b"a\\..\\b",
    b"C:/x",
]
NAMES += [
    b"a\0b",
    b"a\nb",
    b"\xff",
    "é".encode(),
    "e\u0301".encode(),
    b"~/x",
    b"__pycache__/x.py",
    b"x.pyc",
    b".git/../x",
]
NAMES += [
    b"d/" * 33 + b"x",
    b"d/" * 200 + b"x",
    b"n" * 256,
    "ß".encode(),
    b"ss",
    b"top/plugin.toml",
    b"top/x",
    b" ",
    b"a ",
]
FINE = [b"plugin.py", b"plugin.sig", b"a/b", b"a/", b"a/c/d", "é".encode(), b"x.pyc", b"__pycache__/x", b".git/config"]
names = st.sampled_from(NAMES) | st.text(max_size=8).map(lambda text: text.encode("utf-8", "replace"))
lies = st.none() | st.sampled_from([0, 1, 100, 2**31, 2**32 - 2, 2**32 - 1])
zip64 = st.lists(st.sampled_from([0, 1, 88, 2**32, 2**63, 2**64 - 1]), min_size=1, max_size=3).map(
    lambda values: struct.pack("<HH", 1, 8 * len(values)) + b"".join(struct.pack("<Q", value) for value in values)
)
members = st.builds(
    Member,
    name=names | st.sampled_from(FINE),
    content=st.sampled_from([b"", b"x" * 100, bytes(MAX_BYTES), bytes(50 * MAX_BYTES), MANIFEST])
    | st.binary(max_size=40),
    local_name=st.none() | st.none() | names,
    method=st.sampled_from([0, 8, 8, 8, 12, 14, 93, 99]) | st.integers(0, 2**16 - 1),
    flags=st.sampled_from([0, 0, 0x800, 0x1, 0x8, 0x40, 0x2001]) | st.integers(0, 2**16 - 1),
    mode=st.sampled_from([0, stat.S_IFREG | 0o4777, stat.S_IFLNK | 0o777, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFIFO]),
    system=st.sampled_from([3, 0, 19]),
    size=lies,
    packed_size=lies,
    offset=lies,
    extra=st.just(b"") | zip64 | st.binary(max_size=24),
    crc=st.none() | st.none() | st.just(0),
)
honest = st.builds(
    Member,
    name=st.sampled_from(FINE),
    content=st.binary(max_size=60) | st.just(bytes(MAX_BYTES // 3)),
    method=st.sampled_from([0, 8]),
    flags=st.just(0x800),
)
archives = st.builds(
    written,
    st.tuples(st.lists(honest, max_size=MAX_FILES // 2), st.lists(members, max_size=2)).flatmap(
        lambda some: st.permutations([Member(), *some[0], *some[1]])
    ),
    st.sampled_from([b"", b"comment", b"PK\5\6" + bytes(18)]),
    st.none() | st.none() | st.integers(0, 2**16 - 1),
)


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory in which everything that an attempt leaves is found."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def attempt(bundle: Path, place: Path) -> StagedBundle | None:
    """Stage a bundle: nothing appears outside of the target, and nothing is left of one that is refused."""
    before = sorted(place.rglob("*"))
    target = place / "staged"
    try:
        staged = stage_bundle(bundle, target, max_files=MAX_FILES, max_bytes=MAX_BYTES)
    except (BundleError, ManifestError) as error:
        assert str(error).isprintable()
        hypothesis.event("refused")
        assert sorted(place.rglob("*")) == before
        return None
    hypothesis.event("staged")
    assert [path for path in sorted(place.rglob("*")) if target not in (path, *path.parents)] == before
    return staged


def assert_is_private_and_bounded(staged: StagedBundle) -> None:
    """Only plain files and folders that their owner can't write, with names that mean the same everywhere."""
    files, folded = {}, set()
    for path in staged.directory.rglob("*"):
        status, name = path.lstat(), path.relative_to(staged.directory).as_posix()
        assert (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)) in (
            (stat.S_IFREG, 0o400),
            (stat.S_IFDIR, 0o500),
        )
        assert name.isprintable() and "\\" not in name
        folded.add(unicodedata.normalize("NFD", name).casefold())
        if path.is_file():
            files[name.encode()] = path.read_bytes()
    assert len(folded) == len(list(staged.directory.rglob("*")))
    assert len(files) <= MAX_FILES and sum(map(len, files.values())) <= MAX_BYTES
    assert SIGNATURE_NAME.encode() not in files
    digest = hashlib.sha256()
    for key in sorted(files):
        digest.update(struct.pack(">I", len(key)) + key + struct.pack(">Q", len(files[key])) + files[key])
    assert digest.hexdigest() == staged.digest


@hypothesis.settings(max_examples=200)
@given(archives)
def test_no_zip_gets_out_of_its_copy(raw: bytes) -> None:
    """Names, modes, sizes, offsets, flags, methods and zip64 fields of every kind: a private copy, or an error."""
    with workplace() as place:
        bundle = place / "bundle.zip"
        bundle.write_bytes(raw)
        staged = attempt(bundle, place)
        if staged is not None:
            assert_is_private_and_bounded(staged)
            assert read_manifest(bundle) == staged.manifest
            remove_staged(staged.directory)


@hypothesis.settings(max_examples=100)
@given(archives, st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=8)), max_size=4))
def test_no_damaged_zip_gets_out_of_its_copy(raw: bytes, patches: list[tuple[int, bytes]]) -> None:
    """The same with bytes overwritten anywhere."""
    damaged = bytearray(raw)
    for place, patch in patches:
        damaged[place % len(damaged) : place % len(damaged) + len(patch)] = patch
    test_no_zip_gets_out_of_its_copy.hypothesis.inner_test(bytes(damaged))


parts = st.sampled_from(
    ["a", "A", "b", "é", "e\u0301", "x.pyc", "__pycache__", "plugin.sig", "a\nb", "a\\b", "n" * 255]
)
things = st.tuples(
    st.lists(parts, min_size=1, max_size=4).map("/".join),
    st.sampled_from(["file", "file", "file", "folder", "link", "link out", "dangling", "pipe", "big"]),
)


def make(root: Path, name: str, kind: str) -> None:
    """Put one thing into a folder, unless something is in its way."""
    path = root / name
    if os.path.lexists(path):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        makers: dict[str, Any] = {
            "file": lambda: path.write_bytes(name.encode()),
            "big": lambda: path.write_bytes(bytes(MAX_BYTES // 2)),
            "folder": path.mkdir,
            "link": lambda: path.symlink_to("plugin.toml"),
            "link out": lambda: path.symlink_to("/etc"),
            "dangling": lambda: path.symlink_to("nowhere"),
            "pipe": lambda: os.mkfifo(path),
        }
        makers[kind]()
    except OSError:
        hypothesis.event("a file is in the way")


@hypothesis.settings(max_examples=100)
@given(st.lists(things, max_size=MAX_FILES))
def test_no_folder_gets_out_of_its_copy(tree: list[tuple[str, str]]) -> None:
    """Links, pipes, collisions and too much of everything: a private copy, or an error."""
    with workplace() as place:
        bundle = place / "bundle"
        bundle.mkdir()
        (bundle / "plugin.toml").write_bytes(MANIFEST)
        for name, kind in tree:
            make(bundle, name, kind)
        staged = attempt(bundle, place)
        if staged is not None:
            assert_is_private_and_bounded(staged)
            remove_staged(staged.directory)
