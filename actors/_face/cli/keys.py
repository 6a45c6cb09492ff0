"""What ``nyx-plugins keygen`` does: two files, neither of which was there before."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..plugins.keys import PrivateKey, PublicKey
from ..plugins.policy import is_within
from .failure import Failure

_PRIVATE_MODE = 0o600
_PUBLIC_MODE = 0o644


def make_pair(name: str) -> PublicKey:
    """Write NAME.key and NAME.pub, or nothing. Raises :class:`Failure` when one of them is there."""
    if not name or "\0" in name or name.endswith("/"):
        raise Failure(f"{name!r} is no name for two files")
    key = PrivateKey.generate()
    private, public = Path(f"{name}.key"), Path(f"{name}.pub")
    _create(private, key.pem(), _PRIVATE_MODE)
    try:
        _create(public, f"{key.public}\n".encode(), _PUBLIC_MODE)
    except Failure:
        private.unlink()
        raise
    return key.public


def refuse_key_inside(key: str, bundle: str) -> None:
    """Raise :class:`Failure` when a private key would be handed out with the bundle that it signs."""
    if is_within(os.path.realpath(key), [os.path.realpath(bundle)]):
        raise Failure(f"{key} lies in the bundle, and would be handed out with it: move it to another place")


def _create(path: Path, content: bytes, mode: int) -> None:
    """Create a file that was not there, with this mode whatever the umask allows beyond it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise Failure(f"{path} is there already: keys are never replaced, so name another") from None
    except OSError as error:
        raise Failure(f"{path} can't be written: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise Failure(f"{path} can't be written: {error.strerror}") from None
