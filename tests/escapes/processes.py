"""Ways to start other programs, and to reach or to disturb the parent."""

from __future__ import annotations

from .attempt import Attempt

YAMA = "/proc/sys/kernel/yama/ptrace_scope"

ATTEMPTS = (
    Attempt("fork", "pid = os.fork() or os._exit(0); child_said_so(pid)"),
    Attempt(
        "fork by a raw clone",
        """
        pid = syscall((56, 220), 17, 0, 0, 0, 0) or os._exit(0)
        child_said_so(pid)
        """,
    ),
    Attempt(
        "fork by clone3",
        """
        pid = syscall(435, struct.pack('QQQQQQQQQQQ', 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88) or os._exit(0)
        child_said_so(pid)
        """,
    ),
    Attempt("vfork and exec (posix_spawn)", "child_said_so(os.posix_spawn('/bin/true', ['true'], {}))"),
    Attempt("a program by subprocess", "import subprocess; subprocess.run(['/bin/true'], check=True)"),
    Attempt("exec in its own place", "os.execv('/bin/echo', ['echo', escaped])"),
    Attempt(
        "exec by execveat",
        """
        fd = os.open('/bin/echo', os.O_PATH)
        argv = (ctypes.c_char_p * 3)(b'echo', escaped.encode(), None)
        syscall((322, 281), fd, b'', argv, None, 0x1000)
        """,
    ),
    Attempt("memory as a file (memfd_create)", "os.memfd_create('x')"),
    Attempt(
        "exec from memory",
        """
        fd = os.memfd_create('x')
        os.write(fd, open('/bin/echo', 'rb').read())
        os.execve(fd, ['echo', escaped], {})
        """,
    ),
    Attempt("signal the parent: kill", "os.kill(parent, signal.SIGUSR1)"),
    Attempt("signal the parent: tkill", "syscall((200, 130), parent, signal.SIGUSR1)"),
    Attempt("signal the parent: tgkill", "syscall((234, 131), parent, parent, signal.SIGUSR1)"),
    Attempt("signal the parent: its process group", "os.kill(-os.getpgid(parent), signal.SIGUSR1)"),
    Attempt(
        "signal the parent: sigqueue",
        """
        info = ctypes.create_string_buffer(struct.pack('iii', signal.SIGUSR1, 0, -1) + bytes(116))
        syscall((129, 138), parent, signal.SIGUSR1, info)
        """,
    ),
    Attempt(
        "signal the parent: rt_tgsigqueueinfo",
        """
        info = ctypes.create_string_buffer(struct.pack('iii', signal.SIGUSR1, 0, -1) + bytes(116))
        syscall((297, 240), parent, parent, signal.SIGUSR1, info)
        """,
    ),
    Attempt("signal the parent: pidfd", "signal.pidfd_send_signal(os.pidfd_open(parent), signal.SIGUSR1)"),
    Attempt(
        "signal the parent: a socket that it owns (F_SETOWN)",
        """
        a, b = socket.socketpair()
        fcntl.fcntl(a, fcntl.F_SETOWN, parent)
        fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        b.send(b'x')
        """,
    ),
    Attempt("ptrace the parent", "syscall((101, 117), 0x4206, parent, 0, 0)", hidden_by=YAMA),
    Attempt(
        "read the parent's memory (process_vm_readv)",
        """
        syscall((310, 270), parent, *remote(secret_at), 0)
        """,
        hidden_by=YAMA,
    ),
    Attempt(
        "write the parent's memory (process_vm_writev)",
        """
        syscall((311, 271), parent, *remote(secret_at), 0)
        """,
        hidden_by=YAMA,
    ),
    Attempt(
        "read the parent's memory (/proc/PID/mem)",
        """
        fd = os.open(f'/proc/{parent}/mem', os.O_RDONLY)
        assert os.pread(fd, 6, secret_at) == b'SECRET'
        """,
        hidden_by=YAMA,
    ),
    Attempt(
        "read the parent's environment", "assert b'PARENTS_SECRET' in open(f'/proc/{parent}/environ', 'rb').read()"
    ),
    Attempt(
        "take a descriptor of the parent (pidfd_getfd)", "syscall(438, os.pidfd_open(parent), 0, 0)", hidden_by=YAMA
    ),
    Attempt(
        "reopen a descriptor of the parent (/proc/PID/fd)", "os.open(f'/proc/{parent}/fd/{parents_fd}', os.O_RDONLY)"
    ),
    Attempt("limit the parent (prlimit)", "resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0))"),
    Attempt("bind the parent to a processor", "os.sched_setaffinity(parent, os.sched_getaffinity(parent))"),
    Attempt("slow the parent down", "os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent))"),
    Attempt(
        "compare kernel objects with the parent's (kcmp)",
        "syscall((312, 272), os.getpid(), parent, 1, 0, 0)",
        hidden_by=YAMA,
    ),
    Attempt(
        "advise on the parent's memory (process_madvise)",
        """
        syscall(440, os.pidfd_open(parent), struct.pack('PN', secret_at & ~4095, 4096), 1, 21, 0)
        """,
        ordinary=False,
    ),
)
