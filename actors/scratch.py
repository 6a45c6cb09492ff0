"""A worker's scratch directory: it begins empty, however much the worker before has left in it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from .trees import remove, remove_within, set_aside

AT_ONCE = 256
"""So many steps of the removal are waited for."""


def begin(path: Path) -> Path:
    """Make the directory, private and empty. What takes long to remove is moved beside it, and a thread removes it.

    The thread never holds up the end of its process: what it leaves is removed with the plugin. Raises OSError.
    """
    if not remove_within(path, AT_ONCE):
        aside = path.with_name(f"{path.name}-{os.urandom(8).hex()}")
        set_aside(path, aside)
        try:
            path.mkdir(mode=0o700)
        except OSError:
            # It may be what was moved that takes all the room: this once it is waited for.
            remove(aside)
        else:
            _remove_meanwhile(aside)
            return path
    path.mkdir(mode=0o700)
    return path


def _remove_meanwhile(aside: Path) -> None:
    try:
        threading.Thread(target=remove, args=(aside,), name="scratch", daemon=True).start()
    except RuntimeError:
        # There can be no more threads.
        remove(aside)
