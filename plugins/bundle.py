"""Bundles: a directory or a zip with ``plugin.toml``, read without trust and staged as private files."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import attrs

from ..config.checks import MIB
from ..config.loading import BUILTIN_PREFIX
from .bundle_source import Budget, Entry, directory_entries, zip_entries
from .errors import BundleError
from .manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from .policy import is_within

MAX_FILES = 2000
MAX_BYTES = 64 * MIB
BUILTIN = Path(__file__).with_name("builtin")


@attrs.frozen
class StagedBundle:
    """A checked copy of a bundle: its manifest, the SHA-256 of its content (hex), and the private directory."""

    manifest: Manifest
    digest: str
    directory: Path


def resolve_bundle(bundle: str | Path) -> Path:
    """The path of a bundle; ``builtin:NAME`` is one that comes with this package. Raises BundleError for others."""
    text = os.fspath(bundle)
    if "\0" in text:
        raise BundleError(repr(text), "is no path: it holds a NUL character")
    if not text.startswith(BUILTIN_PREFIX):
        return Path(text)
    name = text.removeprefix(BUILTIN_PREFIX)
    known = sorted(found.parent.name for found in BUILTIN.glob(f"*/{MANIFEST_NAME}"))
    if name not in known:
        raise BundleError(text, f"there is no bundled plugin {name!r}, only {', '.join(known) or 'none at all'}")
    return BUILTIN / name


def read_manifest(bundle: str | Path) -> Manifest:
    """The manifest of a bundle, staging nothing. Raises BundleError or ManifestError."""
    source = str(bundle)
    with _entries(resolve_bundle(bundle), Budget(source, MAX_FILES, MAX_BYTES)) as entries:
        for entry in entries:
            if entry.name == MANIFEST_NAME:
                return parse_manifest(b"".join(_limited(entry, source)), _manifest_source(source))
    raise BundleError(source, f"has no {MANIFEST_NAME}")


def _limited(entry: Entry, source: str) -> Iterator[bytes]:
    size = 0
    for chunk in entry.chunks():
        size += len(chunk)
        if size > MAX_MANIFEST_BYTES:
            raise BundleError(source, f"{MANIFEST_NAME} has more than {MAX_MANIFEST_BYTES:,} bytes")
        yield chunk


def _manifest_source(source: str) -> str:
    return f"{source}/{MANIFEST_NAME}"


def stage_bundle(
    bundle: str | Path, target_dir: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
) -> StagedBundle:
    """Copy or unzip a bundle into ``target_dir``, which must be new or empty and becomes private (0700, files 0600).

    Raises BundleError or ManifestError, and then removes ``target_dir``. Caches (``*.pyc``) and version control are
    left out; links, devices, names that lead outside or collide, and more than ``max_files`` files and folders or
    ``max_bytes`` bytes are refused.
    """
    source, path = str(bundle), resolve_bundle(bundle)
    _make_private(target_dir, path, source)
    try:
        with _entries(path, Budget(source, max_files, max_bytes)) as entries:
            names = [_write(entry, target_dir, source) for entry in entries]
        if MANIFEST_NAME not in names:
            raise BundleError(source, f"has no {MANIFEST_NAME}")
        manifest = parse_manifest((target_dir / MANIFEST_NAME).read_bytes(), _manifest_source(source))
        return StagedBundle(manifest, _digest(target_dir, names), target_dir)
    except BaseException:
        shutil.rmtree(target_dir, ignore_errors=True)
        raise


def _make_private(target: Path, path: Path, source: str) -> None:
    if is_within(os.path.realpath(target), [os.path.realpath(path)]):
        raise BundleError(source, f"can't be staged inside itself, in {target}")
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.is_symlink() or any(target.iterdir()):
            raise BundleError(source, f"can't be staged: {target} is not a new or empty directory")
        target.chmod(0o700)
    except OSError as error:
        raise BundleError(source, f"can't be staged in {target}: {error.strerror}") from error


def _entries(path: Path, budget: Budget) -> closing[Generator[Entry]]:
    return closing(directory_entries(path, budget) if os.path.isdir(path) else zip_entries(path, budget))


def _write(entry: Entry, target: Path, source: str) -> str:
    """Write one entry as a private file, and give its name."""
    try:
        _make_folders(target, entry.name)
        descriptor = os.open(target / entry.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.writelines(entry.chunks())
    except OSError as error:
        raise BundleError(source, f"file {entry.name!r} can't be staged in {target}: {error.strerror}") from error
    return entry.name


def _make_folders(target: Path, name: str) -> None:
    for part in name.split("/")[:-1]:
        target /= part
        target.mkdir(mode=0o700, exist_ok=True)


def _digest(directory: Path, names: list[str]) -> str:
    """SHA-256 over each file in the order of its UTF-8 name: length (u32) and name, length (u64) and content."""
    digest = hashlib.sha256()
    for name in sorted(name.encode() for name in names):
        content = (directory / name.decode()).read_bytes()
        digest.update(len(name).to_bytes(4, "big") + name + len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()
