"""What a plugin raises to end the process that runs it, and how that is told. All else fails one frame, or one step."""

from __future__ import annotations

from .protocol import clip, describe

ENDS = SystemExit, KeyboardInterrupt
"""Python means these to end a program."""
_LOWEST_BYTE = 0xFF


def ending(error: BaseException) -> tuple[int, str]:
    """Return the exit status of a process that ``error`` ends, and why, in words: none where the status says all."""
    # The types and the attribute themselves, whatever a subclass makes of them.
    if issubclass(type(error), SystemExit):
        code = SystemExit.__dict__["code"].__get__(error)
        if code is None:
            return 0, ""
        if issubclass(type(code), int):
            return int.__and__(code, _LOWEST_BYTE), ""
    return 1, clip(": ".join(filter(None, describe(error))))
