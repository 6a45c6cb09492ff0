"""Signals: none is blocked, and all do what they do by default, but for two."""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]  # signal itself imports enum
    NSIG,
    SIG_DFL,
    SIG_IGN,
    SIG_SETMASK,
    SIGINT,
    SIGKILL,
    SIGPIPE,
    SIGSTOP,
    SIGXFSZ,
    pthread_sigmask,
    signal,
)

# The host decides when a worker ends, not a Ctrl-C that its whole terminal gets. A closed pipe and a file that is too
# large are errors that a program can handle, as Python has it.
_IGNORED = (SIGINT, SIGPIPE, SIGXFSZ)
_RESERVED_BY_LIBC = (32, 33)


def probe() -> str:
    """Works everywhere."""
    return ""


def apply(order: None) -> None:
    """Reset every signal."""
    for number in range(1, NSIG):
        if number not in (SIGKILL, SIGSTOP, *_RESERVED_BY_LIBC):
            signal(number, SIG_IGN if number in _IGNORED else SIG_DFL)
    pthread_sigmask(SIG_SETMASK, ())
