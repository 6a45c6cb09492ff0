"""Whether the signature of a bundle is good enough to load it."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.loading import BUILTIN_PREFIX
from .bundle import StagedBundle
from .errors import SigningUnavailable
from .keys import public_keys
from .signature import check_signature, read_signature, verified


def signer(bundle: str, staged: StagedBundle, trusted_keys: Sequence[str]) -> str:
    """The public key that has signed a staged bundle; empty when there is no signature, or no means to check it.

    With ``trusted_keys`` it must be one of those, except for the plugins that come with this package: whoever can
    change these can change what checks them. Without, a signature may be missing but not wrong. Raises
    :class:`SignatureError`, :class:`KeyUnusable` and :class:`SigningUnavailable`.
    """
    if trusted_keys and not bundle.startswith(BUILTIN_PREFIX):
        return str(check_signature(bundle, staged.digest, staged.signature, public_keys(trusted_keys)))
    signature = read_signature(bundle, staged.digest, staged.signature)
    try:
        return "" if signature is None else str(verified(bundle, signature))
    except SigningUnavailable:
        return ""
