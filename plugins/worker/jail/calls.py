"""The one table of system calls: numbers on both architectures, and what becomes of each call in a worker.

Whatever is not in the table is refused with EPERM, so that programs degrade as on a system that lacks it.
"""

from __future__ import annotations

from typing import NamedTuple

ALLOW = "allow"
REFUSE = "refuse"
"""EPERM."""
ABSENT = "absent"
"""ENOSYS: the C library falls back to an older call that a filter can look into."""
KILL = "kill"
"""No honest plugin makes this call: the worker dies with SIGSYS."""


class Condition(NamedTuple):
    """What one argument must be: ``value & mask`` one of ``values``. With ``whole``, all 64 bits count, else 32.

    The kernel itself takes an ``int`` from the lower half of a register; of a pointer, both halves count.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFF_FFFF
    whole: bool = False


class Rule(NamedTuple):
    """``action`` if all ``conditions`` hold."""

    action: str
    conditions: tuple[Condition, ...] = ()


class Call(NamedTuple):
    """One system call; a number is ``None`` where the architecture lacks it. The first rule that holds counts."""

    name: str
    x86_64: int | None
    aarch64: int | None
    action: str
    """What happens when no rule holds."""
    rules: tuple[Rule, ...] = ()


OWN_PID = 0x7A11_0C8D
"""Stands for the worker's process id until that is known."""

_CLONE_THREAD = 0x0001_0000
_CLONE_NEWUSER = 0x1000_0000
# NEWTIME (0x80) lies in the byte that holds the exit signal, where clone() takes no flag from.
_CLONE_NEW_ANYTHING = 0x7E02_0000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE_MASK = 1, 1, 0xF
_MSG_FASTOPEN = 0x2000_0000
_SOL_SOCKET, _IPPROTO_TCP = 1, 6


def _is(argument: int, *values: int) -> Condition:
    return Condition(argument, values)


def _null(argument: int) -> Condition:
    return Condition(argument, (0,), whole=True)


def _without(argument: int, flags: int) -> Condition:
    return Condition(argument, (0,), flags)


def _with(argument: int, flags: int) -> Condition:
    return Condition(argument, (flags,), flags)


def _allow(*conditions: Condition) -> Rule:
    return Rule(ALLOW, conditions)


LOOKED_INTO = (
    # Threads, and neither processes nor namespaces. clone3 keeps its flags in memory, which a filter can't read.
    Call(
        "clone",
        56,
        220,
        REFUSE,
        (
            Rule(KILL, (_with(0, _CLONE_NEWUSER),)),
            _allow(_with(0, _CLONE_THREAD), _without(0, _CLONE_NEW_ANYTHING)),
        ),
    ),
    Call("clone3", 435, 435, ABSENT),
    # Signals go to itself alone.
    Call("kill", 62, 129, REFUSE, (_allow(_is(0, OWN_PID)),)),
    Call("tgkill", 234, 131, REFUSE, (_allow(_is(0, OWN_PID)),)),
    # Its own limits, which it can lower.
    Call("prlimit64", 302, 261, REFUSE, (_allow(_is(0, 0)), _allow(_is(0, OWN_PID)))),
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2.
    # Without its flags: some take room that no limit counts.
    Call("fallocate", 285, 47, REFUSE, (_allow(_is(1, 0)),)),
    Call("ioctl", 16, 29, REFUSE, (_allow(_is(1, 0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)),)),
    # DUPFD, GETFD, SETFD, GETFL, SETFL, GETLK, SETLK, SETLKW, OFD_GETLK, OFD_SETLK, OFD_SETLKW, DUPFD_CLOEXEC: none of
    # those that make the kernel send signals to others.
    Call("fcntl", 72, 25, REFUSE, (_allow(_is(1, 0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)),)),
    # SET_NAME, GET_NAME, SET_VMA (names of memory areas, which the C library gives).
    Call("prctl", 157, 167, REFUSE, (_allow(_is(0, 15, 16, 0x53564D41)),)),
    # A datagram pair could send to any socket that has a path.
    Call(
        "socketpair",
        53,
        199,
        REFUSE,
        (_allow(_is(0, _AF_UNIX), Condition(1, (_SOCK_STREAM,), _SOCK_TYPE_MASK)),),
    ),
    # To nobody but the other end, and opening no connection.
    Call("sendto", 44, 206, REFUSE, (_allow(_null(4), _without(3, _MSG_FASTOPEN)),)),
    Call("sendmsg", 46, 211, REFUSE, (_allow(_without(2, _MSG_FASTOPEN)),)),
    Call("sendmmsg", 307, 269, REFUSE, (_allow(_without(3, _MSG_FASTOPEN)),)),
    # REUSEADDR, SNDBUF, RCVBUF, KEEPALIVE, OOBINLINE, LINGER, RCVTIMEO, SNDTIMEO (old and new); of TCP: NODELAY,
    # KEEPIDLE, KEEPINTVL, KEEPCNT, QUICKACK, USER_TIMEOUT.
    Call(
        "setsockopt",
        54,
        208,
        REFUSE,
        (
            _allow(_is(1, _SOL_SOCKET), _is(2, 2, 7, 8, 9, 10, 13, 20, 21, 66, 67)),
            _allow(_is(1, _IPPROTO_TCP), _is(2, 1, 4, 5, 6, 12, 18)),
        ),
    ),
)

ALLOWED = (
    # Reading and writing.
    Call("read", 0, 63, ALLOW),
    Call("write", 1, 64, ALLOW),
    Call("readv", 19, 65, ALLOW),
    Call("writev", 20, 66, ALLOW),
    Call("pread64", 17, 67, ALLOW),
    Call("pwrite64", 18, 68, ALLOW),
    Call("preadv", 295, 69, ALLOW),
    Call("pwritev", 296, 70, ALLOW),
    Call("preadv2", 327, 286, ALLOW),
    Call("pwritev2", 328, 287, ALLOW),
    Call("lseek", 8, 62, ALLOW),
    Call("sendfile", 40, 71, ALLOW),
    Call("copy_file_range", 326, 285, ALLOW),
    Call("ftruncate", 77, 46, ALLOW),
    Call("fsync", 74, 82, ALLOW),
    Call("fdatasync", 75, 83, ALLOW),
    Call("sync_file_range", 277, 84, ALLOW),
    Call("flock", 73, 32, ALLOW),
    Call("fadvise64", 221, 223, ALLOW),
    Call("readahead", 187, 213, ALLOW),
    # Paths: Landlock decides which.
    Call("open", 2, None, ALLOW),
    Call("openat", 257, 56, ALLOW),
    Call("openat2", 437, 437, ALLOW),
    Call("creat", 85, None, ALLOW),
    Call("truncate", 76, 45, ALLOW),
    Call("getdents", 78, None, ALLOW),
    Call("getdents64", 217, 61, ALLOW),
    Call("rename", 82, None, ALLOW),
    Call("renameat", 264, 38, ALLOW),
    Call("renameat2", 316, 276, ALLOW),
    Call("mkdir", 83, None, ALLOW),
    Call("mkdirat", 258, 34, ALLOW),
    Call("rmdir", 84, None, ALLOW),
    Call("unlink", 87, None, ALLOW),
    Call("unlinkat", 263, 35, ALLOW),
    Call("link", 86, None, ALLOW),
    Call("linkat", 265, 37, ALLOW),
    Call("symlink", 88, None, ALLOW),
    Call("symlinkat", 266, 36, ALLOW),
    Call("chdir", 80, 49, ALLOW),
    Call("fchdir", 81, 50, ALLOW),
    Call("getcwd", 79, 17, ALLOW),
    Call("umask", 95, 166, ALLOW),
    # What a file is.
    Call("stat", 4, None, ALLOW),
    Call("lstat", 6, None, ALLOW),
    Call("fstat", 5, 80, ALLOW),
    Call("newfstatat", 262, 79, ALLOW),
    Call("statx", 332, 291, ALLOW),
    Call("access", 21, None, ALLOW),
    Call("faccessat", 269, 48, ALLOW),
    Call("faccessat2", 439, 439, ALLOW),
    Call("readlink", 89, None, ALLOW),
    Call("readlinkat", 267, 78, ALLOW),
    Call("statfs", 137, 43, ALLOW),
    Call("fstatfs", 138, 44, ALLOW),
    # Descriptors.
    Call("close", 3, 57, ALLOW),
    Call("close_range", 436, 436, ALLOW),
    Call("dup", 32, 23, ALLOW),
    Call("dup2", 33, None, ALLOW),
    Call("dup3", 292, 24, ALLOW),
    Call("pipe", 22, None, ALLOW),
    Call("pipe2", 293, 59, ALLOW),
    Call("poll", 7, None, ALLOW),
    Call("ppoll", 271, 73, ALLOW),
    Call("select", 23, None, ALLOW),
    Call("pselect6", 270, 72, ALLOW),
    Call("epoll_create", 213, None, ALLOW),
    Call("epoll_create1", 291, 20, ALLOW),
    Call("epoll_ctl", 233, 21, ALLOW),
    Call("epoll_wait", 232, None, ALLOW),
    Call("epoll_pwait", 281, 22, ALLOW),
    Call("epoll_pwait2", 441, 441, ALLOW),
    Call("eventfd", 284, None, ALLOW),
    Call("eventfd2", 290, 19, ALLOW),
    # Memory.
    Call("mmap", 9, 222, ALLOW),
    Call("munmap", 11, 215, ALLOW),
    Call("mprotect", 10, 226, ALLOW),
    Call("mremap", 25, 216, ALLOW),
    Call("madvise", 28, 233, ALLOW),
    Call("brk", 12, 214, ALLOW),
    Call("msync", 26, 227, ALLOW),
    Call("membarrier", 324, 283, ALLOW),
    # Threads and the end.
    Call("futex", 202, 98, ALLOW),
    Call("futex_waitv", 449, 449, ALLOW),
    Call("set_robust_list", 273, 99, ALLOW),
    Call("rseq", 334, 293, ALLOW),
    Call("set_tid_address", 218, 96, ALLOW),
    Call("gettid", 186, 178, ALLOW),
    Call("sched_yield", 24, 124, ALLOW),
    Call("sched_getaffinity", 204, 123, ALLOW),
    Call("sched_getparam", 143, 121, ALLOW),
    Call("sched_getscheduler", 145, 120, ALLOW),
    Call("sched_get_priority_max", 146, 125, ALLOW),
    Call("sched_get_priority_min", 147, 126, ALLOW),
    Call("getcpu", 309, 168, ALLOW),
    Call("exit", 60, 93, ALLOW),
    Call("exit_group", 231, 94, ALLOW),
    Call("restart_syscall", 219, 128, ALLOW),
    Call("wait4", 61, 260, ALLOW),
    Call("waitid", 247, 95, ALLOW),
    # Signals to itself.
    Call("rt_sigaction", 13, 134, ALLOW),
    Call("rt_sigprocmask", 14, 135, ALLOW),
    Call("rt_sigreturn", 15, 139, ALLOW),
    Call("rt_sigpending", 127, 136, ALLOW),
    Call("rt_sigtimedwait", 128, 137, ALLOW),
    Call("rt_sigsuspend", 130, 133, ALLOW),
    Call("sigaltstack", 131, 132, ALLOW),
    Call("signalfd4", 289, 74, ALLOW),
    Call("pause", 34, None, ALLOW),
    Call("alarm", 37, None, ALLOW),
    Call("getitimer", 36, 102, ALLOW),
    Call("setitimer", 38, 103, ALLOW),
    # Time.
    Call("clock_gettime", 228, 113, ALLOW),
    Call("clock_getres", 229, 114, ALLOW),
    Call("clock_nanosleep", 230, 115, ALLOW),
    Call("nanosleep", 35, 101, ALLOW),
    Call("gettimeofday", 96, 169, ALLOW),
    Call("time", 201, None, ALLOW),
    Call("times", 100, 153, ALLOW),
    Call("timerfd_create", 283, 85, ALLOW),
    Call("timerfd_settime", 286, 86, ALLOW),
    Call("timerfd_gettime", 287, 87, ALLOW),
    # Who and where it is.
    Call("getpid", 39, 172, ALLOW),
    Call("getppid", 110, 173, ALLOW),
    Call("getpgrp", 111, None, ALLOW),
    Call("getpgid", 121, 155, ALLOW),
    Call("getsid", 124, 156, ALLOW),
    Call("getuid", 102, 174, ALLOW),
    Call("geteuid", 107, 175, ALLOW),
    Call("getgid", 104, 176, ALLOW),
    Call("getegid", 108, 177, ALLOW),
    Call("getgroups", 115, 158, ALLOW),
    Call("getresuid", 118, 148, ALLOW),
    Call("getresgid", 120, 150, ALLOW),
    Call("capget", 125, 90, ALLOW),
    Call("uname", 63, 160, ALLOW),
    Call("sysinfo", 99, 179, ALLOW),
    Call("getrusage", 98, 165, ALLOW),
    Call("getrlimit", 97, 163, ALLOW),
    Call("setrlimit", 160, 164, ALLOW),
    Call("getrandom", 318, 278, ALLOW),
    # Sockets that it was given.
    Call("recvfrom", 45, 207, ALLOW),
    Call("recvmsg", 47, 212, ALLOW),
    Call("recvmmsg", 299, 243, ALLOW),
    Call("shutdown", 48, 210, ALLOW),
    Call("getsockopt", 55, 209, ALLOW),
    Call("getsockname", 51, 204, ALLOW),
    Call("getpeername", 52, 205, ALLOW),
)

KILLED = (
    # Into other processes.
    Call("ptrace", 101, 117, KILL),
    Call("process_vm_readv", 310, 270, KILL),
    Call("process_vm_writev", 311, 271, KILL),
    Call("process_madvise", 440, 440, KILL),
    Call("pidfd_getfd", 438, 438, KILL),
    Call("kcmp", 312, 272, KILL),
    # Into the kernel.
    Call("bpf", 321, 280, KILL),
    Call("perf_event_open", 298, 241, KILL),
    Call("userfaultfd", 323, 282, KILL),
    Call("kexec_load", 246, 104, KILL),
    Call("kexec_file_load", 320, 294, KILL),
    Call("init_module", 175, 105, KILL),
    Call("finit_module", 313, 273, KILL),
    Call("delete_module", 176, 106, KILL),
    Call("iopl", 172, None, KILL),
    Call("ioperm", 173, None, KILL),
    Call("reboot", 169, 142, KILL),
    # Out of this place.
    Call("unshare", 272, 97, KILL),
    Call("setns", 308, 268, KILL),
    Call("mount", 165, 40, KILL),
    Call("umount2", 166, 39, KILL),
    Call("pivot_root", 155, 41, KILL),
    Call("open_tree", 428, 428, KILL),
    Call("move_mount", 429, 429, KILL),
    Call("fsopen", 430, 430, KILL),
    Call("fsmount", 432, 432, KILL),
    Call("fspick", 433, 433, KILL),
    Call("mount_setattr", 442, 442, KILL),
    Call("open_by_handle_at", 304, 265, KILL),
    Call("chroot", 161, 51, KILL),
    # Keys.
    Call("add_key", 248, 217, KILL),
    Call("request_key", 249, 218, KILL),
    Call("keyctl", 250, 219, KILL),
)

PROCESSES = (
    # In place of those above, where a policy allows to start processes.
    Call(
        "clone",
        56,
        220,
        REFUSE,
        (Rule(KILL, (_with(0, _CLONE_NEWUSER),)), _allow(_without(0, _CLONE_NEW_ANYTHING))),
    ),
    Call("kill", 62, 129, ALLOW),
    Call("tgkill", 234, 131, ALLOW),
    Call("fork", 57, None, ALLOW),
    Call("vfork", 58, None, ALLOW),
    Call("execve", 59, 221, ALLOW),
    Call("execveat", 322, 281, ALLOW),
    Call("arch_prctl", 158, None, ALLOW),
    Call("setpgid", 109, 154, ALLOW),
    Call("setsid", 112, 157, ALLOW),
)


def calls(*, subprocesses: bool = False) -> tuple[Call, ...]:
    """Return the table for a worker, those that are looked into first."""
    replaced = {call.name for call in PROCESSES} if subprocesses else set()
    kept = tuple(call for call in LOOKED_INTO + ALLOWED + KILLED if call.name not in replaced)
    return (PROCESSES if subprocesses else ()) + kept
