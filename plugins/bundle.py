"""Bundles: a directory or a zip with ``plugin.toml``, read without trust and staged as private files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from pathlib import Path

import attrs

from ..config.loading import BUILTIN_PREFIX
from .bundle_source import Budget, Entry, directory_entries, zip_entries
from .errors import BundleError
from .integrity import MAX_BYTES, MAX_FILES, content_digest, seal, unseal
from .manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from .permissions import ALL_PERMISSIONS
from .policy import is_within
from .signature import MAX_SIGNATURE_BYTES, SIGNATURE_NAME

BUILTIN = Path(__file__).with_name("builtin")


@attrs.frozen
class StagedBundle:
    """A checked copy of a bundle: its manifest, the SHA-256 of its content (hex), and the private directory.

    ``signature`` is what ``plugin.sig`` holds, which is no part of the content; nothing has been checked of it.
    """

    manifest: Manifest
    digest: str
    directory: Path
    signature: bytes | None = None


def resolve_bundle(bundle: str | Path) -> Path:
    """The path of a bundle; ``builtin:NAME`` is one that comes with this package. Raises BundleError for others."""
    text = os.fspath(bundle)
    if not text:
        raise BundleError("''", "must not be empty")
    if "\0" in text:
        raise BundleError(repr(text), "is no path: it holds a NUL character")
    if not text.startswith(BUILTIN_PREFIX):
        return Path(text)
    name = text.removeprefix(BUILTIN_PREFIX)
    known = sorted(found.parent.name for found in BUILTIN.glob(f"*/{MANIFEST_NAME}"))
    if name not in known:
        raise BundleError(text, f"there is no bundled plugin {name!r}, only {', '.join(known) or 'none at all'}")
    return BUILTIN / name


def read_manifest(bundle: str | Path, permissions: Collection[str] = ALL_PERMISSIONS) -> Manifest:
    """The manifest of a bundle, staging nothing. Raises BundleError or ManifestError."""
    source = str(bundle)
    with _entries(resolve_bundle(bundle), Budget(source, MAX_FILES, MAX_BYTES)) as entries:
        for entry in entries:
            if entry.name == MANIFEST_NAME:
                content = b"".join(_limited(entry, MAX_MANIFEST_BYTES, source))
                return parse_manifest(content, _manifest_source(source), permissions)
    raise BundleError(source, f"has no {MANIFEST_NAME}")


def _limited(entry: Entry, limit: int, source: str) -> Iterator[bytes]:
    size = 0
    for chunk in entry.chunks():
        size += len(chunk)
        if size > limit:
            raise BundleError(source, f"{entry.name} has more than {limit:,} bytes")
        yield chunk


def _manifest_source(source: str) -> str:
    return f"{source}/{MANIFEST_NAME}"


def stage_bundle(
    bundle: str | Path,
    target_dir: Path,
    *,
    max_files: int = MAX_FILES,
    max_bytes: int = MAX_BYTES,
    permissions: Collection[str] = ALL_PERMISSIONS,
) -> StagedBundle:
    """Copy or unzip a bundle into ``target_dir``, which must be new or empty and becomes private (0500, files 0400).

    Raises BundleError or ManifestError, and then removes ``target_dir``. Caches (``*.pyc``) and version control are
    left out; links, devices, names that lead outside or collide, and more than ``max_files`` files and folders or
    ``max_bytes`` bytes are refused; so are permissions that are not among ``permissions``.
    Remove the copy with :func:`remove_staged`.
    """
    source, path = str(bundle), resolve_bundle(bundle)
    _make_private(target_dir, path, source)
    try:
        with _entries(path, Budget(source, max_files, max_bytes)) as entries:
            signature, names = _write_all(entries, target_dir, source)
        if MANIFEST_NAME not in names:
            raise BundleError(source, f"has no {MANIFEST_NAME}")
        manifest = parse_manifest((target_dir / MANIFEST_NAME).read_bytes(), _manifest_source(source), permissions)
        seal(target_dir)
        digest = content_digest(target_dir, max_files=max_files, max_bytes=max_bytes)
        return StagedBundle(manifest, digest, target_dir, signature)
    except BaseException:
        remove_staged(target_dir)
        raise


def remove_staged(directory: Path) -> None:
    """Remove a staged copy, or what there is of it."""
    unseal(directory)
    shutil.rmtree(directory, ignore_errors=True)


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


def _write_all(entries: Iterator[Entry], target: Path, source: str) -> tuple[bytes | None, set[str]]:
    """Write all but the signature, and give that and the names of what was written."""
    signature, names = None, set()
    for entry in entries:
        if entry.name == SIGNATURE_NAME:
            signature = b"".join(_limited(entry, MAX_SIGNATURE_BYTES, source))
        else:
            _write(entry, target, source)
            names.add(entry.name)
    return signature, names


def _write(entry: Entry, target: Path, source: str) -> None:
    """Write one entry as a private file."""
    try:
        _make_folders(target, entry.name)
        descriptor = os.open(target / entry.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.writelines(entry.chunks())
    except OSError as error:
        raise BundleError(source, f"file {entry.name!r} can't be staged in {target}: {error.strerror}") from error


def _make_folders(target: Path, name: str) -> None:
    for part in name.split("/")[:-1]:
        target /= part
        target.mkdir(mode=0o700, exist_ok=True)
