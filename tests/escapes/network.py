"""Ways to other machines and processes. The parent listens on ``tcp``, ``stream``, ``datagram`` and ``abstract``."""

from __future__ import annotations

from .attempt import Attempt

ATTEMPTS = (
    Attempt("connect by TCP", "socket.create_connection(('127.0.0.1', tcp), 5)"),
    Attempt(
        "connect by TCP, with raw system calls",
        """
        fd = syscall((41, 198), 2, 1, 0)
        syscall((42, 203), fd, struct.pack('!BBH4s8x', 2, 0, tcp, bytes([127, 0, 0, 1])) if sys.byteorder == 'big'
            else struct.pack('=H', 2) + struct.pack('!H4s8x', tcp, bytes([127, 0, 0, 1])), 16)
        """,
    ),
    Attempt(
        "TCP fast open (sendto)",
        """
        s = socket.socket()
        s.sendto(b'x', 0x20000000, ('127.0.0.1', tcp))
        """,
    ),
    Attempt(
        "multipath TCP",
        """
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        s.connect(('127.0.0.1', tcp))
        """,
    ),
    Attempt("listen on a port", "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()"),
    Attempt("listen without bind", "s = socket.socket(); s.listen(); assert s.getsockname()[1]"),
    Attempt("send by UDP", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', tcp))"),
    Attempt(
        "resolve a name by asking a server",
        """
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind(('::1', 0))
        """,
    ),
    Attempt("raw packets", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", ordinary=False),
    Attempt("frames of the network card", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)", ordinary=False),
    Attempt("connect to a socket with a path", "s = socket.socket(socket.AF_UNIX); s.connect(stream)"),
    Attempt("connect to an abstract socket", "s = socket.socket(socket.AF_UNIX); s.connect(abstract)"),
    Attempt(
        "send from a datagram pair to a path",
        """
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        a.sendto(b'x', datagram)
        """,
    ),
    Attempt("bind a socket to a path", "s = socket.socket(socket.AF_UNIX); s.bind(f'{inside}/mine.sock')"),
    Attempt("netlink", "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); s.bind((0, 0))"),
    Attempt("vsock", "socket.socket(40, socket.SOCK_STREAM)"),
)
