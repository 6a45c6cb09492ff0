"""What an escape attempt is, and what its code finds: the variables and functions of the prelude."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

PRELUDE = '''
import ctypes, errno, fcntl, mmap, os, resource, signal, socket, struct, sys, threading, time
_libc = ctypes.CDLL(None, use_errno=True)
_arm = os.uname().machine == "aarch64"

def syscall(number, *arguments):
    """Make a system call, by its number on x86-64, or (on x86-64, on aarch64)."""
    if isinstance(number, tuple):
        number = number[_arm]
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def libc(name, *arguments):
    """Call a function of the C library that returns -1 on failure."""
    result = getattr(_libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def remote(address):
    """Return the arguments of process_vm_readv and process_vm_writev that move 6 bytes."""
    global _local
    _local = ctypes.create_string_buffer(b'SECRET')
    one = ctypes.create_string_buffer(struct.pack('PN', ctypes.addressof(_local), 6))
    other = ctypes.create_string_buffer(struct.pack('PN', address, 6))
    return one, 1, other, 1

def child_said_so(pid):
    """Wait for a child; raise unless it exited with 0."""
    if os.waitpid(pid, 0)[1] != 0:
        raise OSError("the child failed")
'''


@dataclass(frozen=True)
class Attempt:
    """One way out. ``code`` is run in a worker's process."""

    title: str
    code: str
    ordinary: bool = True
    """Whether an ordinary user may do this without a jail; if not, the control run is root's alone."""
    bomb: bool = False
    """It has no control run: without the jail it would bring the machine down."""
    alone: tuple[str, ...] = ()
    """The only layers that may be tried alone on it; for bombs, which others would let go off."""
    machine: str = ""
    """The only architecture that it makes sense on."""
    hidden_by: str = ""
    """A setting of the kernel that forbids it to ordinary users when it is not 0."""

    @property
    def source(self) -> str:
        """The code, with its variables."""
        return PRELUDE + textwrap.dedent(self.code)
