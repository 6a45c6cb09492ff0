"""The nursery: an interpreter with all that a worker imports, from which workers are forked instead of exec'ed.

It is exec'ed clean itself, and it stays so: it reads nothing. Whoever connects gets a child, which reads what it is to
be (its descriptors, its environment, its packages) from the connection itself, so that nothing of one worker is ever
in the memory that the next one inherits. On the same connection the nursery tells the child's process id, with a
descriptor of the process, and in the end its wait status and its CPU time. A connection that ends is the child's end.
"""

from __future__ import annotations

import os
import sys
from _signal import SIG_IGN, SIGINT, SIGKILL, signal  # type: ignore[import-not-found]  # signal itself imports enum
from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC, MSG_DONTWAIT, MSG_NOSIGNAL, SCM_RIGHTS, SOL_SOCKET, socket
from select import POLLIN, poll

from . import main as worker
from .jail import LAYERS, layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

SOCKET, PAGE, RULESET = 3, 4, 5
"""The descriptors of each worker that comes from here."""
MAX_REQUEST_BYTES = 1 << 17
_MOST_DESCRIPTORS = 4
_FD_BYTES = 4
_PAST_ALL = 1 << 30


class Child:
    """A worker, and the connection of whoever wanted it."""

    def __init__(self, pid: int, connection: socket) -> None:
        self.pid = pid
        self.connection = connection
        self.ended = os.pidfd_open(pid)

    def announce(self) -> None:
        """Tell who it is; if nobody is there to be told, its end is near."""
        rights = [(SOL_SOCKET, SCM_RIGHTS, self.ended.to_bytes(_FD_BYTES, sys.byteorder))]
        self._tell(b"%d %d" % (self.pid, os.getpid()), rights)

    def kill(self) -> None:
        """End it; it has not been waited for, so that the number is still its own."""
        os.kill(self.pid, SIGKILL)

    def bury(self) -> None:
        """Wait for it, tell how it ended, and let go of it."""
        _, status, usage = os.wait4(self.pid, 0)
        self._tell(b"%d %.6f" % (status, usage.ru_utime + usage.ru_stime))
        self.connection.close()
        os.close(self.ended)

    def _tell(self, text: bytes, rights: Iterable[tuple[int, int, bytes]] = ()) -> None:
        try:
            self.connection.sendmsg([text], rights, MSG_NOSIGNAL | MSG_DONTWAIT)
        except OSError:
            # Who asked for it has ended.
            return


class Nursery:
    """Takes connections from ``listener``; ``become`` is what a child does with its own, and never returns."""

    def __init__(self, listener: int, become: Callable[[int], NoReturn]) -> None:
        self._listener = socket(fileno=listener)
        self._become = become
        self._waiting = poll()
        self._waiting.register(listener, POLLIN)
        self._watched: dict[int, Callable[[], None]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether any child has not been waited for."""
        return bool(self._watched)

    def run(self) -> NoReturn:
        """Serve until killed."""
        while True:
            self.serve()

    def serve(self) -> None:
        """Wait for something, and handle it."""
        ready = [fd for fd, _ in self._waiting.poll()]
        for fd in ready:
            if fd in self._watched:
                self._watched[fd]()
        # At last: whoever is let in may rely on it that the workers of those who left before are killed, and a new
        # connection may get the number of one that is closed above.
        if self._listener.fileno() in ready:
            self._admit()

    def close(self) -> None:
        """Let nobody in any more. A nursery never does: it is killed."""
        self._listener.close()

    def _admit(self) -> None:
        fd = -1
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # what socket.accept() is made of
            pid = os.fork()
        except OSError as error:
            print(f"no worker could be forked: {error}", file=sys.stderr, flush=True)
            os.closerange(fd, fd + 1)
            return
        if pid == 0:
            self._become(fd)
        child = Child(pid, socket(fileno=fd))
        child.announce()
        self._watch(fd, 0, child.kill)
        self._watch(child.ended, POLLIN, lambda: self._bury(child))

    def _watch(self, fd: int, events: int, act: Callable[[], None]) -> None:
        def once() -> None:
            self._forget(fd)
            act()

        self._waiting.register(fd, events)
        self._watched[fd] = once

    def _bury(self, child: Child) -> None:
        if child.connection.fileno() in self._watched:
            self._forget(child.connection.fileno())
        child.bury()

    def _forget(self, fd: int) -> None:
        self._waiting.unregister(fd)
        del self._watched[fd]


def main(listener: int, parent: int, add: Callable[[dict[str, str]], None]) -> NoReturn:
    """Run the nursery until ``parent`` ends; ``add`` makes more packages importable by name and path."""
    import gc

    signal(SIGINT, SIG_IGN)
    layer("parent_death").apply(parent)
    worker.name_process("nyx-Nursery")
    for name in LAYERS:
        layer(name)
    listener = _make_room(listener)
    gc.collect()
    # What is there now is never garbage: a child that looked for some would only copy its pages.
    gc.freeze()
    Nursery(listener, lambda fd: _become_worker(fd, add)).run()


def _make_room(listener: int) -> int:
    """See to it that the descriptors of workers are not used for anything else."""
    while listener <= RULESET:
        listener = os.dup(listener)
    for place in (SOCKET, PAGE, RULESET):
        os.dup2(0, place, inheritable=False)
    return listener


def _become_worker(fd: int, add: Callable[[dict[str, str]], None]) -> NoReturn:
    try:
        os.setsid()
        request, descriptors = _wanted(fd)
        if request:
            _place(descriptors)
            environment, packages = request.split(b"\0\0")
            _set_environment(environment)
            add(dict(_pairs(packages)))
            worker.main(SOCKET, PAGE)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(1)


def _wanted(fd: int) -> tuple[bytes, list[int]]:
    """Read what it is to be; nothing if whoever wanted it has ended."""
    connection = socket(fileno=fd)
    try:
        request, control, _, _ = connection.recvmsg(
            MAX_REQUEST_BYTES, CMSG_SPACE(_MOST_DESCRIPTORS * _FD_BYTES), MSG_CMSG_CLOEXEC
        )
    except ConnectionError:
        return b"", []
    finally:
        connection.detach()
    return request, [number for _, _, content in control for number in _descriptors(content)]


def _descriptors(content: bytes) -> list[int]:
    starts = range(0, len(content), _FD_BYTES)
    return [int.from_bytes(content[start : start + _FD_BYTES], sys.byteorder) for start in starts]


def _place(descriptors: list[int]) -> None:
    """Put each where it belongs, and close all others."""
    sock, page, output, *ruleset = descriptors
    for fd, place in ((sock, SOCKET), (page, PAGE), *((fd, RULESET) for fd in ruleset)):
        os.dup2(fd, place, inheritable=False)
    for place in (1, 2):
        os.dup2(output, place)
    os.closerange(RULESET + 1, _PAST_ALL)


def _set_environment(text: bytes) -> None:
    wanted = dict(_pairs(text))
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def _pairs(text: bytes) -> list[tuple[str, str]]:
    """Read what :func:`request` has written."""
    found = []
    for item in os.fsdecode(text).split("\0") if text else ():
        name, _, value = item.partition("=")
        found.append((name, value))
    return found


def request(environment: Iterable[tuple[str, str]], packages: Iterable[tuple[str, str]]) -> bytes:
    """Write what a worker is to be; its descriptors go with it: socket, page, output, and the ruleset if there is one.

    Raises :class:`ValueError` for what is too long.
    """
    parts = ("\0".join(f"{name}={value}" for name, value in pairs) for pairs in (environment, packages))
    data = b"\0\0".join(map(os.fsencode, parts))
    if len(data) > MAX_REQUEST_BYTES:
        raise ValueError(f"a request of {len(data):,} bytes")
    return data
