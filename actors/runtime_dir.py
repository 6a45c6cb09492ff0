"""The runtime directory of a system: private, held by a lock while the system lives, and removed when it is stale."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from pathlib import Path

from .transports.unix import directory
from .trees import remove

_PREFIX = "nyx-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
_MARKER = "nyx-plugins.lock"
SOCKETS = "s"
"""The folder for the actors' sockets."""
MAX_BASE_BYTES = directory.MAX_PATH - directory.LONGEST_NAME - len(f"/{SOCKETS}/{_PREFIX}12345678")
"""How long the path of the directory that holds runtime directories may be."""
# A younger one may belong to a system that is about to start and does not hold the lock yet.
_SETTLED_S = 60.0


def make(base: Path) -> Path:
    """Make a directory (0700) that :func:`remove_stale` will know as one of ours. Raises OSError."""
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    (path / _MARKER).touch(mode=0o600)
    return path


def hold(path: Path) -> int:
    """Say that the directory is in use, until the returned descriptor is closed: at the latest by the kernel."""
    held = directory.try_lock(str(path / _MARKER))
    assert held is not None, "only the system itself takes its own lock"
    return held


def remove_stale(base: Path) -> None:
    """Remove what systems of this user left in ``base`` that were killed, host and all."""
    with contextlib.suppress(OSError):
        for path in base.glob(f"{_PREFIX}*"):
            if _NAME.fullmatch(path.name) and _is_stale(path):
                remove(path)


def _is_stale(path: Path) -> bool:
    try:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
            return False
        if time.time() - found.st_mtime < _SETTLED_S or not (path / _MARKER).is_file():
            return False
        held = directory.try_lock(str(path / _MARKER))
    except OSError:
        return False
    if held is None:
        return False
    os.close(held)
    return True
