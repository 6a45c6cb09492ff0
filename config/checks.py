"""Checks of single values: attrs validators that list every fault, with the limit and the actual value."""

from __future__ import annotations

import difflib
import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from .errors import ConfigError, Fault

MIB = 1024 * 1024
MAX_PATH_BYTES = 4096
MAX_CONFIG_DEPTH = 32
INTEGERS = (-(2**63), 2**64 - 1)  # what CBOR carries without a tag, which the workers' protocol refuses

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 80
_brief.maxdict = _brief.maxlist = _brief.maxtuple = 4
_brief.maxlevel = 3


def shown(value: object) -> str:
    """``value`` as an error quotes it: short, on one line, and never failing."""
    if isinstance(value, int) and not isinstance(value, bool):
        # Longer ones raise when they are printed (sys.set_int_max_str_digits), and TOML's hexadecimal gets past it.
        return f"{value:,}" if value.bit_length() <= 256 else f"an integer of {value.bit_length():,} bits"
    return _brief.repr(value)


def joined(prefix: str, key: str) -> str:
    """The dotted key of ``key`` inside ``prefix``: ``a.b``, or ``a[0]`` where ``key`` is an index."""
    separator = "" if not prefix or not key or key.startswith("[") else "."
    return prefix + separator + key


class Check:
    """An attrs validator that can also list all faults of a value without an instance."""

    def __init__(self, find: Callable[[Any], Iterable[Fault]]) -> None:
        self._find = find

    def faults(self, value: object, key: str = "") -> list[Fault]:
        """Every fault of ``value``, under the dotted ``key``."""
        return [Fault(joined(key, fault.key), fault.reason) for fault in self._find(value)]

    def __call__(self, instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        """Raise ConfigError with all faults, named after the class that is being built."""
        if faults := self.faults(value, attribute.name):
            raise ConfigError(type(instance).__name__, faults)


def check(reason: Callable[[Any], str | None]) -> Check:
    """A check from a function that gives the reason why a value is refused, or ``None``."""

    def find(value: object) -> Iterator[Fault]:
        if why := reason(value):
            yield Fault("", why)

    return Check(find)


def whole(low: int, high: int) -> Check:
    """An integer (no bool) from ``low`` to ``high``."""

    def reason(value: object) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return None
        return f"must be a whole number from {low:,} to {high:,}, not {shown(value)}"

    return check(reason)


def number(low: float, high: float) -> Check:
    """A number (no bool, no NaN) from ``low`` to ``high``."""

    def reason(value: object) -> str | None:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return None
        return f"must be a number from {low:,g} to {high:,g}, not {shown(value)}"

    return check(reason)


def text(pattern: str, what: str) -> Check:
    """A string that ``pattern`` matches as a whole; ``what`` completes "must be ..."."""
    compiled = re.compile(pattern, re.ASCII)

    def reason(value: object) -> str | None:
        if isinstance(value, str) and compiled.fullmatch(value):
            return None
        return f"must be {what}, not {shown(value)}"

    return check(reason)


def suggestion(name: object, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` with the nearest of ``known``, or nothing when none is near."""
    near = difflib.get_close_matches(str(name)[:64], known, n=1, cutoff=0.5) if isinstance(name, str) else ()
    return f"; did you mean {near[0]!r}?" if near else ""


def one_of(*choices: str | int) -> Check:
    """One of ``choices``."""
    words = [choice for choice in choices if isinstance(choice, str)]
    wanted = ("one of " if len(choices) > 1 else "") + ", ".join(map(repr, choices))

    def reason(value: object) -> str | None:
        if any(value == choice and type(value) is type(choice) for choice in choices):
            return None
        return f"must be {wanted}, not {shown(value)}{suggestion(value, words)}"

    return check(reason)


def instance_of(cls: type) -> Check:
    """An instance of ``cls``."""

    def reason(value: object) -> str | None:
        return None if isinstance(value, cls) else f"must be a {cls.__name__}, not {shown(value)}"

    return check(reason)


def optional(inner: Check) -> Check:
    """``None``, or what ``inner`` allows."""
    return Check(lambda value: () if value is None else inner.faults(value))


def either_empty(inner: Check) -> Check:
    """An empty text, or what ``inner`` allows."""
    return Check(lambda value: () if value == "" else inner.faults(value))


def each(inner: Check) -> Check:
    """A tuple, every item of which ``inner`` allows."""

    def find(value: object) -> Iterator[Fault]:
        if not isinstance(value, tuple):
            yield Fault("", f"must be a tuple, not {shown(value)}")
            return
        for index, item in enumerate(value):
            yield from inner.faults(item, f"[{index}]")

    return Check(find)


def table_of(names: Check, items: Check) -> Check:
    """A table, every name and item of which are allowed."""

    def find(value: object) -> Iterator[Fault]:
        if not isinstance(value, Mapping):
            yield Fault("", f"must be a table, not {shown(value)}")
            return
        for name, item in value.items():
            yield from names.faults(name, shown_key(name))
            yield from items.faults(item, shown_key(name))

    return Check(find)


def _path_reason(value: object) -> str | None:
    if not isinstance(value, str) or not value or "\0" in value:
        return f"must be a path, not {shown(value)}"
    if (size := len(value.encode("utf-8", "surrogatepass"))) > MAX_PATH_BYTES:
        return f"must be a path of at most {MAX_PATH_BYTES:,} bytes, not {size:,}"
    return None


def _absolute_reason(value: object) -> str | None:
    if why := _path_reason(value):
        return why
    return None if os.path.isabs(str(value)) else f"must be an absolute path, not {shown(value)}"


def _plain(value: object, key: str, depth: int) -> Iterator[Fault]:
    if depth > MAX_CONFIG_DEPTH:
        yield Fault(key, f"must be nested at most {MAX_CONFIG_DEPTH} deep")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str) or not _is_unicode(name):
                yield Fault(key, f"must have text keys, not {shown(name)}")
            yield from _plain(item, joined(key, shown_key(name)), depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _plain(item, f"{key}[{index}]", depth + 1)
    elif why := _scalar_reason(value):
        yield Fault(key, why)


def _scalar_reason(value: object) -> str | None:
    match value:
        case str():
            return None if _is_unicode(value) else f"must be Unicode text, not {shown(value)} with half a character"
        case int() if not INTEGERS[0] <= value <= INTEGERS[1]:
            return f"must fit into 64 bits, not {shown(value)}"
        case float() if not math.isfinite(value):
            return f"must be a finite number, not {value}"
        case int() | float() | bytes():
            return None
    return f"must be text, a number, a boolean, a list or a table, not {type(value).__name__}"


def _is_unicode(text: str) -> bool:
    """Whether ``text`` can be encoded: half of a surrogate pair, as JSON and file names smuggle it in, can't."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _plain_table(value: object) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault("", f"must be a table, not {shown(value)}")
    else:
        yield from _plain(value, "", 0)


def shown_key(name: object) -> str:
    """``name`` as a part of a dotted key: bare where TOML allows it, else quoted and short."""
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return name
    return shown(name)


flag = instance_of(bool)
string = instance_of(str)
path = check(_path_reason)
absolute_path = check(_absolute_reason)
absolute_path_or_empty = either_empty(absolute_path)
plain_table = Check(_plain_table)
seconds = number(0, 86_400)
positive_seconds = number(0.001, 86_400)
