"""Documents: TOML to tables, and tables to attrs classes, with every fault listed instead of the first."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import cattrs

from .checks import Check, joined, shown, shown_key, suggestion
from .errors import ConfigError, DocumentError, Fault

T = TypeVar("T")

MAX_FAULTS = 100

_UNCHECKED = Check(lambda value: ())
_NOUNS = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    dict: "a table",
    list: "an array",
}


def parse_toml(text: str | bytes, *, source: str, error: type[DocumentError] = ConfigError) -> dict[str, Any]:
    """The tables of a TOML document. Raises ``error`` with line and column when ``text`` is none."""
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
    except UnicodeDecodeError as found:
        reason = f"must be UTF-8, which byte 0x{found.object[found.start]:02x} at {_place(found)} is not"
        raise error(source, [Fault("", reason)]) from None
    try:
        return tomllib.loads(decoded)
    except RecursionError:
        reason = "is nested too deeply to be TOML"
    except ValueError as found:  # a bad number or date is one too, without being a TOMLDecodeError
        reason = f"is not valid TOML: {_placed(str(found), decoded)}"
    raise error(source, [Fault("", reason)])


def _place(error: UnicodeDecodeError) -> str:
    *lines, last = error.object[: error.start].split(b"\n")
    return f"line {len(lines) + 1}, column {len(last) + 1}"


def _placed(message: str, text: str) -> str:
    """Add line and column where tomllib says only that the document ended."""
    lines = text.split("\n")
    end = f"(at line {len(lines)}, column {len(lines[-1]) + 1}, the end of the document)"
    return message.replace("(at end of document)", end)


def structure(data: Mapping[str, Any], cls: type[T], *, source: str, error: type[DocumentError] = ConfigError) -> T:
    """Build ``cls`` (an attrs class) from ``data``. Raises ``error`` with all faults: keys, types and ranges.

    Types are strict: a boolean is no integer and a string no number, but an integer will do for a float.
    """
    try:
        return _converter.structure(data, cls)
    except _Refused as refused:
        raise error(source, _first(refused.faults)) from None


def _first(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """At most MAX_FAULTS of ``faults``, so that a hostile document does not make an endless text."""
    rest = len(faults) - MAX_FAULTS
    return faults if rest <= 0 else (*faults[:MAX_FAULTS], Fault("", f"and {rest:,} more faults"))


class _Refused(Exception):
    """Faults found below some key; each level adds its own key in front.

    ``items`` is the collection with ``None`` for each refused item, so that the others can be checked.
    """

    def __init__(self, faults: Iterable[Fault], items: object = None) -> None:
        self.faults = tuple(faults)
        self.items = items


def _mismatch(expected: type, value: object) -> _Refused:
    return _Refused([Fault("", f"must be {_NOUNS[expected]}, not {_described(value)}")])


def _described(value: object) -> str:
    """The kind and the text of ``value``: "a string ('x')"; tables and arrays without their text."""
    noun = _NOUNS.get(type(value))
    if noun is None:
        return f"{type(value).__name__} {shown(value)}"
    return noun if isinstance(value, dict | list) else f"{noun} ({shown(value)})"


class _Collector:
    """Runs steps that may refuse, and keeps their faults under the key of each step."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def attempt(self, key: str, step: Callable[[], Any]) -> Any:
        """What ``step`` gives, or ``None`` when it refuses."""
        try:
            return step()
        except (_Refused, DocumentError) as refused:
            self.faults += [Fault(joined(key, fault.key), fault.reason) for fault in refused.faults]
            return None

    def finish(self, items: object = None) -> None:
        """Raise all the faults there are."""
        if self.faults:
            raise _Refused(self.faults, items)


def _structure_scalar(value: object, cls: type[Any]) -> Any:
    if type(value) is cls:
        return value
    if cls is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            pass
    raise _mismatch(cls, value)


def _structure_literal(value: object, cls: Any) -> Any:
    return _chosen(value, get_args(cls))


def _structure_choice(value: object, cls: Any) -> Any:
    return cls(_chosen(value, [member.value for member in cls]))


def _chosen(value: object, choices: Collection[str]) -> str:
    if type(value) is str and value in choices:
        return value
    raise _Refused([Fault("", f"must be one of {', '.join(map(repr, choices))}, not {_described(value)}")])


def _structure_tuple(value: object, cls: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _mismatch(list, value)
    collector, item_type = _Collector(), get_args(cls)[0]
    items = tuple(
        collector.attempt(f"[{index}]", partial(_converter.structure, item, item_type))
        for index, item in enumerate(value)
    )
    collector.finish(items)
    return items


def _structure_table(value: object, cls: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _mismatch(dict, value)
    collector, item_type = _Collector(), get_args(cls)[1]
    if item_type in (Any, object):
        return dict(value)
    table = {
        name: collector.attempt(shown_key(name), partial(_converter.structure, item, item_type))
        for name, item in value.items()
    }
    collector.finish(table)
    return table


def _structure_class(value: object, cls: type[Any]) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(dict, value)
    collector = _Collector()
    fields = attrs.fields_dict(attrs.resolve_types(cls))
    arguments = {
        name: collector.attempt(name, partial(_structure_field, value[name], field))
        for name, field in fields.items()
        if name in value
    }
    collector.faults += [
        Fault(name, "is missing")
        for name, field in fields.items()
        if name not in value and field.default is attrs.NOTHING
    ]
    collector.faults += [_unknown(name, fields) for name in value if name not in fields]
    collector.finish()
    construct: Callable[..., Any] = cls
    built = collector.attempt("", partial(construct, **arguments))
    collector.finish()
    return built


def _structure_field(value: object, field: attrs.Attribute[Any]) -> Any:
    check = field.validator if isinstance(field.validator, Check) else _UNCHECKED
    field_type: Any = field.type
    try:
        structured = _converter.structure(value, field_type)
    except _Refused as refused:
        raise _Refused([*refused.faults, *_others(check, refused)]) from None
    if faults := check.faults(structured):
        raise _Refused(faults)
    return structured


def _others(check: Check, refused: _Refused) -> list[Fault]:
    """The faults of those items of a collection that have the right type."""
    if refused.items is None:
        return []
    reported = tuple(fault.key for fault in refused.faults)
    return [fault for fault in check.faults(refused.items) if not any(k.startswith(fault.key) for k in reported)]


def _unknown(name: object, fields: Iterable[str]) -> Fault:
    known = list(fields)
    hint = suggestion(name, known) or f" (known: {', '.join(known)})"
    return Fault(shown_key(name), f"unknown key{hint}")


def _has_origin(origin: object, cls: Any) -> bool:
    return get_origin(cls) is origin


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    for scalar in (bool, int, float, str):
        converter.register_structure_hook(scalar, _structure_scalar)
    converter.register_structure_hook(StrEnum, _structure_choice)
    converter.register_structure_hook_func(partial(_has_origin, Literal), _structure_literal)
    converter.register_structure_hook_func(partial(_has_origin, tuple), _structure_tuple)
    converter.register_structure_hook_func(partial(_has_origin, dict), _structure_table)
    converter.register_structure_hook_func(partial(_has_origin, Mapping), _structure_table)
    converter.register_structure_hook_func(attrs.has, _structure_class)
    return converter


_converter = _make_converter()
