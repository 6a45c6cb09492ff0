"""What the kernel refused, in words: a bare ``PermissionError`` becomes the line of the policy that is behind it.

An audit hook remembers what was tried last. It serves these messages only: nothing is enforced here.
"""

from __future__ import annotations

import os
import sys

from ..errors import SandboxViolation
from .protocol import clip, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

VIOLATION = "SandboxViolation"
_READS = {"os.listdir", "os.scandir", "os.chdir"}
_WRITES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}
_ATTRIBUTES = {"os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr", "os.chflags", "os.lchown"}
_STARTS = {"os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}
_SOCKETS = {"socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"}
_SIGNALS = {"os.kill", "os.killpg", "signal.pthread_kill"}
_KNOWN = _READS | _WRITES | _ATTRIBUTES | _STARTS | _SOCKETS | _SIGNALS | {"open"}
_O_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_SHOWN = 8


class Refusals:
    """Explains exceptions by ``policy``: the lists ``read_paths``, ``write_paths``, ``network``; ``subprocesses``."""

    def __init__(self, policy: Mapping[str, Any]) -> None:
        self._policy = policy
        self._event = ""
        self._arguments: tuple[Any, ...] = ()

    def watch(self) -> None:
        """Remember what is tried from here on; there is no way to stop that."""
        sys.addaudithook(self._note)

    def describe(self, error: BaseException) -> list[str]:
        """Write an exception as ``[error_type, text]``: one that the policy is behind as a violation of it."""
        try:
            # A violation has its reason already.
            if isinstance(error, PermissionError) and not isinstance(error, SandboxViolation):
                reason = self._reason(error)
            else:
                reason = ""
        except BaseException:
            # The plugin's own kind of error can raise anything when it is looked at.
            reason = ""
        return [VIOLATION, clip(reason)] if reason else describe(error)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _KNOWN:
            self._event, self._arguments = event, arguments

    def _reason(self, error: PermissionError) -> str:
        if error.filename is not None and self._event not in _STARTS:
            return self._about_path(os.fsdecode(error.filename))
        if self._event in _STARTS and not self._policy["subprocesses"]:
            return "start of a process denied by policy (subprocesses: no)"
        if self._event in _SOCKETS:
            network = _listed(self._policy["network"])
            return f"socket denied by policy: use ctx.connect(host, port) (network: {network})"
        if self._event in _SIGNALS:
            return f"signal to process {self._arguments[0]!r} denied by policy (a plugin can signal itself only)"
        return ""

    def _about_path(self, name: str) -> str:
        path = os.path.realpath(name)
        written = self._event in _WRITES or (self._event == "open" and self._opened_for_writing())
        reads, writes = self._policy["read_paths"], self._policy["write_paths"]
        if self._event in _ATTRIBUTES:
            return f"change of the attributes of {name!r} denied by policy (no plugin can change them)"
        if written:
            return (
                ""
                if _is_within(path, writes)
                else f"write to {name!r} denied by policy (write paths: {_listed(writes)})"
            )
        if _is_within(path, (*reads, *writes)):
            return ""
        return f"read of {name!r} denied by policy (read paths: {_listed((*reads, *writes))})"

    def _opened_for_writing(self) -> bool:
        _, mode, flags = self._arguments
        if isinstance(mode, str):
            return any(letter in mode for letter in "wax+")
        return bool(flags & _O_WRITES)


def _is_within(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _SHOWN
    return (", ".join(items[:_SHOWN]) or "none") + (f" and {more} more" if more > 0 else "")
