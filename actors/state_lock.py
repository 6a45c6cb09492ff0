"""The lock on a state directory: what is in it belongs to one system at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..config.errors import StartupError

FILE = "system.lock"
"""The file that is locked; its text is the process id of who has locked it last. It is never removed."""
# How long the end of another system is waited for, in seconds: one that was killed may still be sweeping.
WAIT_S = 5.0
# How often to look meanwhile, in seconds.
_LOOK_S = 0.05
_TAKEN = (errno.EACCES, errno.EAGAIN)

# The kernel tells processes apart, not the systems within one.
_held: dict[str, StateLock] = {}
_changing = threading.Lock()


class StateLock:
    """One system's hold on a state directory; it ends with the process at the latest.

    It is a POSIX record lock, which processes that are forked from this one don't inherit: they may outlive it. It
    would be gone as soon as this process closed any descriptor of the file.
    """

    def __init__(self, directory: str, wanted: Callable[[], None] = lambda: None) -> None:
        """Take it, while ``wanted`` does not raise; raises :class:`StartupError` when another system has it."""
        self._directory = directory
        self._fd = -1
        self._enter()
        try:
            self._fd = os.open(Path(directory, FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._wait(wanted)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, str(os.getpid()).encode(), 0)
        except BaseException as error:
            self.release()
            if isinstance(error, OSError) and not isinstance(error, StartupError):
                reason = f"state directory {directory} can't be locked: {FILE}: {error.strerror}"
                raise StartupError(reason) from None
            raise

    def release(self) -> None:
        """Let another system have the directory. Idempotent."""
        with _changing:
            if _held.get(self._directory) is self:
                del _held[self._directory]
                self._close()

    def _enter(self) -> None:
        with _changing:
            if self._directory in _held:
                raise _in_use(self._directory, str(os.getpid()))
            _held[self._directory] = self

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _wait(self, wanted: Callable[[], None]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not self._try():
            if time.monotonic() >= deadline:
                raise _in_use(self._directory, os.pread(self._fd, 20, 0).decode("ascii", "replace"))
            wanted()
            time.sleep(_LOOK_S)

    def _try(self) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True


def _in_use(directory: str, holder: str) -> StartupError:
    return StartupError(
        f"state directory {directory} is in use by another system (process {holder}):"
        " end that one, or give this one a directory of its own (system.state_dir)"
    )


def _forget_all() -> None:
    """A process that was forked holds no lock, and keeps no file open for one."""
    global _changing
    _changing = threading.Lock()
    for lock in _held.values():
        lock._close()
    _held.clear()


os.register_at_fork(after_in_child=_forget_all)
