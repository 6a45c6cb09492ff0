"""``Seconds``: an option that says how long something lasts."""

from __future__ import annotations

import math
from typing import Any

import click

DAY_S = 86_400


class Seconds(click.FloatRange):
    """From ``least`` seconds to a day; NaN, which no comparison would refuse, is none."""

    def __init__(self, least: float) -> None:
        super().__init__(least, DAY_S)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no number of seconds."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return found
