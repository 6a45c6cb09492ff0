"""The users under test, an interpreter that each may run, and a warden for each."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import nyx_plugins.plugins.worker.jail as jail

NOBODY = 65534
USERS = ("root", "nobody")
LIMITS = {"memory_bytes": 256 << 20, "cpu_seconds": 1, "open_files": 64, "scratch_bytes": 16 << 20}
WARDEN = Path(__file__).with_name("warden.py")


class Warden:
    """One user's warden."""

    def __init__(self, user: str, python: str, folder: Path) -> None:
        ids: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if user == "nobody" else {}
        self._process = subprocess.Popen(
            [python, "-I", "-B", str(folder / "warden.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PARENTS_SECRET": "yes"},
            start_new_session=True,
            cwd="/",
            **ids,
        )

    def run(self, source: str, layers: Sequence[str], by_fork: bool = False) -> dict[str, Any]:
        """Run code in a fresh process with these layers; returns ``escaped``, ``status`` and ``output``.

        With ``by_fork`` the process is a mere fork of the warden, which is many times faster.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        told = {"source": source, "layers": list(layers), "limits": LIMITS, "by_fork": by_fork}
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        # An attempt that may make a queue and not remove it leaves one, and the user may have only so many.
        ctypes.CDLL(None).mq_unlink(b"/nyx-%d" % self._process.pid)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Return a folder that every user can read, with copies of the jail and the warden."""
    path = Path(tempfile.mkdtemp(prefix="nyx-escapes-code-"))
    path.chmod(0o755)
    shutil.copytree(str(Path(str(jail.__file__)).parent), path / "jail", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(WARDEN, path)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def warden(folder: Path) -> Iterator[Callable[[str], Warden]]:
    """Return what gives the warden of a user; where the tests can't be that user, the test is skipped."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def of(user: str) -> Warden:
            made = Warden(user, interpreter(user), folder)
            stack.callback(made.close)
            return made

        yield of


def interpreter(user: str) -> str:
    """Return a Python that the user may run; skip the test if there is none."""
    if user == "root":
        if os.geteuid() != 0:
            pytest.skip("only root can try what root could do")
        return sys.executable
    if os.geteuid() != 0:
        return sys.executable
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        if usable(python):
            return python
    pytest.skip(f"user {NOBODY} can run neither this Python nor /usr/bin/python3 of 3.11 or later")


def usable(python: str) -> bool:
    """Whether an ordinary user can run this interpreter, and it is new enough."""
    with contextlib.suppress(OSError):
        code = "import sys, ctypes, sqlite3; sys.exit(sys.version_info < (3, 11))"
        command = [python, "-I", "-S", "-B", "-c", code]
        ended = subprocess.run(
            command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={}, capture_output=True, check=False
        )
        return ended.returncode == 0
    return False
