"""Data of frames: how it is read from the command line, and how replies are printed."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.cli.data import MAX_DATA_BYTES, cbor_value, read_data, readable
from nyx_plugins.cli.failure import Failure

Read = Callable[..., bytes]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=20,
)


def read(text: str | None = None, *, hex_wanted: bool = False, cbor_wanted: bool = False, file: Any = None) -> bytes:
    """Read as the commands do."""
    return read_data(text, hex_wanted=hex_wanted, cbor_wanted=cbor_wanted, file=None if file is None else str(file))


# Reading.


def test_data_is_what_was_typed() -> None:
    """Text is UTF-8, bytes that are none arrive unchanged, and nothing is nothing."""
    assert read("grüße") == "grüße".encode()
    assert read(os.fsdecode(b"\xff\xfe")) == b"\xff\xfe"
    assert (read(), read("")) == (b"", b"")


def test_data_can_be_hexadecimal_digits() -> None:
    """Blanks and line breaks may stand between the bytes."""
    assert read("00 FF\n0a", hex_wanted=True) == b"\x00\xff\x0a"


@pytest.mark.parametrize("text", ["0", "zz", "0x00", "\u0660\u0660", os.fsdecode(b"\xff")])
def test_what_is_no_hexadecimal_is_refused(text: str) -> None:
    """An odd digit, other letters, other digits."""
    with pytest.raises(click.UsageError, match="pairs of hexadecimal digits"):
        read(text, hex_wanted=True)


@given(JSON)
def test_json_is_sent_as_cbor_and_can_be_printed_again(value: Any) -> None:
    """Any JSON is itself after the way there and back."""
    sent = read(json.dumps(value), cbor_wanted=True)
    assert cbor2.loads(sent) == value
    [back] = cbor_value(sent) or [...]
    assert back == value or abs(value_size(value)) > 1024


def value_size(value: Any) -> int:
    """The bits of the largest number in a value."""
    if isinstance(value, dict):
        return max([0, *map(value_size, value.values())])
    if isinstance(value, list):
        return max([0, *map(value_size, value)])
    return value.bit_length() if isinstance(value, int) else 0


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1,]", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    """Also what is nested so deep that it can't be read."""
    with pytest.raises(click.UsageError, match=r"DATA must be JSON|this JSON is nested too deeply"):
        read(text, cbor_wanted=True)


def test_data_can_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minus sign is standard input; digits and JSON may be in files too."""
    file = tmp_path / "data"
    file.write_bytes(b"00 ff")
    assert (read(file=file), read(file=file, hex_wanted=True)) == (b"00 ff", b"\x00\xff")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\x00")))
    assert read(file="-") == b"\xff\x00"


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file"), (".", "Is a directory"), ("a\0b", "null")])
def test_a_file_that_cannot_be_read_is_named(name: str, reason: str, tmp_path: Path) -> None:
    """With what the operating system says."""
    with pytest.raises(Failure, match=f"^file .*: can't be read: .*{reason}"):
        read(file=f"{tmp_path}/{name}")


def test_a_file_without_end_is_not_read_to_it() -> None:
    """No more than the largest frame is read."""
    with pytest.raises(Failure, match=f"more than {MAX_DATA_BYTES:,} bytes"):
        read(file="/dev/zero")


def test_data_is_given_in_one_way() -> None:
    """DATA and a file, or two notations, are a mistake."""
    with pytest.raises(click.UsageError, match="DATA and '--file' exclude each other"):
        read("text", file="file")
    with pytest.raises(click.UsageError, match="'--hex' and '--cbor' exclude each other"):
        read("00", hex_wanted=True, cbor_wanted=True)


# Printing.


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ""),
        (b"code", "code"),
        ("zwei\nZeilen\tgrüße".encode(), "zwei\nZeilen\tgrüße"),
        (b"\x81\x82cthe\x02", '[["the", 2]]'),
        (cbor2.dumps({"grüße": b"\x00\xff", "n": 1.5, 7: None}), '{"grüße": "h\'00ff\'", "n": 1.5, "7": null}'),
        (b"\x1b[2J", "1b5b324a"),
        (b"\x81\x82cthe\x02\x00", "81828374686502".replace("83", "63") + "00"),
        (b"\xff\xfe", "fffe"),
        ("a\u202eb".encode(), "a\\u202eb"),
        ("a\x85b".encode(), "61c28562"),
        (cbor2.dumps(["\x1b[2J", "a\nb"]), '["\\u001b[2J", "a\\nb"]'),
        (cbor2.dumps(["\u202e"]), '["\\u202e"]'),
        (b"\x05", "5"),
    ],
)
def test_a_reply_is_printed_so_that_people_can_read_it(data: bytes, shown: str) -> None:
    """Text as text, CBOR as JSON, anything else in hexadecimal digits; nothing reaches the terminal."""
    assert readable(data) == shown


def test_what_is_both_is_text_unless_cbor_was_sent() -> None:
    """A word of the right length also is CBOR."""
    assert (readable(b"code"), readable(b"code", prefer_cbor=True)) == ("code", '"ode"')
    assert readable(b"hello", prefer_cbor=True) == "hello"


@given(st.binary(max_size=200), st.booleans())
def test_any_reply_can_be_printed(data: bytes, prefer_cbor: bool) -> None:
    """Nothing that a plugin replies breaks the command or its terminal."""
    shown = readable(data, prefer_cbor=prefer_cbor)
    assert all(char.isprintable() or char in "\n\t" for char in shown)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * 100_000 + b"\x00",
        b"\x9b\x7f" + b"\xff" * 7,
        b"\x5b\x7f" + b"\xff" * 7,
        b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
    ids=["deep", "long array", "long bytes", "large exponent"],
)
def test_a_reply_that_claims_too_much_is_read_all_the_same(data: bytes) -> None:
    """Depth, lengths and exponents beyond all measure cost neither memory nor time."""
    assert readable(data)


def test_a_reply_that_repeats_itself_is_no_json() -> None:
    """A few bytes that refer to each other again and again would be gigabytes."""
    value: list[Any] = ["x"]
    for _ in range(40):
        value = [value, value]
    again = ["x" * 1000]
    for data in (cbor2.dumps(value, value_sharing=True), cbor2.dumps([again] * 100, value_sharing=True)):
        assert len(data) < 2000
        assert readable(data) == data.hex()
    assert readable(cbor2.dumps([["x"], ["x"]], value_sharing=True)) == '[["x"], ["x"]]'


def test_a_number_beyond_all_measure_is_hexadecimal() -> None:
    """Python refuses to print it in decimal digits."""
    [shown] = cbor_value(cbor2.dumps(1 << 20_000)) or [""]
    assert shown == hex(1 << 20_000)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """It may never have a writer; what a shell makes of a command is read."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failure, match="named pipe, which may never have a writer"):
        read_data(None, hex_wanted=False, cbor_wanted=False, file=str(tmp_path / "pipe"))
    reader, writer = os.pipe()
    os.write(writer, b"data")
    os.close(writer)
    assert read_data(None, hex_wanted=False, cbor_wanted=False, file=f"/dev/fd/{reader}") == b"data"
    os.close(reader)
