"""Types of arguments: values of a plugin's configuration, frame types, flags."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from ..config.frame_types import frame_type_name, permission_name
from ..plugins.permissions import ALL_PERMISSIONS

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    # Before click 8.5 it takes no argument.
    ParamType = click.ParamType

MAX_DIGITS = 4_000
"""The longest whole number that is read from JSON."""
FRAME_TYPES = {"handshake": 0x51, "data": 0x52, "control": 0x53, "error": 0x54}


class Whole(click.IntRange):
    """A whole number in a range, which helps and errors tell as people write it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            number: int = super().convert(int(value), param, ctx)
        except ValueError:
            self.fail(f"{value!r:.60} is no whole number, such as 1000", param, ctx)
        return number

    def _describe_range(self) -> str:
        return _range(self.min, self.max)


class Seconds(click.FloatRange):
    """A number of seconds from 0 to a day."""

    def __init__(self, least: float = 0.0) -> None:
        super().__init__(min=least, max=86_400)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; what is none ("nan") is refused."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            self.fail(f"{value!r:.60} is no number of seconds", param, ctx)
        converted: float = super().convert(number, param, ctx)
        return converted

    def _describe_range(self) -> str:
        return _range(self.min, self.max)


class ConfigItem(ParamType):
    """``KEY=VALUE``, where the value is JSON, or else text."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Return key and value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not of the form KEY=VALUE", param, ctx)
        try:
            return key, strict_json(text)
        except Unreadable as error:
            self.fail(str(error), param, ctx)
        except ValueError:
            return key, text


class ConfigTable(ParamType):
    """A JSON object."""

    name = "object"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Return the object."""
        if isinstance(value, dict):
            return value
        try:
            table = strict_json(str(value))
        except Unreadable as error:
            self.fail(str(error), param, ctx)
        except ValueError as error:
            self.fail(f"this is no JSON: {error}", param, ctx)
        if not isinstance(table, dict):
            self.fail(f"this must be a JSON object, such as '{{\"key\": 1}}', not {value!r:.60}", param, ctx)
        return table


class PermissionName(ParamType):
    """The name of a permission; which there are, the service's configuration decides."""

    name = "permission"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if permission_name.faults(value):
            self.fail(f"{value!r:.80} is no permission: {', '.join(sorted(ALL_PERMISSIONS))}", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Offer those of the protocol."""
        offer = click.shell_completion.CompletionItem
        return [offer(name) for name in sorted(ALL_PERMISSIONS) if name.startswith(incomplete)]


class FrameTypeName(ParamType):
    """A type of the protocol by its name, a number from 0 to 255, or else the name of a type that a service has."""

    name = "type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or the name that only the service knows."""
        if isinstance(value, int):
            return value
        if value in FRAME_TYPES:
            return FRAME_TYPES[value]
        if not frame_type_name.faults(value):
            return str(value)
        return _u8(self, value, f"{', '.join(FRAME_TYPES)} or a number from 0 to 255 (0x52)", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Offer the names."""
        offer = click.shell_completion.CompletionItem
        return [offer(name, help=hex(number)) for name, number in FRAME_TYPES.items() if name.startswith(incomplete)]


class Flags(ParamType):
    """A number from 0 to 255 (decimal, or 0x in hexadecimal)."""

    name = "flags"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        return value if isinstance(value, int) else _u8(self, value, "a number from 0 to 255 (0x01)", param, ctx)


class Unreadable(ValueError):
    """A text is JSON, and holds more than can be read: numbers that are too large, lists that are too deep."""


def strict_json(text: str) -> Any:
    """Read a JSON document; raises :class:`ValueError`, for NaN and infinity too, and :class:`Unreadable`."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no value of JSON")

    try:
        return json.loads(text, parse_constant=refuse, parse_int=_whole, parse_float=_finite)
    except RecursionError:
        raise Unreadable("this JSON is nested too deeply") from None


def _whole(digits: str) -> int:
    # Python itself refuses longer ones, in words about its own settings.
    if len(digits) > MAX_DIGITS:
        raise Unreadable(f"a number of {len(digits):,} digits is too large: the limit is {MAX_DIGITS:,}")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Unreadable(f"the number {digits:.60} is too large: the largest is about 1.8e308")
    return number


def _range(least: float | None, most: float | None) -> str:
    return f"{_number(least or 0)} or more" if most is None else f"{_number(least or 0)} to {_number(most)}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def _u8(kind: ParamType, value: Any, expected: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
    text = str(value)
    try:
        number = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        number = -1
    return number if 0 <= number <= 255 else kind.fail(f"{text!r:.60} is not {expected}", param, ctx)
