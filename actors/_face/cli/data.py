"""The data of frames: read as the user gives it, and printed as people can read it."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any, BinaryIO

import cbor2
import click

from .failure import Failure, escaped
from .pipes import refuse_named_pipe
from .values import Unreadable, strict_json

MAX_DATA_BYTES = 1 << 24
"""The largest header that a system can be configured to take; data of more fits into none."""
MAX_DEPTH = 64
MAX_INT_BITS = 1024


def read_data(text: str | None, *, hex_wanted: bool, cbor_wanted: bool, file: str | None) -> bytes:
    """Return the data of a frame; mistakes are usage errors, a file that can't be read is a :class:`Failure`."""
    if file is not None and text is not None:
        raise _usage("DATA and '--file' exclude each other")
    if hex_wanted and cbor_wanted:
        raise _usage("'--hex' and '--cbor' exclude each other")
    raw = os.fsencode(text or "") if file is None else _read(file)
    if hex_wanted:
        return _from_hex(raw)
    return _from_json(raw) if cbor_wanted else raw


def readable(data: bytes, *, prefer_cbor: bool = False) -> str:
    """Return text as text, CBOR as JSON, anything else in hexadecimal digits; control characters are escaped.

    What is both is text, or CBOR with ``prefer_cbor``: "code" also is the CBOR of "ode".
    """
    for read in (_cbor_text, _plain_text) if prefer_cbor else (_plain_text, _cbor_text):
        if (found := read(data)) is not None:
            return found
    return data.hex()


def cbor_value(data: bytes) -> tuple[Any] | None:
    """Return what ``data`` is as CBOR, as JSON has it, in a tuple of one; ``None`` when it is none."""
    stream = BytesIO(data)
    with suppress(
        cbor2.CBORDecodeError, ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError
    ):
        value = cbor2.CBORDecoder(stream, max_depth=MAX_DEPTH).decode()
        # With bytes left after the first item, it is something else that begins like CBOR.
        if stream.tell() == len(data):
            return (_Plain(len(data)).of(value),)
    return None


class _Plain:
    """Turns any value of CBOR into what JSON has; what JSON has not becomes a text.

    Parts of a value may refer to others again and again, so that a short reply would be endless JSON. One that does not
    takes a byte for each item and for each of its letters at least, and so ``room`` is the length of the reply.
    """

    def __init__(self, room: int) -> None:
        self._room = room

    def of(self, value: Any) -> Any:
        """Return the value for JSON; raises :class:`ValueError` when it has more in it than it can have."""
        self._room -= 1 + (len(value) if isinstance(value, (str, bytes)) else 0)
        if self._room < 0:
            raise ValueError("it repeats itself")
        match value:
            case None | bool() | str():
                return value
            case int():
                return value if value.bit_length() <= MAX_INT_BITS else hex(value)
            case float():
                return value if math.isfinite(value) else str(value)
            case bytes():
                return f"h'{value.hex()}'"
            case Mapping():
                return {self._key(key): self.of(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.of(item) for item in value]
        return str(value)

    def _key(self, key: Any) -> str:
        plain = self.of(key)
        return plain if isinstance(plain, str) else json.dumps(plain)


def _plain_text(data: bytes) -> str | None:
    """Text without control characters but tabs and line breaks."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return escaped(text, "\n\t") if not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f]", text) else None


def _cbor_text(data: bytes) -> str | None:
    found = cbor_value(data)
    return None if found is None else escaped(json.dumps(found[0], ensure_ascii=False))


def _from_hex(raw: bytes) -> bytes:
    try:
        return bytes.fromhex(raw.decode("ascii"))
    except ValueError:
        raise _usage("with '--hex', DATA must be pairs of hexadecimal digits, such as '00 ff'") from None


def _from_json(raw: bytes) -> bytes:
    try:
        return cbor2.dumps(strict_json(raw.decode()))
    except Unreadable as error:
        raise _usage(f"with '--cbor': {error}") from None
    except (ValueError, cbor2.CBOREncodeError) as error:
        raise _usage(f"with '--cbor', DATA must be JSON: {error}") from None
    except RecursionError:
        raise _usage("with '--cbor': this JSON is nested too deeply") from None


def _read(file: str) -> bytes:
    try:
        if file == "-":
            return _limited(sys.stdin.buffer, "standard input")
        refuse_named_pipe(file, ": give it as standard input ('--file -')")
        with open(file, "rb") as opened:
            return _limited(opened, file)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise Failure(f"file {file}: can't be read: {why}") from None


def _limited(file: BinaryIO, name: str) -> bytes:
    data = file.read(MAX_DATA_BYTES + 1)
    if len(data) > MAX_DATA_BYTES:
        raise Failure(f"file {name}: has more than {MAX_DATA_BYTES:,} bytes, and a frame holds at most so many")
    return data


def _usage(text: str) -> click.UsageError:
    return click.UsageError(text, click.get_current_context(silent=True))
