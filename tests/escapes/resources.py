"""Bombs. They have no control run: without the jail they would bring the machine down."""

from __future__ import annotations

from .attempt import Attempt

LIMITS = ("limits",)
ATTEMPTS = (
    Attempt("memory", "held = [bytearray(1 << 24) for _ in range(4096)]", bomb=True, alone=LIMITS),
    Attempt(
        "address space",
        "held = [mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE) for _ in range(4096)]",
        bomb=True,
        alone=LIMITS,
    ),
    Attempt(
        "shared memory",
        """
        held = []
        for _ in range(512):
            held.append(mmap.mmap(-1, 1 << 26))
            held[-1].write(bytes(1 << 26))
        """,
        bomb=True,
        alone=LIMITS,
    ),
    Attempt("processor time", "while True: pass", bomb=True, alone=LIMITS),
    Attempt(
        "processor time, with its signal caught",
        "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        bomb=True,
        alone=LIMITS,
    ),
    Attempt("descriptors", "held = [os.dup(0) for _ in range(100_000)]", bomb=True, alone=LIMITS),
    Attempt(
        "threads",
        """
        stop = threading.Event()
        held = [threading.Thread(target=stop.wait, daemon=True) for _ in range(100_000)]
        for thread in held: thread.start()
        """,
        bomb=True,
        alone=LIMITS,
    ),
    Attempt(
        "one large file",
        """
        with open(f'{inside}/large', 'wb') as file:
            for _ in range(1024): file.write(bytes(1 << 20))
        """,
        bomb=True,
        alone=LIMITS,
    ),
    Attempt(
        "one large file, without writing",
        """
        fd = os.open(f'{inside}/sparse', os.O_CREAT | os.O_RDWR)
        os.posix_fallocate(fd, 0, 1 << 30)
        """,
        bomb=True,
        alone=LIMITS,
    ),
    Attempt(
        "recursion",
        """
        sys.setrecursionlimit(1 << 30)
        def deeper(n): return deeper(n + 1) + 1
        deeper(0)
        """,
        bomb=True,
        alone=LIMITS,
    ),
    Attempt("processes", "while True: os.fork()", bomb=True, alone=("seccomp",)),
    Attempt(
        "raise its own limits",
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, 1 << 20))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 64
        """,
        bomb=True,
        alone=LIMITS,
    ),
    Attempt(
        "leave a core file",
        """
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
        """,
        bomb=True,
        alone=LIMITS,
    ),
)
