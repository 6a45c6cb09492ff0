"""What a plugin may not do itself, done for it under its policy: making a connection, opening a file.

Everything here may take its time (names are resolved, file systems may be slow), so a plugin actor leaves it to a
:class:`~.crew.Crew`.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ..config.hosts import parse_host
from ..plugins.access import network_allows, path_allows
from ..plugins.policy import Policy
from ..plugins.worker.answers import Connect, Request
from ..plugins.worker.outside import Refusal
from ..plugins.worker.protocol import BY_POLICY, BY_RESOLVER, BY_SYSTEM, clip

Place: TypeAlias = tuple[int, Any]
"""An address family, and the address as :meth:`socket.socket.connect` takes it; an IP address comes first in it."""
Resolve: TypeAlias = Callable[[str, int], Sequence[Place]]

OPEN_S = 10.0
"""How long opening a file may take, in seconds."""
_MAX_PLACES = 8
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Denied(Exception):
    """The policy has a reason against it."""


def resolve_here(host: str, port: int) -> list[Place]:
    """Ask the system's resolver. Raises :class:`socket.gaierror`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def timeout_s(request: Request) -> float:
    """How long fulfilling a request may take."""
    return request.timeout_ms / 1000 if isinstance(request, Connect) else OPEN_S


def fulfil(policy: Policy, request: Request, deadline: float, resolve: Resolve = resolve_here) -> int | Refusal:
    """Return a descriptor, or why there is none; to be done until ``deadline`` (of :func:`time.monotonic`)."""
    try:
        if isinstance(request, Connect):
            return _connected(policy, request, deadline, resolve)
        return _opened(policy, os.fsdecode(request.path), request.flags)
    except _Denied as denial:
        return Refusal(BY_POLICY, errno.EACCES, clip(str(denial)))
    except socket.gaierror as error:
        return Refusal(BY_RESOLVER, error.errno or 0, clip(error.strerror or str(error)))
    except OSError as error:
        return Refusal(BY_SYSTEM, error.errno or errno.EIO, clip(error.strerror or str(error)))
    except ValueError as error:
        return Refusal(BY_SYSTEM, errno.EINVAL, clip(str(error)))
    except Exception as error:
        # Whatever it is, the plugin waits for an answer.
        return Refusal(BY_SYSTEM, errno.EIO, clip(f"{type(error).__name__}: {error}"))


# Connections.


def _connected(policy: Policy, request: Connect, deadline: float, resolve: Resolve) -> int:
    if reason := network_allows(policy, request.host, request.port):
        raise _Denied(reason)
    places = resolve(str(parse_host(request.host)), request.port)[:_MAX_PLACES]
    judged = [(place, network_allows(policy, request.host, request.port, place[1][0])) for place in places]
    allowed = [place for place, reason in judged if reason is None]
    if not allowed:
        raise _Denied(next((reason for _, reason in judged if reason), f"host {request.host!r} has no address"))
    return _first_connected(allowed, deadline)


def _first_connected(places: Sequence[Place], deadline: float) -> int:
    """Try the addresses that were checked, in order, each for its share of the time that is left."""
    failure = OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    for number, place in enumerate(places):
        share_s = (deadline - time.monotonic()) / (len(places) - number)
        if share_s <= 0:
            break
        try:
            return _connected_to(place, share_s)
        except OSError as error:
            failure = _with_address(error, place)
    raise failure


def _connected_to(place: Place, within_s: float) -> int:
    family, address = place
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(within_s)
        connection.connect(address)
        connection.settimeout(None)
        return connection.detach()


def _with_address(error: OSError, place: Place) -> OSError:
    number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno or errno.EIO
    return OSError(number, f"{os.strerror(number)} ({place[1][0]}, port {place[1][1]})")


# Files.


def _opened(policy: Policy, path: str, flags: int) -> int:
    """Open the regular file that ``path`` leads to now; no link is followed any more once that is decided."""
    _check_path(policy, path, flags)
    resolved = os.path.realpath(path)
    _check_path(policy, resolved, flags)
    folder, name = _folder_of(resolved)
    try:
        return _opened_in(folder, name, resolved, flags)
    finally:
        os.close(folder)


def _check_path(policy: Policy, path: str, flags: int) -> None:
    writes, reads = bool(flags & _WRITES), flags & os.O_ACCMODE != os.O_WRONLY
    reason = (path_allows(policy, path) if reads else None) or (
        path_allows(policy, path, write=True) if writes else None
    )
    if reason:
        raise _Denied(reason)


def _folder_of(resolved: str) -> tuple[int, str]:
    """Walk from the root to the folder that the last component is in; returns its descriptor and that component."""
    *parts, name = resolved.split(os.sep)[1:]
    folder = os.open(os.sep, _FOLDER)
    for part in parts:
        outer = folder
        try:
            folder = os.open(part, _FOLDER, dir_fd=outer)
        finally:
            os.close(outer)
    return folder, name


def _opened_in(folder: int, name: str, resolved: str, flags: int) -> int:
    if not name:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        return _reopened(folder, name, resolved, flags)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    return os.open(name, flags | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder)


def _reopened(folder: int, name: str, resolved: str, flags: int) -> int:
    """Look at what is there before it is opened: opening a device or a pipe has effects of its own."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        _check_kind(os.fstat(found), resolved)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        return os.open(f"/proc/self/fd/{found}", flags & ~(os.O_CREAT | os.O_EXCL) | os.O_CLOEXEC)
    finally:
        os.close(found)


def _check_kind(found: os.stat_result, resolved: str) -> None:
    if found.st_dev == os.stat("/proc/self").st_dev:
        raise _Denied(f"path {resolved!r} is in /proc, where the plugin actor would see itself: open it directly")
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise _Denied(f"path {resolved!r} is no regular file")
