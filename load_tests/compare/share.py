"""``10%`` on the command line."""

from __future__ import annotations

import click


def share(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Return the share of one that was given as percent: ``10%`` and ``10`` are 0.1.

    Raises :class:`click.BadParameter`.
    """
    try:
        percent = float(value.strip().removesuffix("%"))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no percentage: 10%, for example", context, parameter) from None
    if not 0 <= percent < 100:
        raise click.BadParameter(f"{value!r} must be from 0% to less than 100%", context, parameter)
    return percent / 100
