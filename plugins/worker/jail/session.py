"""The session: one of its own, without a terminal, in the directory that the host names, with private new files."""

from __future__ import annotations

import os


def probe() -> str:
    """Works everywhere."""
    return ""


def apply(order: str) -> None:
    """Lead an own session, and go to the directory ``order``."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    os.umask(0o077)
    os.chdir(order)
