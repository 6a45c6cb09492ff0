"""How a process ends by an exception, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from nyx_plugins.plugins.worker.ending import ending
from nyx_plugins.plugins.worker.protocol import MAX_ERROR_CHARS


class _Mute:
    def __str__(self) -> str:
        raise SystemExit(9)


class _Odd(SystemExit):
    @property
    def code(self) -> Any:  # type: ignore[override]  # as a hostile plugin would
        """Prevent the end."""
        raise RuntimeError


class _Disguised(KeyboardInterrupt):
    @property
    def __class__(self) -> Any:  # type: ignore[override]  # as a hostile plugin would
        """Look like another exception."""
        return SystemExit


class _Number:
    @property
    def __class__(self) -> Any:  # type: ignore[override]  # as a hostile plugin would
        """Look like a number."""
        return int

    def __str__(self) -> str:
        return "seven"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (SystemExit(), 0, ""),
        (SystemExit(0), 0, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(-1), 255, ""),
        (SystemExit(1 << 80), 0, ""),
        (_Odd(4), 4, ""),
        (SystemExit("no key"), 1, "SystemExit: no key"),
        (SystemExit(_Mute()), 1, "SystemExit: (its text can't be had: SystemExit)"),
        (KeyboardInterrupt(), 1, "KeyboardInterrupt"),
        (_Disguised(), 1, "_Disguised"),
        (SystemExit(_Number()), 1, "SystemExit: seven"),
        (ValueError("broken"), 1, "ValueError: broken"),
    ],
)
def test_each_end_has_a_status_and_a_reason(error: BaseException, status: int, reason: str) -> None:
    """The status is the one that Python gives; what it does not say is said in words."""
    assert ending(error) == (status, reason)


def test_a_reason_has_a_length() -> None:
    """However long the text is, the reason can be sent."""
    assert len(ending(SystemExit("x" * 10_000))[1]) == MAX_ERROR_CHARS
