"""Options that are numbers: ``Number``, and ``Seconds``, which says how long something lasts."""

from __future__ import annotations

import math
from typing import Any

import click

DAY_S = 86_400


class Number(click.FloatRange):
    """From ``least`` to ``most``; NaN, which no comparison would refuse, is none. ``why`` is told where one is less."""

    def __init__(self, least: float, most: float, why: str = "") -> None:
        super().__init__(least, most)
        self._least, self._why = least, why

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no such number."""
        found = click.FLOAT.convert(value, param, ctx)
        if self._why and found < self._least:
            self.fail(f"{value} is less than {self._least:g}: {self._why}", param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return super().convert(found, param, ctx)


class Seconds(Number):
    """From ``least`` seconds to a day."""

    def __init__(self, least: float, why: str = "") -> None:
        super().__init__(least, DAY_S, why)
