"""Runs attempts, each in a fresh process that is its child: the host's part in the tests of escapes.

It is started as the user under test, with an interpreter that this user may run; it prepares each jail as the host
does, and is itself what the attempts are aimed at: the parent. ``warden.py JAIL_FOLDER`` reads one JSON object per line
(``source``, ``layers``, ``limits``, ``by_fork``) and answers each with one: ``escaped``, ``status``, ``output``.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

RUNNER = """
import sys
sys.path.insert(0, sys.argv[1])
import ast, os
from warden import attempt
attempt(*ast.literal_eval(os.read(0, 1 << 20).decode()))
"""
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOSTS_SECRET": "s3cret"}
REFUSED, RAISED = 3, 4
LIMIT_S = 40.0
ESCAPED = "This attempt has escaped."
_secret = ctypes.create_string_buffer(b"SECRET")


class Place:
    """The folders and sockets around one attempt, made anew for each."""

    def __init__(self) -> None:
        self.base = tempfile.mkdtemp(prefix="nyx-escapes-")
        self.inside, self.outside = os.path.join(self.base, "inside"), os.path.join(self.base, "outside")
        for path in (self.inside, self.outside, os.path.join(self.outside, "folder")):
            os.mkdir(path, 0o700)
        for name in ("secret", "victim"):
            with open(os.path.join(self.outside, name), "w") as file:
                file.write("secret")
        self.leaked = os.open(os.path.join(self.outside, "secret"), os.O_RDONLY)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.stream, self.datagram = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.abstract = socket.socket(socket.AF_UNIX)
        self.stream.bind(os.path.join(self.outside, "stream"))
        self.datagram.bind(os.path.join(self.outside, "datagram"))
        self.abstract.bind(f"\0nyx-escapes-{os.getpid()}")
        self.stream.listen()
        self.abstract.listen()

    def variables(self) -> dict[str, Any]:
        """Return what an attempt finds."""
        return {
            "inside": self.inside,
            "outside": self.outside,
            "parent": os.getpid(),
            "leaked": self.leaked,
            "parents_fd": self.leaked,
            "secret_at": ctypes.addressof(_secret),
            "tcp": self.tcp.getsockname()[1],
            "stream": self.stream.getsockname(),
            "datagram": self.datagram.getsockname(),
            "abstract": self.abstract.getsockname().decode(),
            "escaped": ESCAPED,
        }

    def close(self) -> None:
        """Leave nothing."""
        for item in (self.tcp, self.stream, self.datagram, self.abstract):
            item.close()
        os.close(self.leaked)
        shutil.rmtree(self.base, ignore_errors=True)


def run(wanted: dict[str, Any], folder: str) -> dict[str, Any]:
    """Run one attempt."""
    place = Place()
    try:
        return _run(wanted, folder, place)
    finally:
        place.close()


def attempt(source: str, orders: Any, variables: dict[str, Any]) -> None:
    """Put the jail on and run the code; ends the process."""
    from jail import put_on  # type: ignore[import-not-found]  # a copy, which this user may read

    put_on(orders)
    try:
        exec(compile(source, "attempt", "exec"), variables)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}"[:300].encode())
        os._exit(REFUSED if isinstance(error, OSError) else RAISED)
    os.write(1, variables["escaped"].encode())
    os._exit(0)


def _run(wanted: dict[str, Any], folder: str, place: Place) -> dict[str, Any]:
    from jail import LAYERS, plan

    layers = set(wanted["layers"])
    grants = plan.Grants(code=(folder,), scratch=place.inside, environment=("PATH", "LANG"), **wanted["limits"])
    ruleset = plan.ruleset(grants)[0] if "landlock" in layers else None

    def told(pid: int) -> tuple[str, Any, dict[str, Any]]:
        worker = plan.Worker(pid, os.getppid() if pid == os.getpid() else os.getpid(), ())
        orders = plan.orders(grants, worker, ruleset, without=set(LAYERS) - layers)
        return wanted["source"], orders, place.variables()

    try:
        if wanted["by_fork"]:
            return _forked(lambda variables: attempt(*told(os.getpid())[:2], variables), place.variables())
        return _executed(folder, (place.leaked, *(() if ruleset is None else (ruleset,))), told)
    finally:
        if ruleset is not None:
            os.close(ruleset)


def _executed(folder: str, descriptors: tuple[int, ...], told: Callable[[int], Any]) -> dict[str, Any]:
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", RUNNER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        pass_fds=descriptors,
        start_new_session=True,
    )
    return _outcome(child, repr(told(child.pid)).encode())


def _forked(act: Callable[[dict[str, Any]], None], variables: dict[str, Any]) -> dict[str, Any]:
    """Run the attempt in a fork; what takes too long is ended by an alarm."""
    (reading, writing), (errors, complaints) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.alarm(int(LIMIT_S))
        nothing = os.open("/dev/null", os.O_RDONLY)
        for number, fd in enumerate((nothing, writing, complaints)):
            os.dup2(fd, number)
        for fd in (nothing, reading, writing, errors, complaints):
            os.close(fd)
        os.environ.clear()
        os.environ.update(ENVIRONMENT)
        act(variables)
    for fd in (writing, complaints):
        os.close(fd)
    with open(reading, "rb") as said, open(errors, "rb") as complained:
        output, complaint = said.read(), complained.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return _told(output, complaint, status)


def _outcome(child: subprocess.Popen[bytes], told: bytes) -> dict[str, Any]:
    try:
        output, errors = child.communicate(told, LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output, errors = child.communicate()
        errors += b"(not done in time)"
    return _told(output, errors, child.returncode)


def _told(output: bytes, errors: bytes, status: int) -> dict[str, Any]:
    return {
        "escaped": output.decode("utf-8", "replace").strip() == ESCAPED,
        "status": status,
        "output": errors.decode("utf-8", "replace")[-400:],
    }


def main() -> None:
    """Serve until the end of standard input."""
    folder = sys.argv[1]
    sys.path.insert(0, folder)
    # Some attempts signal their parent, which has to live on.
    for number in (signal.SIGUSR1, signal.SIGIO):
        signal.signal(number, signal.SIG_IGN)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line), folder)), flush=True)


if __name__ == "__main__":
    main()
