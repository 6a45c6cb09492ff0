"""The SDK: what a plugin is given, and what it may do with it."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from nyx_plugins.plugins.sdk import Context, Frame, Plugin


class Sink:
    """Takes what a context sends."""

    def __init__(self) -> None:
        self.emits: list[tuple[int, int, bytes]] = []
        self.logs: list[tuple[int, str]] = []

    def context(self, max_emit_bytes: int = 100) -> Context:
        """Make a context that sends here."""
        return Context(
            7,
            "seven",
            {"depth": 3},
            emit=lambda *frame: self.emits.append(frame),
            log=lambda *line: self.logs.append(line),
            max_emit_bytes=max_emit_bytes,
        )


class Kind(enum.IntEnum):
    """What an author may call a frame type."""

    NEWS = 0x55


class Index:
    """An integer of another library."""

    def __index__(self) -> int:
        return 3


class Odd(bytes):
    """Bytes that are something else when they are copied."""

    def __bytes__(self) -> bytes:
        raise RuntimeError


@pytest.fixture
def sink() -> Sink:
    """Return something that takes what a context sends."""
    return Sink()


def test_context_says_who_the_plugin_is(sink: Sink) -> None:
    """A context holds the plugin's id, name and configuration."""
    ctx = sink.context()
    assert (ctx.plugin_id, ctx.name, ctx.config["depth"]) == (7, "seven", 3)


def test_emit_sends_a_data_frame_by_default(sink: Sink) -> None:
    """Without further arguments, emit() sends a data frame without flags."""
    sink.context().emit(b"news")
    assert sink.emits == [(0x52, 0, b"news")]


def test_emit_copies_what_may_change(sink: Sink) -> None:
    """A buffer that is changed after emit() does not change the frame."""
    buffer = bytearray(b"before")
    sink.context().emit(buffer, 0x53, 0xFF)  # type: ignore[arg-type]  # mypy no longer takes bytearray for bytes
    buffer[:] = b"behind"
    assert sink.emits == [(0x53, 0xFF, b"before")]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("text",), TypeError, "takes bytes, not str"),
        ((3,), TypeError, "takes bytes, not int"),
        ((b"", 0x4F), ValueError, "0x4f is not in 0x50 to 0x5f"),
        ((b"", 0x60), ValueError, "0x60 is not in"),
        ((b"", 0x52, 256), ValueError, "flags 0x100 is not in 0x0 to 0xff"),
        ((b"", 0x52, -1), ValueError, "flags -0x1 is"),
        ((b"", 82.0), TypeError, "frame type must be an int, not float"),
        ((b"", None), TypeError, "frame type must be an int, not NoneType"),
        ((b"", 0x52, True), TypeError, "flags must be an int, not bool"),
        ((b"x" * 101,), ValueError, "emit of 101 bytes: the limit is 100"),
    ],
)
def test_emit_refuses(sink: Sink, arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    """emit() refuses what the host would refuse, and sends nothing."""
    with pytest.raises(error, match=text):
        sink.context().emit(*arguments)
    assert sink.emits == []


def test_emit_makes_plain_values_of_all_that_are_integers_and_bytes(sink: Sink) -> None:
    """Nothing but ``int`` and ``bytes`` travels: no member of an enumeration, no integer of another library."""
    sink.context().emit(Odd(b"news"), Kind.NEWS, Index())  # type: ignore[arg-type]  # what mypy would find
    assert sink.emits == [(0x55, 3, b"news")]
    assert [type(field) for field in sink.emits[0]] == [int, int, bytes]


@pytest.mark.parametrize(
    ("method", "level"), [("debug", 10), ("info", 20), ("warning", 30), ("error", 40), ("exception", 40)]
)
def test_levels(sink: Sink, method: str, level: int) -> None:
    """Each method of the logger logs at logging's level of that name."""
    getattr(sink.context().logger, method)("%s of %d", "one", 2)
    assert sink.logs[0][0] == level
    assert sink.logs[0][1].startswith("one of 2")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("100 %",), "100 %"), (("%d", "x"), "%d ('x',)"), (("no place", 1), "no place (1,)"), ((ValueError("v"),), "v")],
)
def test_logging_never_raises(sink: Sink, arguments: tuple[Any, ...], text: str) -> None:
    """A message that does not fit its arguments is logged as it is."""
    sink.context().logger.info(*arguments)
    assert sink.logs == [(20, text)]


def test_exception_logs_the_traceback(sink: Sink) -> None:
    """logger.exception() adds the traceback of the exception being handled."""
    try:
        raise KeyError("lost")
    except KeyError:
        sink.context().logger.exception("while looking")
    text = sink.logs[0][1]
    assert text.startswith("while looking\nTraceback")
    assert text.endswith("KeyError: 'lost'")


def test_a_plugin_that_overrides_nothing_takes_everything_and_replies_nothing(sink: Sink) -> None:
    """Every handler of the base class returns None, and there is no on_batch."""
    plugin, frame = Plugin(), Frame(0x52, 0, b"")
    plugin.on_load(sink.context())
    handlers = (plugin.on_handshake, plugin.on_data, plugin.on_control, plugin.on_error)
    assert [handler(frame) for handler in handlers] == [None] * 4
    assert plugin.on_batch is None
    plugin.on_unload()


def test_frames_show_what_they_hold() -> None:
    """The repr of a frame has its type, flags and data."""
    assert repr(Frame(0x53, 1, b"x")) == "Frame(type=0x53, flags=0x01, data=b'x')"


@pytest.mark.parametrize("how", ["flag", "error", "tuple"])
def test_a_line_of_any_level_can_have_a_traceback(how: str, sink: Sink) -> None:
    """exc_info is what logging takes; its other keywords change nothing."""
    logger = sink.context().logger
    try:
        raise ValueError("no")
    except ValueError as error:
        exc_info = {"flag": True, "error": error, "tuple": (ValueError, error, error.__traceback__)}[how]
        logger.warning("with %s", "it", exc_info=exc_info, extra={"a": 1}, stack_info=True, stacklevel=2)
    [(level, text)] = sink.logs
    assert level == 30 and text.startswith("with it\nTraceback (most recent call last):\n")
    assert text.endswith("\nValueError: no")


def test_a_traceback_of_nothing_is_no_error(sink: Sink) -> None:
    """Outside of a handler there is none, as in logging; without the keyword nothing is added."""
    logger = sink.context().logger
    logger.error("e", exc_info=True)
    logger.exception("e")
    logger.info("e", exc_info=False)
    assert sink.logs == [(40, "e\nNoneType: None"), (40, "e\nNoneType: None"), (20, "e")]
