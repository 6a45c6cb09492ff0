"""Figures as a reader wants them: three or four digits, with a unit that keeps them short."""

from __future__ import annotations

import math

_TIMES = ((1e6, "s"), (1e3, "ms"), (1, "\N{MICRO SIGN}s"))
_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_TO_US = {"us": 1, "ms": 1e3, "s": 1e6}
_FEW = 0.01


def figure(value: float, unit: str) -> str:
    """Return ``value`` with its unit: ``1.25 ms`` for 1,250 us, ``3.2 MiB`` for bytes, ``61,234 frames/s``."""
    if not math.isfinite(value):
        return "-"
    if unit in _TO_US:
        return _scaled(value * _TO_US[unit], _TIMES)
    if unit == "bytes":
        return _scaled(value, _SIZES) if abs(value) >= _SIZES[-1][0] else f"{value:,.0f} bytes"
    return f"{digits(value)} {unit}".rstrip()


def digits(value: float) -> str:
    """Return ``value`` with at least three digits, and with commas between thousands."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < _FEW:
        return f"{value:.2g}"
    decimals = 0 if float(value).is_integer() else 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{decimals}f}"


def counted(number: int, what: str) -> str:
    """Return a number of things, of which one is called ``what``: ``1 round``, ``3 rounds``."""
    return f"{number:,} {what}" + ("s" if number != 1 else "")


def percent(share: float) -> str:
    """Return a share of one as percent: ``0.6 %``, ``12 %``."""
    value = share * 100
    return f"{value:.1f} %" if abs(value) < 10 else f"{value:,.0f} %"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    size, unit = next((pair for pair in units if abs(value) >= pair[0]), units[-1])
    return f"{digits(value / size)} {unit}"
