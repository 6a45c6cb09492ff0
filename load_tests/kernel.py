"""What the kernel tells of processes, of sockets and of files; of whatever is gone meanwhile it tells nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KIB = 1024
_BLOCK_BYTES = 512


@attrs.frozen
class ProcessLook:
    """One process, as it is now."""

    cpu_s: float
    """User and system, of all its threads."""
    rss_bytes: int
    voluntary_switches: int
    involuntary_switches: int
    descriptors: int
    sockets: frozenset[int]
    """Their inodes."""


def look(pid: int) -> ProcessLook | None:
    """Look at a process; ``None`` if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        links = list(_links(pid))
        voluntary, involuntary = _switches(pid)
    except OSError:
        return None
    cpu_s = (int(stat[11]) + int(stat[12])) / _TICKS_PER_S
    rss = int(stat[21]) * os.sysconf("SC_PAGE_SIZE")
    sockets = frozenset(int(link[8:-1]) for link in links if link.startswith("socket:["))
    return ProcessLook(cpu_s, rss, voluntary, involuntary, len(links), sockets)


def _links(pid: int) -> Iterator[str]:
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{fd}")


def _switches(pid: int) -> tuple[int, int]:
    voluntary = involuntary = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/task/{task}/status").read_text(errors="replace").splitlines()
            voluntary += _number(lines, "voluntary_ctxt_switches:")
            involuntary += _number(lines, "nonvoluntary_ctxt_switches:")
    return voluntary, involuntary


def _number(lines: Iterable[str], name: str) -> int:
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


# Files.


def folder_bytes(folder: Path) -> int:
    """Add up the blocks of all files below a folder: what it takes of its filesystem."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_blocks * _BLOCK_BYTES
    return total


def filesystem_of(folder: Path) -> str:
    """Return the type of the filesystem on which a folder lies: ``tmpfs``, for example."""
    path, best, kind = str(folder.resolve()), "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        if (path == mount or path.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
            best, kind = mount, found
    return kind


# Sockets.

# linux/sock_diag.h and linux/unix_diag.h: ask for all Unix-domain sockets with their memory.
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_REQUEST_DUMP, _DONE, _ERROR = 0x301, 3, 2
_ALL_STATES = 0xFFFFFFFF
_SHOW_MEMORY, _MEMORY = 0x20, 5
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBHIIIII")
_MESSAGE = struct.Struct("=BBBBIII")
_ATTRIBUTE = struct.Struct("=HH")
# Of SK_MEMINFO: what is allocated for receiving (0) and for sending (2), in bytes.
_RECEIVING, _SENDING = 0, 2
_PIECE_BYTES = 256 * _KIB


def socket_bytes(inodes: frozenset[int]) -> int | None:
    """Add up the kernel's memory for what is under way in these Unix-domain sockets; ``None`` if it does not tell.

    What was sent and not yet received counts for its sender, with all that the kernel needs around it.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as diag:
            request = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ALL_STATES, 0, _SHOW_MEMORY, _ALL_STATES, _ALL_STATES)
            diag.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
            return sum(memory for inode, memory in _answers(diag) if inode in inodes)
    except OSError:
        return None


def _answers(diag: socket.socket) -> Iterator[tuple[int, int]]:
    while True:
        piece, at = diag.recv(_PIECE_BYTES), 0
        while at < len(piece):
            length, kind, *_ = _HEADER.unpack_from(piece, at)
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError("the kernel has no sock_diag for Unix-domain sockets")
            yield _inode_and_memory(piece[at + _HEADER.size : at + length])
            at += _aligned(length)


def _inode_and_memory(message: bytes) -> tuple[int, int]:
    _, _, _, _, inode, _, _ = _MESSAGE.unpack_from(message)
    at = _MESSAGE.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _MEMORY:
            figures = struct.unpack_from(f"={(length - _ATTRIBUTE.size) // 4}I", message, at + _ATTRIBUTE.size)
            return inode, figures[_RECEIVING] + figures[_SENDING]
        at += _aligned(length)
    return inode, 0


def _aligned(length: int) -> int:
    return (length + 3) & ~3
