"""Ed25519 keys: their text, the files that hold them, and the keys that an operator trusts.

A public key is one line, ``ed25519:`` and its 32 bytes in base64. A private key is a PEM file (PKCS #8, no password).
``cryptography`` is imported where a signature is made or checked, and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ..config.sandbox import KEY_PREFIX
from .errors import KeyUnusable, SigningUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES = 32
MAX_KEY_FILE_BYTES = 64 * 1024
# Private keys that others may read are no secrets.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@attrs.frozen
class PublicKey:
    """A public key; ``str()`` gives its text."""

    raw: bytes

    def __str__(self) -> str:
        return KEY_PREFIX + base64.b64encode(self.raw).decode()

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key that ``text`` spells. Raises ValueError; no key has two spellings."""
        try:
            key = cls(base64.b64decode(text.removeprefix(KEY_PREFIX), validate=True))
        except (binascii.Error, ValueError):
            key = cls(b"")
        if len(key.raw) != KEY_BYTES or str(key) != text:
            raise ValueError(f"must be {KEY_PREFIX} and {KEY_BYTES} bytes in base64, not {text[:80]!r}")
        return key

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether this key has signed ``message``. Raises :class:`SigningUnavailable`."""
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ModuleNotFoundError as missing:
            raise unavailable(missing) from None
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class PrivateKey:
    """A key that signs."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> PrivateKey:
        """A new key. Raises :class:`SigningUnavailable`."""
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ModuleNotFoundError as missing:
            raise unavailable(missing) from None
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: str | Path) -> PrivateKey:
        """The key in a PEM file. Raises :class:`KeyUnusable` (also when others may read it), SigningUnavailable."""
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ModuleNotFoundError as missing:
            raise unavailable(missing) from None
        pem = _read_private(path)
        try:
            key = load_pem_private_key(pem, None)
        except TypeError:
            raise KeyUnusable(str(path), "is protected by a password: use one without") from None
        except Exception:  # whatever the library raises for what is no key; its texts may quote the file
            raise KeyUnusable(str(path), "is no private key in a PEM file") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusable(str(path), "is no Ed25519 key: 'nyx-plugins keygen' makes one")
        return cls(key)

    @property
    def public(self) -> PublicKey:
        """Its public half."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def pem(self) -> bytes:
        """The text of its file."""
        from cryptography.hazmat.primitives import serialization as form

        return self._key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes, always the same for the same message."""
        return self._key.sign(message)


def unavailable(missing: ModuleNotFoundError) -> SigningUnavailable:
    """What to raise when a package is missing."""
    return SigningUnavailable((missing.name or "cryptography").partition(".")[0])


def public_keys(items: Iterable[str]) -> frozenset[PublicKey]:
    """The keys that ``items`` name: each is a public key, or a file with one on each line (``#`` begins a comment).

    Raises :class:`KeyUnusable` for an item that names no key at all.
    """
    return frozenset(key for item in items for key in _keys_of(item))


def _keys_of(item: str) -> list[PublicKey]:
    if item.startswith(KEY_PREFIX):
        return [_parsed(item, item)]
    content, mode = _read(item)
    if mode & stat.S_IWOTH:
        raise KeyUnusable(item, f"may be changed by anybody (mode {mode:04o}): chmod o-w it")
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        raise KeyUnusable(item, "is no text file with public keys") from None
    texts = [text for line in lines if (text := line.partition("#")[0].strip())]
    if any(text.startswith("-----BEGIN") for text in texts):
        raise KeyUnusable(item, "is a PEM file: name the file with the public key, one line that begins with ed25519:")
    if not texts:
        raise KeyUnusable(item, "holds no public key")
    return [_parsed(text, item) for text in texts]


def _parsed(text: str, path: str) -> PublicKey:
    try:
        return PublicKey.parse(text)
    except ValueError as error:
        raise KeyUnusable(path, str(error)) from None


def _read_private(path: str | Path) -> bytes:
    content, mode = _read(path)
    if content.startswith(KEY_PREFIX.encode()):
        raise KeyUnusable(str(path), "is a public key: name the file with the private one")
    if mode & _OTHERS:
        raise KeyUnusable(str(path), f"may be read or changed by others (mode {mode:04o}): chmod 600 it")
    return content


def _read(path: str | Path) -> tuple[bytes, int]:
    """The content of a small file, and its mode."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(MAX_KEY_FILE_BYTES + 1) if stat.S_ISREG(found.st_mode) else b""
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise KeyUnusable(str(path), f"can't be read: {why}") from None
    if not stat.S_ISREG(found.st_mode):
        raise KeyUnusable(str(path), "is no file")
    if len(content) > MAX_KEY_FILE_BYTES:
        raise KeyUnusable(str(path), f"has more than {MAX_KEY_FILE_BYTES:,} bytes")
    return content, stat.S_IMODE(found.st_mode)
