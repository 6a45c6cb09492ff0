"""Ways to take a layer off again."""

from __future__ import annotations

from .attempt import Attempt

ATTEMPTS = (
    Attempt("forget the parent's death", "libc('prctl', 1, 0, 0, 0, 0)"),
    Attempt("adopt the orphans of others", "libc('prctl', 36, 1, 0, 0, 0)"),
    Attempt("become another user", "os.setresuid(12345, 12345, 12345)", ordinary=False),
    Attempt("join another group", "os.setgroups([12345])", ordinary=False),
    Attempt(
        "take the capabilities back",
        """
        header = struct.pack('Ii', 0x20080522, 0)
        syscall((126, 91), header, struct.pack('IIIIII', 1, 1, 0, 0, 0, 0))
        """,
        ordinary=False,
    ),
    Attempt(
        "put a weaker filter on",
        """
        program = struct.pack('HBBI', 6, 0, 0, 0x7fff0000)
        held = ctypes.create_string_buffer(program)
        libc('prctl', 38, 1, 0, 0, 0)
        syscall((317, 277), 1, 0, struct.pack('HxxxxxxP', 1, ctypes.addressof(held)))
        """,
    ),
    Attempt(
        "listen to its own filter (seccomp notify)",
        """
        program = struct.pack('HBBI', 6, 0, 0, 0x7fff0000)
        held = ctypes.create_string_buffer(program)
        libc('prctl', 38, 1, 0, 0, 0)
        syscall((317, 277), 1, 8, struct.pack('HxxxxxxP', 1, ctypes.addressof(held)))
        """,
    ),
    Attempt("hide from the host (not dumpable)", "libc('prctl', 4, 0, 0, 0, 0)"),
    Attempt(
        "leave the root of its tree",
        """
        libc('unshare', 0x20000)
        libc('mount', b'none', b'/', None, 0x44000, None)
        """,
        ordinary=False,
    ),
)
