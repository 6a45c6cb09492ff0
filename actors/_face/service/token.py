"""The dashboard's token: what it has to be, and the file that holds it."""

from __future__ import annotations

import os

from ..config.errors import StartupError
from ..config.files import open_at_once

MIN_CHARS = 16


def check_token(token: str, what: str = "the dashboard's token") -> str:
    """Return ``token`` if it can be sent and is too long to be guessed; else raises :class:`StartupError`."""
    if not token:
        raise StartupError(f"{what} is empty")
    if not (token.isprintable() and token.isascii() and token.strip() == token):
        raise StartupError(f"{what} must be of ASCII characters that can be typed, in one line")
    if len(token) < MIN_CHARS:
        hint = f"at least {MIN_CHARS} characters are needed, as `openssl rand -hex 16` makes them"
        raise StartupError(f"{what} can be guessed, with a length of {len(token)}: {hint}")
    return token


def read_token(path: str) -> str:
    """Return the token in a file. Raises :class:`StartupError`, for a file that others can read too."""
    try:
        with open(path, encoding="utf-8", opener=open_at_once) as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise StartupError(f"the token file {path} can be read by others: make it private (chmod 600)")
            return check_token(file.read(4096).strip(), f"the token in {path}")
    except UnicodeDecodeError:
        raise StartupError(f"the token file {path} is no text") from None
    except OSError as error:
        if isinstance(error, StartupError):
            raise
        raise StartupError(f"the token file {path} can't be read: {error.strerror}") from None
