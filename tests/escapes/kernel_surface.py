"""Parts of the kernel that no plugin needs."""

from __future__ import annotations

from .attempt import Attempt

ATTEMPTS = (
    Attempt("a user namespace (unshare)", "syscall((272, 97), 0x10000000)"),
    Attempt("a user namespace (clone)", "child_said_so(syscall((56, 220), 0x10000011, 0, 0, 0, 0) or os._exit(0))"),
    Attempt(
        "another's namespace (setns)",
        "syscall((308, 268), os.open('/proc/self/ns/uts', os.O_RDONLY), 0)",
        ordinary=False,
    ),
    Attempt("bpf", "syscall((321, 280), 0, struct.pack('IIII', 2, 4, 4, 1) + bytes(112), 128)", ordinary=False),
    Attempt(
        "perf events",
        """
        attributes = struct.pack('IIQQQQQ', 1, 112, 0, 0, 0, 0, 0x61) + bytes(64)
        syscall((298, 241), attributes, 0, -1, -1, 0)
        """,
        hidden_by="/proc/sys/kernel/perf_event_paranoid",
    ),
    Attempt("userfaultfd", "syscall((323, 282), 1)"),
    Attempt("personality", "syscall((135, 92), 0x0040000)"),
    Attempt(
        "call by a 32-bit number",
        """
        code = bytes.fromhex('b814000000cd80c3')  # mov eax, 20 (getpid); int 0x80; ret
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(code)
        call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        assert call() == os.getpid()
        """,
        machine="x86_64",
    ),
    Attempt(
        "call by an x32 number",
        """
        if _libc.syscall(ctypes.c_long(0x40000000 | 39)) != os.getpid() and ctypes.get_errno() != errno.ENOSYS:
            raise OSError('refused')
        """,
        machine="x86_64",
    ),
    Attempt(
        "vmsplice",
        """
        r, w = os.pipe()
        buffer = ctypes.create_string_buffer(16)
        syscall((278, 75), w, struct.pack('PN', ctypes.addressof(buffer), 16), 1, 0)
        """,
    ),
    Attempt("the log of the kernel", "syscall((103, 116), 10, None, 0)", hidden_by="/proc/sys/kernel/dmesg_restrict"),
    Attempt("set the name of the machine", "socket.sethostname(socket.gethostname())", ordinary=False),
    Attempt("lock memory", "libc('mlock', ctypes.create_string_buffer(8192), 8192)"),
    Attempt("a secret area of memory (memfd_secret)", "syscall(447, 0)"),
)
