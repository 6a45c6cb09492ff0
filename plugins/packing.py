"""Packing a bundle: one zip for one content, byte by byte, wherever and whenever it is made."""

from __future__ import annotations

import io
import os
import secrets
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import attrs
from packaging.version import Version

from ..config.errors import NyxPluginError
from .bundle import BUILTIN, StagedBundle, resolve_bundle, stage_bundle
from .errors import BundleError
from .manifest import Manifest
from .policy import is_within
from .signature import SIGNATURE_NAME, Signature, read_signature

# A zip can't say less; the real times would differ from one checkout to the next.
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_MODE = stat.S_IFREG | 0o644
_UNIX = 3


class PackingError(NyxPluginError, ValueError):
    """The zip can't be written to ``path``: see ``reason``. Name another place."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} {reason}")


@attrs.frozen
class Packed:
    """A zip that was written: where, of what, how many files and bytes, and the digest of the bundle (hex)."""

    path: Path
    manifest: Manifest
    digest: str
    files: int
    size: int


def pack(bundle: str | Path, output: str | Path | None = None, *, replace: bool = False) -> Packed:
    """Check a bundle as for loading, and write it as a zip that has its digest, whole or not at all.

    Without ``output`` it is NAME-VERSION.zip in the current directory, or beside the bundle when that is the current
    directory. A signature is kept. Raises :class:`BundleError`, :class:`ManifestError`, :class:`SignatureError` when
    the bundle has changed since it was signed, and :class:`PackingError` when ``output`` can't be written, is there
    (unless ``replace``), or lies in the bundle.
    """
    source = str(bundle)
    with _staged(bundle, "bundle") as staged:
        target = _target(resolve_bundle(bundle), output, staged.manifest, replace)
        read_signature(source, staged.digest, staged.signature)
        files = _files(staged.directory)
        _check_entry_point(source, staged.manifest, files)
        content = _zipped_as_bundle(staged, files, staged.signature)
    _write(content, target, replace)
    return Packed(target, staged.manifest, staged.digest, len(files), len(content))


@attrs.frozen
class Signed:
    """A bundle that was signed: where it is, its manifest, and its signature."""

    path: Path
    manifest: Manifest
    signature: Signature


def sign_bundle(bundle: str | Path, sign: Callable[[StagedBundle], Signature]) -> Signed:
    """Put what ``sign`` makes of a checked copy into the bundle: a directory gets a file, a zip is packed again.

    Nobody ever sees half of it. Raises :class:`BundleError`, :class:`ManifestError` and :class:`PackingError`.
    """
    path = Path(os.path.realpath(resolve_bundle(bundle)))
    if path.is_relative_to(os.path.realpath(BUILTIN)):
        raise BundleError(str(bundle), "comes with this package and can't be signed")
    with _staged(bundle, "bundle") as staged:
        signature = sign(staged)
        if path.is_dir():
            _write(signature.encode(), path / SIGNATURE_NAME, replace=True)
        else:
            _write(_zipped_as_bundle(staged, _files(staged.directory), signature.encode()), path, replace=True)
    return Signed(path, staged.manifest, signature)


def zipped(names: Iterable[str], directory: Path, more: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
    """Zip these files of ``directory``, and ``more``: in order of their UTF-8 names, all with the same time and mode.

    They are stored, not compressed: what deflate makes of the same bytes differs from one zlib to another.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted([*names, *more], key=str.encode):
            info = zipfile.ZipInfo(name, _EARLIEST)
            info.create_system = _UNIX
            info.external_attr = _MODE << 16
            archive.writestr(info, more[name] if name in more else (directory / name).read_bytes())
    return buffer.getvalue()


def _zipped_as_bundle(staged: StagedBundle, files: Iterable[str], signature: bytes | None) -> bytes:
    content = zipped(files, staged.directory, {} if signature is None else {SIGNATURE_NAME: signature})
    _check_same(content, staged)
    return content


@contextmanager
def _staged(bundle: str | Path, name: str) -> Iterator[StagedBundle]:
    """Take a private copy, so that what is checked is what is packed."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix="nyx-pack-")
    except OSError as error:
        raise PackingError(tempfile.gettempdir(), f"can't hold a copy of the bundle: {error.strerror}") from None
    with scratch as folder:
        yield stage_bundle(bundle, Path(folder, name))


def _files(directory: Path) -> list[str]:
    return [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]


def _check_entry_point(source: str, manifest: Manifest, files: Iterable[str]) -> None:
    module, _, _ = manifest.entry_point.partition(":")
    path = module.replace(".", "/")
    compiled = tuple(name for name in files if name.startswith(f"{path}.") and name.endswith(".so"))
    if not {f"{path}.py", f"{path}/__init__.py", *compiled}.intersection(files):
        raise BundleError(source, f"has no module {module!r}, which its entry point {manifest.entry_point!r} names")


def _check_same(content: bytes, staged: StagedBundle) -> None:
    """Read the zip as a loader will: it must be the same bundle."""
    path = staged.directory.with_name("bundle.zip")
    path.write_bytes(content)
    again = stage_bundle(path, staged.directory.with_name("again"))
    assert again.digest == staged.digest, "packing changed the bundle"


def _target(bundle: Path, output: str | Path | None, manifest: Manifest, replace: bool) -> Path:
    inside = [os.path.realpath(bundle)]
    name = f"{manifest.name}-{Version(manifest.version)}.zip"
    target = Path(output) if output is not None else Path(name)
    if output is None and is_within(os.path.realpath(target), inside):
        target = Path(os.path.realpath(bundle)).parent / name
    if is_within(os.path.realpath(target.parent), inside):
        raise PackingError(str(target), "lies in the bundle, and would be packed the next time: name a place outside")
    if os.path.isdir(target):
        raise PackingError(str(target), f"is a directory: name a file, such as {target / name}")
    if os.path.lexists(target) and not replace:
        raise _exists(target)
    return target


def _exists(target: Path) -> PackingError:
    return PackingError(str(target), "is there already: --force replaces it, --output names another")


def _write(content: bytes, target: Path, replace: bool) -> None:
    """Write a file beside ``target``, then give it its name: nobody ever sees half of it."""
    draft = target.with_name(f".{secrets.token_hex(8)}.nyx-pack")
    try:
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _place(draft, target, replace)
    except FileExistsError:
        raise _exists(target) from None
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise PackingError(str(target), f"can't be written: {why}") from None
    finally:
        with suppress(OSError, ValueError):
            draft.unlink()


def _place(draft: Path, target: Path, replace: bool) -> None:
    if replace:
        os.replace(draft, target)
    else:
        # Unlike a renaming, a link replaces nothing that has come there meanwhile.
        os.link(draft, target)
