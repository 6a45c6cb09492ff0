"""Notices when a bundle has changed: it looks again and again, and waits until whoever writes has finished."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

INTERVAL_S = 0.1
"""How often to look, in seconds. What is the same at two looks is taken for finished."""
MAX_FILES = 20_000
# What editors, Python and version control leave beside a plugin's files.
_FOREIGN_FOLDERS = ("__pycache__", ".git", ".hg", ".svn")
_FOREIGN_ENDS = (".pyc", "~", ".swp", ".swx", ".tmp")

Look: TypeAlias = dict[str, tuple[int, int, int]]


def look(bundle: str) -> Look:
    """Return time, size and number of each file of a folder, or of a zip file; nothing where there is nothing."""
    return dict(_files(bundle))


def _files(bundle: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    count = 0
    for path in _paths(bundle):
        try:
            status = os.stat(path)
        except OSError:
            continue
        count += 1
        if count > MAX_FILES:
            return
        yield path, (status.st_mtime_ns, status.st_size, status.st_ino)


def _paths(bundle: str) -> Iterator[str]:
    if not os.path.isdir(bundle):
        yield bundle
        return
    for folder, folders, files in os.walk(bundle):
        folders[:] = [name for name in folders if name not in _FOREIGN_FOLDERS]
        for name in files:
            if not name.endswith(_FOREIGN_ENDS):
                yield os.path.join(folder, name)


class Watch:
    """One bundle: :meth:`is_due` says once of what is there at first, and of each change, that it is complete."""

    def __init__(
        self, bundle: str, look: Callable[[str], Look] = look, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bundle = bundle
        self._look = look
        self._clock = clock
        self._handled: Look | None = None
        self._last = look(bundle)
        self._again_at: float | None = None

    def is_due(self) -> bool:
        """Look, and say whether the bundle is another one than before, and nobody writes to it any more."""
        now = self._look(self._bundle)
        settled, self._last = now == self._last, now
        if not settled or not (now != self._handled or self._is_to_be_tried_again()):
            return False
        self._handled, self._again_at = now, None
        return True

    def again(self, after_s: float) -> None:
        """Let the same bundle be due once more, in so many seconds."""
        self._again_at = self._clock() + after_s

    def _is_to_be_tried_again(self) -> bool:
        return self._again_at is not None and self._clock() >= self._again_at
