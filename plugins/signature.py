"""``plugin.sig``: who has signed a bundle.

It lies at the root of the bundle and is no part of its content. Four lines of ASCII::

    nyx-plugins signature 1
    digest <SHA-256 of the content, hex>
    key ed25519:<base64>
    signature <base64>

The Ed25519 signature is over ``nyx-plugins bundle 1``, a NUL, and the 32 bytes of the digest.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Set

import attrs

from .errors import SignatureError
from .keys import PrivateKey, PublicKey

SIGNATURE_NAME = "plugin.sig"
MAX_SIGNATURE_BYTES = 1024
_CONTEXT = b"nyx-plugins bundle 1\0"
_FORM = re.compile(
    rb"nyx-plugins signature 1\ndigest ([0-9a-f]{64})\nkey (ed25519:[A-Za-z0-9+/]{43}=)\n"
    rb"signature ([A-Za-z0-9+/]{86}==)\n"
)


@attrs.frozen
class Signature:
    """What ``plugin.sig`` says: ``value`` is the signature of the content with this digest (hex) by ``key``."""

    digest: str
    key: PublicKey
    value: bytes

    def encode(self) -> bytes:
        """The bytes of ``plugin.sig``."""
        value = base64.b64encode(self.value).decode()
        return f"nyx-plugins signature 1\ndigest {self.digest}\nkey {self.key}\nsignature {value}\n".encode()

    @classmethod
    def decode(cls, raw: bytes, source: str) -> Signature:
        """What ``raw`` says. Raises :class:`SignatureError`: each signature has one spelling."""
        if match := _FORM.fullmatch(raw):
            digest, key, value = (part.decode() for part in match.groups())
            try:
                found = cls(digest, PublicKey.parse(key), base64.b64decode(value))
            except ValueError:
                found = None
            if found is not None and found.encode() == raw:
                return found
        raise SignatureError(source, "malformed", f"{SIGNATURE_NAME} is no signature: {_AGAIN}")


_AGAIN = "have it signed again, or fetch it again"


def sign(digest: str, key: PrivateKey) -> Signature:
    """Sign the content with this digest."""
    return Signature(digest, key.public, key.sign(_message(digest)))


def check_signature(source: str, digest: str, raw: bytes | None, trusted: Set[PublicKey]) -> PublicKey:
    """The trusted key that has signed the content with this ``digest``; ``raw`` is what ``plugin.sig`` holds.

    Raises :class:`SignatureError` and :class:`SigningUnavailable`.
    """
    signature = read_signature(source, digest, raw)
    if signature is None:
        reason = f"is not signed: it has no {SIGNATURE_NAME}, which 'nyx-plugins sign' makes"
        raise SignatureError(source, "missing", reason)
    if signature.key not in trusted:
        reason = f"is signed by {signature.key}, which is not among the trusted keys ({len(trusted):,})"
        raise SignatureError(source, "unknown key", reason, str(signature.key))
    return verified(source, signature)


def read_signature(source: str, digest: str, raw: bytes | None) -> Signature | None:
    """What ``plugin.sig`` says, if there is one. Raises :class:`SignatureError` unless it is for this digest.

    That alone proves nothing: see :func:`verified`.
    """
    signature = None if raw is None else Signature.decode(raw, source)
    if signature is not None and signature.digest != digest:
        reason = f"has changed since it was signed (signed was {signature.digest}, and it has {digest}): {_AGAIN}"
        raise SignatureError(source, "mismatch", reason, str(signature.key))
    return signature


def verified(source: str, signature: Signature) -> PublicKey:
    """The key that has made this signature. Raises :class:`SignatureError` if it has not."""
    if not signature.key.verify(signature.value, _message(signature.digest)):
        reason = f"has a forged or damaged signature: {signature.key} has not made it; {_AGAIN}"
        raise SignatureError(source, "mismatch", reason, str(signature.key))
    return signature.key


def _message(digest: str) -> bytes:
    return _CONTEXT + bytes.fromhex(digest)
