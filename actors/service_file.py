"""Where programs of the same user find a system that runs as a service: a private directory with a lock and a file.

The lock tells whether the service lives, however it ended; the file holds what a program needs to be let in.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import attrs
import cattrs

from ..config.errors import StartupError
from ..config.settings import Settings
from ..plugins.errors import ServiceNotRunning, ServiceRunning
from .arguments import NO_FOLDER
from .transports.unix import directory

FOLDER = "nyx-plugins"
_LOCK = "service.lock"
_FILE = "service.json"
_STOPPED = "stopped.json"
# A program that looks whether the service lives holds its lock for a moment.
_PATIENCE_S = 0.5


@attrs.frozen
class Service:
    """A running service: its process, the host of its actors, and how to reach them."""

    version: str
    pid: int
    host_pid: int
    runtime_dir: str
    """The directory of the actors, inside that of the service."""
    key: str
    supervisor: str
    started_at: float
    """Seconds since 1970."""
    settings: dict[str, Any] = attrs.field(repr=False)
    """Without the plugins: their configuration is nobody's business."""

    def structured_settings(self) -> Settings:
        """Return the settings that the service runs with."""
        return cattrs.structure(self.settings, Settings)


def service_dir(configured: str | Path | None = None) -> Path:
    """Return where a service lives: as configured, else a folder of the user's runtime directory.

    That is ``$XDG_RUNTIME_DIR/nyx-plugins`` or ``/run/user/UID/nyx-plugins``, and where there is neither, a folder of
    the home directory: nothing lies in a shared temporary directory under a name that others could guess.

    Raises :class:`TypeError` for what is no path, and :class:`StartupError` where there is no current folder.
    """
    if configured is not None and not isinstance(configured, (str, Path)):
        raise TypeError(f"a runtime directory must be a path or None, not {type(configured).__name__}")
    if configured:
        try:
            return Path(configured).absolute()
        except OSError:
            raise StartupError(f"runtime directory {configured} is relative, and {NO_FOLDER}") from None
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given:
        return Path(given).absolute() / FOLDER
    usual = Path(f"/run/user/{os.getuid()}")
    if usual.is_dir() and os.access(usual, os.W_OK):
        return usual / FOLDER
    return Path.home() / ".local" / "state" / FOLDER


class Claim:
    """The right to be the service of a directory: held from the start to the end of a process, or until released."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _prepare(self.path)
        self._lock = self._take()

    def publish(self, service: Service) -> None:
        """Let programs of the same user find the service; replaces at once what was there.

        Raises :class:`StartupError` when the directory is another one by now, or can't be written.
        """
        if not self._is_there():
            raise StartupError(f"the runtime directory {self.path} was removed while the service was running")
        _write(self.path / _FILE, attrs.asdict(service))

    def report_stop(self, report: dict[str, Any]) -> None:
        """Leave word of how the service ended, for who has asked it to, if that can be written."""
        with contextlib.suppress(StartupError):
            if self._is_there():
                _write(self.path / _STOPPED, {"pid": os.getpid(), **report})

    def release(self) -> None:
        """Be the service no more. Idempotent."""
        if self._lock >= 0:
            if self._is_there():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path / _FILE)
            os.close(self._lock)
            self._lock = -1

    def _is_there(self) -> bool:
        """Whether the directory is still the one that was claimed: somebody may have removed it, and made another."""
        with contextlib.suppress(OSError):
            return self._lock >= 0 and os.path.samestat(os.fstat(self._lock), os.stat(self.path / _LOCK))
        return False

    def _take(self) -> int:
        deadline = time.monotonic() + _PATIENCE_S
        while (held := _try_lock(self.path / _LOCK)) is None:
            if time.monotonic() >= deadline:
                raise ServiceRunning(str(self.path), _holder(self.path))
            time.sleep(0.02)
        try:
            os.truncate(held, 0)
            os.write(held, b"%d\n" % os.getpid())
            for name in (_FILE, _STOPPED):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path / name)
        except OSError as error:
            os.close(held)
            raise _unusable(self.path / _LOCK, error) from None
        return held


def find(path: Path) -> Service:
    """Return the service of a directory; raises :class:`ServiceNotRunning`, or :class:`StartupError` for a bad one."""
    try:
        directory.check(str(path))
        content = (path / _FILE).read_bytes() if _is_held(path / _LOCK) else None
    except FileNotFoundError:
        content = None
    except directory.DirectoryError as error:
        raise StartupError(f"the service of {path} can't be used: {error.reason}") from None
    except OSError as error:
        raise StartupError(f"the service of {path} can't be used: {error.strerror}") from None
    if content is None:
        raise ServiceNotRunning(str(path))
    try:
        return cattrs.structure(json.loads(content), Service)
    except Exception as error:
        # Whatever is wrong in there, another version has written it, or somebody by hand.
        raise StartupError(f"the service of {path} can't be used: {_FILE} is malformed ({error!r:.200})") from None


def stop_report(path: Path, pid: int) -> dict[str, Any] | None:
    """Return how the service that was process ``pid`` ended, if it left word."""
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((path / _STOPPED).read_bytes())
        if found.get("pid") == pid:
            return found
    return None


def _prepare(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.check(str(path))
    except directory.DirectoryError as error:
        raise StartupError(f"no service can run in {path}: {error.reason}") from None
    except OSError as error:
        raise StartupError(f"no service can run in {path}: {error.strerror}") from None


def _is_held(lock: Path) -> bool:
    fd = os.open(lock, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _try_lock(lock: Path) -> int | None:
    try:
        return directory.try_lock(str(lock))
    except OSError as error:
        raise _unusable(lock, error) from None


def _unusable(path: Path, error: OSError) -> StartupError:
    return StartupError(f"{path} can't be written: {error.strerror}")


def _holder(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int((path / _LOCK).read_text())
    return None


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a private file at once: readers find the whole of it or the one before. Raises :class:`StartupError`."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "w") as file:
            json.dump(content, file)
        os.replace(new, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise _unusable(path, error) from None
