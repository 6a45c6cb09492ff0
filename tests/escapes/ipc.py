"""Ways to share memory and messages with others."""

from __future__ import annotations

from .attempt import Attempt

ATTEMPTS = (
    Attempt(
        "System V shared memory",
        """
        key = libc('shmget', 0, 4096, 0o1600)
        libc('shmctl', key, 0, None)
        """,
    ),
    Attempt(
        "System V semaphores",
        """
        key = libc('semget', 0, 1, 0o1600)
        libc('semctl', key, 0, 0)
        """,
    ),
    Attempt(
        "System V messages",
        """
        key = libc('msgget', 0, 0o1600)
        libc('msgctl', key, 0, None)
        """,
    ),
    Attempt(
        "POSIX messages",
        """
        name = f'nyx-{os.getppid()}'.encode()
        syscall((240, 180), name, os.O_CREAT | os.O_RDWR, 0o600, None)
        syscall((241, 181), name)
        """,
    ),
    Attempt(
        "POSIX shared memory",
        """
        from multiprocessing import shared_memory
        made = shared_memory.SharedMemory(create=True, size=4096)
        made.unlink()
        """,
    ),
    Attempt("add a key to a keyring", "syscall((248, 217), b'user', b'nyx', b'x', 1, -2)"),
    Attempt("read a keyring", "syscall((250, 219), 0, -3, 1)"),
    Attempt(
        "request a key",
        """
        syscall((248, 217), b'user', b'nyx2', b'x', 1, -2)
        syscall((249, 218), b'user', b'nyx2', None, 0)
        """,
    ),
)
