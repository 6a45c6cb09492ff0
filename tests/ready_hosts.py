"""Hosts that are forked, not executed: each test's system would import the same modules again, two thirds of its start.

A process that has imported what a host needs forks one for each system that a test starts. What a test changes of what
a program inherits (its limits, blocked signals, variables of Python) such a process would not hand on, so there hosts
are executed as ever; and so are those of all programs that tests start.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

_MAX_REQUEST_BYTES = 1 << 17
# One at a time, whichever thread starts a system.
_LOCK = threading.Lock()
_LIMITS = [limit for name, limit in vars(resource).items() if name.startswith("RLIMIT_")]


class ReadyHosts:
    """The process that forks them, and what it takes to ask it. The caller has to be a subreaper."""

    def __init__(self) -> None:
        self._inherited = _inherited()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-P", __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def starter(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """Return what starts a host with an environment: by forking, or else as ``execute`` does."""

        def start(host: Any, environment: dict[str, str]) -> Any:
            if _inherited() != self._inherited:
                return execute(host, environment)
            return _Forked(str(host.runtime_dir), environment, self._socket)

        return start

    def end(self) -> None:
        """End it; the hosts stay."""
        self._socket.close()
        self._process.wait()


class _Forked(subprocess.Popen[bytes]):
    """A host that was forked, with the face of one that was executed."""

    def __init__(self, runtime_dir: str, environment: dict[str, str], ready: socket.socket) -> None:
        self._ready = ready
        super().__init__([runtime_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def _execute_child(self, args: Any, *rest: Any) -> None:
        environment, stdin, stdout = rest[5], rest[9], rest[12]
        request = pickle.dumps((args, environment, os.getcwd()))
        with _LOCK:
            socket.send_fds(self._ready, [request], [stdin, stdout, 2])
            self.pid = int(self._ready.recv(32))
            # It is our child as soon as who has forked it is gone.
            self._ready.recv(1)
        os.close(stdin)
        os.close(stdout)
        self._child_created = True


def _inherited() -> Any:
    """What an executed program takes over from this process, and a host that is forked elsewhere does not."""
    python = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return sys.executable, python, ignored, blocked, list(map(resource.getrlimit, _LIMITS)), os.path.exists("/dev/fd/2")


def _serve(connection: socket.socket) -> None:
    while True:
        request, descriptors, _, _ = socket.recv_fds(connection, _MAX_REQUEST_BYTES, 3)
        if not request:
            return
        between = os.fork()
        if not between:
            _fork_host(connection, pickle.loads(request), descriptors)
        os.waitpid(between, 0)
        for fd in descriptors:
            os.close(fd)
        connection.send(b".")


def _fork_host(connection: socket.socket, request: Any, descriptors: list[int]) -> None:
    pid = os.fork()
    if pid:
        connection.send(str(pid).encode())
        os._exit(0)
    connection.close()
    _be_host(request, descriptors)


def _be_host(request: Any, descriptors: list[int]) -> None:
    arguments, environment, folder = request
    for number, fd in enumerate(descriptors):
        os.dup2(fd, number)
        os.close(fd)
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    try:
        host.main()
    finally:
        os._exit(1)


if __name__ == "__main__":
    from nyx_plugins.actors import host

    _serve(socket.socket(fileno=int(sys.argv[1])))
