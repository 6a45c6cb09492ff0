"""The private directory of one actor system: where it lies, who may enter, its key, and what to do with stale ones.

It is 0700 and its owner's; all sockets of the system lie in it. A lock tells whether the system is still alive: its
admin holds it, and the kernel gives it back however the admin ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from thespian.actors import ActorSystemStartupFailure

DIRECTORY_CAPABILITY = "Unix Directory"
PORT_CAPABILITY = "Admin Port"
DEFAULT_PORT = 1900
MAX_PATH = 107
"""The longest path of a Unix-domain socket in bytes (``sun_path`` of unix(7), less its final zero)."""
# The longest name below a system's directory: '/', a process id, '-', a token.
LONGEST_NAME = 1 + 7 + 1 + 8
KEY_BYTES = 32
_KEY_FILE = "key"
_LOCK_FILE = "lock"
# Younger directories may be about to be used: their admin has not taken the lock yet.
_SETTLED_S = 60.0

_keys: dict[str, bytes] = {}


class DirectoryError(ActorSystemStartupFailure):
    """A directory for sockets can't be used; the text says which, why, and what to do."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"sockets can't be kept in {path}: {reason}")

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[DirectoryError], tuple[str, str]]:
        return DirectoryError, (self.path, self.reason)


def root() -> str:
    """Return where systems without a directory of their own lie: below XDG_RUNTIME_DIR or the temporary directory."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return os.path.join(os.path.abspath(base), f"thespian-{os.getuid()}")


def of(capabilities: Mapping[str, Any]) -> str:
    """Return the directory of the system with these capabilities."""
    own = capabilities.get(DIRECTORY_CAPABILITY)
    if own:
        return os.path.abspath(str(own))
    port = capabilities.get(PORT_CAPABILITY)
    return os.path.join(root(), str(DEFAULT_PORT if port is None else port))


def prepare(path: str) -> None:
    """Make the directory, and its parent if that is missing, for this user alone. Raises :class:`DirectoryError`."""
    length, most = len(os.fsencode(path)), MAX_PATH - LONGEST_NAME
    if length > most:
        raise DirectoryError(path, f"its path has {length} bytes, and at most {most} leave room for names")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DirectoryError(path, "its path is no UTF-8") from None
    try:
        for each in (os.path.dirname(path), path):
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, 0o700)
        check(path)
        if os.path.dirname(path) == root():
            check(root())
    except OSError as error:
        raise DirectoryError(path, error.strerror or str(error)) from None


def check(path: str) -> None:
    """Refuse a directory that somebody else owns or could write to. Raises :class:`DirectoryError` or OSError."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise DirectoryError(path, "it is no directory")
    if found.st_uid != os.getuid():
        raise DirectoryError(path, f"it belongs to user {found.st_uid}, not to user {os.getuid()}, who runs this")
    if found.st_mode & 0o077:
        mode = oct(stat.S_IMODE(found.st_mode))
        raise DirectoryError(path, f"its mode is {mode}: it must be the owner's alone (chmod 700)")


def new_name() -> str:
    """Return a name for a socket that nobody has used before: the process and a random token."""
    return f"{os.getpid()}-{os.urandom(4).hex()}"


# Keys.


def make_key(path: str) -> bytes:
    """Make the key of a new system; only this process and those forked from it know it."""
    key = _keys[path] = os.urandom(KEY_BYTES)
    return key


def remember_key(path: str, key: bytes) -> None:
    """Take over the key of a system that somebody else has started."""
    _keys[path] = key


def key(path: str) -> bytes | None:
    """Return the key of the system in ``path``, from memory or its file; ``None`` where there is none to be had."""
    if path not in _keys:
        refresh_key(path)
    return _keys.get(path)


def refresh_key(path: str) -> None:
    """Read the key from its file, if there is one: the system may be another than the one known."""
    with contextlib.suppress(OSError), open(os.path.join(path, _KEY_FILE), "rb") as file:
        found = file.read(KEY_BYTES)
        if len(found) == KEY_BYTES:
            _keys[path] = found


def forget_key(path: str) -> None:
    """Forget the key of a system, so that it is read anew."""
    _keys.pop(path, None)


def publish_key(path: str) -> None:
    """Write the key down, for other programs of the same user."""
    new = os.path.join(path, f"{_KEY_FILE}.{os.getpid()}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(_keys[path])
    # At once: a reader finds the whole key or the one before.
    os.replace(new, os.path.join(path, _KEY_FILE))


def withdraw_key(path: str) -> None:
    """Remove the key that an earlier system may have written down."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, _KEY_FILE))


# Life and death.


def lock(path: str, patience_s: float = 0.0) -> int | None:
    """Take the lock of a system; returns the descriptor that holds it, or ``None`` while a live one does.

    It waits up to ``patience_s`` seconds for one that is about to end.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            held = try_lock(os.path.join(path, _LOCK_FILE))
        except FileNotFoundError:
            # With the one that ended its directory has gone.
            prepare(path)
            continue
        if held is not None or time.monotonic() >= deadline:
            return held
        time.sleep(0.02)


def try_lock(path: str) -> int | None:
    """Take a lock file, made if need be; returns the descriptor that holds it, or ``None`` while somebody else does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it before may have removed it in between.
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None


def is_listening(path: str) -> bool:
    """Whether some process listens at ``path``. A full queue counts as yes."""
    try:
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError:
        # Who has no descriptor left can't tell.
        return True
    with probe:
        try:
            probe.connect(path)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def remove_socket(path: str) -> None:
    """Remove a socket if nobody listens at it."""
    if not is_listening(path):
        with contextlib.suppress(OSError):
            os.unlink(path)


def tidy(path: str) -> None:
    """Remove what is left of a system whose lock the caller holds; what others still use stays, until they go."""
    withdraw_key(path)
    with contextlib.suppress(OSError):
        for name in os.listdir(path):
            _remove_if_socket(os.path.join(path, name))
        if os.listdir(path) == [_LOCK_FILE]:
            os.unlink(os.path.join(path, _LOCK_FILE))
            os.rmdir(path)
            if os.path.dirname(path) == root():
                os.rmdir(root())


def _remove_if_socket(path: str) -> None:
    # One that has gone meanwhile is none.
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            remove_socket(path)


def tidy_unused(path: str) -> None:
    """Remove what is left of a system, unless it lives."""
    with contextlib.suppress(OSError):
        while os.path.isdir(path) and (held := try_lock(os.path.join(path, _LOCK_FILE))) is not None:
            tidy(path)
            os.close(held)
            if os.listdir(path) != [_LOCK_FILE]:
                break


def remove_stale(parent: str) -> list[str]:
    """Remove the systems' directories below ``parent``, a private directory, whose admins are gone; returns them."""
    removed = []
    with contextlib.suppress(OSError, DirectoryError):
        check(parent)
        for name in os.listdir(parent):
            path = os.path.join(parent, name)
            if stat.S_ISDIR(os.lstat(path).st_mode) and _remove_if_stale(path):
                removed.append(path)
    return removed


def _remove_if_stale(path: str) -> bool:
    """Remove a directory while its lock is held: whoever starts a system there meanwhile finds it taken, then gone."""
    try:
        if time.time() - os.lstat(path).st_mtime < _SETTLED_S or not os.path.exists(os.path.join(path, _LOCK_FILE)):
            return False
        held = try_lock(os.path.join(path, _LOCK_FILE))
    except OSError:
        return False
    if held is None:
        return False
    shutil.rmtree(path, ignore_errors=True)
    os.close(held)
    return True
