"""The removal of what plugins leave behind. Part of the supervisor's process, for its roster.

What may take long is given to an actor of its own, the remover: nobody waits for the disk because of a plugin.
"""

from __future__ import annotations

from pathlib import Path

from . import messages as m
from ._thespian import Address, same
from .remover import Remover
from .root import Root
from .trees import remove, remove_within, set_aside

AT_ONCE = 256
"""So many steps of a removal are done at once: an ordinary plugin leaves about ten files."""
FOLDER = "removed"
"""Of the runtime directory; what is in there is about to be removed."""


class Removal:
    """There is at most one remover, and only while there is something to remove."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._remover: Address | None = None
        self._count = 0

    def remove(self, path: str | Path) -> None:
        """Remove the directory. Nothing has its name any more, even if not all of it is gone yet."""
        if self._root.boot.settings.system.transport == "inline":
            remove(path)
        elif not remove_within(path, AT_ONCE):
            self._hand_over(Path(path))

    def _hand_over(self, path: Path) -> None:
        folder = Path(self._root.boot.runtime_dir, FOLDER)
        self._count += 1
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            set_aside(path, folder / str(self._count))
        except OSError:
            # It is on another file system, as what is kept for a plugin may be: no plugin code has written there.
            remove(path)
            return
        if self._remover is None:
            self._remover = self._root.create(Remover)
        self._root.send(self._remover, m.RemoveAll(str(folder), self._count, self._root.boot.host_pid))

    def done(self, message: m.AllRemoved) -> None:
        """The remover has removed what it could; it ends unless it has been given more since."""
        if message.number == self._count and self._remover is not None:
            self._root.stop_child(self._remover)
            self._remover = None

    def remover_exited(self, child: Address) -> bool:
        """Whether it was the remover. What it leaves goes with what is handed over next, or in the end."""
        is_remover = same(self._remover, child)
        if is_remover:
            self._remover = None
        return is_remover
