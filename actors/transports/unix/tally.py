"""How many messages each end of a connection has taken: two counters in a page that both ends have mapped.

Written is not taken: what lies in a socket's buffer when its reader is killed was never seen by anybody. With these
counters the writer knows, without an acknowledgement for each message, which ones were: they are counted as they are
handed to the actor. The others can be sent again, or be dead letters; none is lost in silence, none comes twice.

The page is sealed against shrinking, so that no peer can make an access to it fail. A peer that writes nonsense into
it deceives itself: how much its sender keeps for it is bounded (:mod:`.links`).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct

PAGE_BYTES = 4096
_FD = struct.Struct("=i")
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
# The counters' places: of what came to the end that connected, and of what came to the end that accepted.
CONNECTED, ACCEPTED = 0, 1
# Set by the end that accepted when it wants nothing of the other, ever.
_REFUSED = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mmap.restype = ctypes.c_void_p
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_FAILED = ctypes.c_void_p(-1).value


class Tally:
    """One end's view of the counters of a connection; the descriptor is needed for making it only.

    Not by :class:`mmap.mmap`, which keeps a copy of the descriptor for as long as the page is mapped.
    """

    __slots__ = ("_address", "_cells", "_mine", "_pid", "_theirs")

    def __init__(self, fd: int, end: int) -> None:
        found = _libc.mmap(None, PAGE_BYTES, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
        if found == _FAILED:
            raise OSError(ctypes.get_errno(), "a tally can't be mapped")
        # A process forked from this one has no part in the connection.
        _libc.madvise(found, PAGE_BYTES, mmap.MADV_DONTFORK)
        self._address: int = found
        self._pid = os.getpid()
        self._cells = (ctypes.c_uint64 * 3).from_address(found)
        self._mine = end
        self._theirs = 1 - end

    def __del__(self) -> None:
        if hasattr(self, "_pid") and self._pid == os.getpid():
            _libc.munmap(self._address, PAGE_BYTES)

    def took(self, count: int) -> None:
        """Say that this end has taken ``count`` messages in all."""
        self._cells[self._mine] = count

    @property
    def taken_by_peer(self) -> int:
        """How many messages the other end has taken in all."""
        return self._cells[self._theirs]

    @property
    def refused(self) -> bool:
        """Whether the other end refused this connection for good."""
        return self._cells[_REFUSED] != 0

    def refuse(self) -> None:
        """Tell the other end that it need not try again."""
        self._cells[_REFUSED] = 1


def create() -> int:
    """Make the page of a new connection; returns its descriptor, which the caller closes."""
    fd = os.memfd_create("thespian-tally", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, PAGE_BYTES)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def receive(sock: socket.socket, data_bytes: int) -> tuple[bytes, int | None]:
    """Read up to ``data_bytes`` and the descriptor that came with them, if any; closes what is no sealed page.

    Raises OSError (EMFILE) if there was one, and this process may have no more.
    """
    # Room for one descriptor, and not for the one more that CMSG_SPACE would allow: the kernel closes the others.
    data, ancillary, flags, _ = sock.recvmsg(data_bytes, socket.CMSG_LEN(_FD.size), socket.MSG_CMSG_CLOEXEC)
    page = None
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            for (fd,) in _FD.iter_unpack(content[: len(content) // _FD.size * _FD.size]):
                if page is None and _is_page(fd):
                    page = fd
                else:
                    os.close(fd)
    if page is None and not ancillary and flags & socket.MSG_CTRUNC:
        raise OSError(errno.EMFILE, "a descriptor came for which there is no room")
    return data, page


def _is_page(fd: int) -> bool:
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        return seals & _SEALS == _SEALS and os.fstat(fd).st_size == PAGE_BYTES
    except OSError:
        return False
