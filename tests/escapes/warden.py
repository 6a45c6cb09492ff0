"""Runs attempts, each in a fresh process that is its child: the host's part in the tests of escapes.

It is started as the user under test, with an interpreter that this user may run; it prepares each jail as the host
does, and is itself what the attempts are aimed at: the parent. ``warden.py JAIL_FOLDER`` reads one JSON object per line
(``source``, ``layers``, ``limits``) and answers each with one: ``escaped``, ``status``, ``output``.
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
from typing import Any

RUNNER = """
import sys
sys.path.insert(0, sys.argv[1])
import ast, os
source, orders, variables = ast.literal_eval(os.read(0, 1 << 20).decode())
from jail import put_on
put_on(orders)
try:
    exec(compile(source, "attempt", "exec"), variables)
except OSError as error:
    os.write(2, f"{type(error).__name__}: {error}".encode())
    os._exit(3)
except BaseException as error:
    os.write(2, f"{type(error).__name__}: {error}"[:300].encode())
    os._exit(4)
os.write(1, variables["escaped"].encode())
os._exit(0)
"""
LIMIT_S = 20.0
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


def _run(wanted: dict[str, Any], folder: str, place: Place) -> dict[str, Any]:
    from jail import LAYERS, plan  # type: ignore[import-not-found]  # a copy, which this user may read

    layers = set(wanted["layers"])
    grants = plan.Grants(code=(folder,), scratch=place.inside, environment=("PATH", "LANG"), **wanted["limits"])
    ruleset = plan.ruleset(grants)[0] if "landlock" in layers else None
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", RUNNER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOSTS_SECRET": "s3cret"},
        pass_fds=(place.leaked, *(() if ruleset is None else (ruleset,))),
        start_new_session=True,
    )
    if ruleset is not None:
        os.close(ruleset)
    worker = plan.Worker(child.pid, os.getpid(), ())
    orders = plan.orders(grants, worker, ruleset, without=set(LAYERS) - layers)
    return _outcome(child, repr((wanted["source"], orders, place.variables())).encode())


def _outcome(child: subprocess.Popen[bytes], told: bytes) -> dict[str, Any]:
    try:
        output, errors = child.communicate(told, LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output, errors = child.communicate()
        errors += b"(not done in time)"
    return {
        "escaped": output.decode("utf-8", "replace").strip() == ESCAPED,
        "status": child.returncode,
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
