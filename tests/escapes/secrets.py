"""What the host knows, and the worker must not: environment, memory, descriptors."""

from __future__ import annotations

from .attempt import Attempt

ATTEMPTS = (
    Attempt("find a secret in its environment", "assert os.environ['HOSTS_SECRET']"),
    Attempt(
        "find a secret in the environment of the C library",
        "_libc.getenv.restype = ctypes.c_char_p; assert _libc.getenv(b'HOSTS_SECRET')",
    ),
    Attempt(
        "find a file that the host has open",
        "assert any(os.pread(fd, 6, 0) == b'secret' for fd in range(3, 64) if os.path.isfile(f'/proc/self/fd/{fd}'))",
    ),
    Attempt(
        "find whatever descriptor is there",
        """
        def kept(fd):
            try: return os.fstat(fd)
            except OSError: return None
        assert [fd for fd in range(3, 256) if kept(fd)]
        """,
    ),
    Attempt("read its own memory map (/proc/self/maps)", "open('/proc/self/maps').read()"),
    Attempt(
        "look for other processes",
        "assert str(parent) in os.listdir('/proc') and open(f'/proc/{parent}/cmdline').read()",
    ),
)
