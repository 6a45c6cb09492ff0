"""The runner: loading a plugin, and what becomes of each frame."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.sdk import Context, Frame, Plugin
from nyx_plugins.plugins.worker.protocol import MAX_RUN
from nyx_plugins.plugins.worker.runner import Runner, load_plugin


def header(data: bytes = b"", flags: int = 0) -> bytes:
    """Encode a plugin header."""
    return cbor2.dumps({"id": 1, "flags": flags, "data": data})


def context() -> Context:
    """Make a context that nobody listens to."""
    return Context(1, "one", {}, emit=lambda *_: None, log=lambda *_: None, max_emit_bytes=100)


class _Recorder(Plugin):
    """Replies with the name of the handler, the flags and the data."""

    def on_handshake(self, frame: Frame) -> bytes:
        return b"handshake" + frame.data

    def on_data(self, frame: Frame) -> bytes:
        return b"data%d" % frame.flags + frame.data

    def on_control(self, frame: Frame) -> bytes:
        return b"control" + frame.data

    def on_error(self, frame: Frame) -> bytes:
        return b"error" + frame.data


def doing(handler: Callable[[Frame], Any]) -> Runner:
    """Make a runner whose plugin handles data frames with ``handler``, and takes replies of up to 10 bytes."""
    return Runner(type("Doing", (Plugin,), {"on_data": lambda _, frame: handler(frame)})(), 10)


@pytest.mark.parametrize(
    ("frame_type", "reply"), [(0x51, b"handshakex"), (0x52, b"data165x"), (0x53, b"controlx"), (0x54, b"errorx")]
)
def test_each_frame_type_has_its_handler(frame_type: int, reply: bytes) -> None:
    """A frame goes to the handler of its type, with flags and data."""
    assert Runner(_Recorder(), 100).run(frame_type, header(b"x", 0xA5)) == reply


@pytest.mark.parametrize("frame_type", [0x4F, 0x60, 0x00])
def test_other_frame_types_fail(frame_type: int) -> None:
    """A frame type without a handler is a failed result, not an exception."""
    result = Runner(_Recorder(), 100).run(frame_type, header())
    assert isinstance(result, list)
    assert result[0] == "InvalidFrameType"


@pytest.mark.parametrize("raw", [b"", b"\xff", header() + b"\x00"])
def test_a_malformed_header_fails(raw: bytes) -> None:
    """A header that the host should have refused is a failed result."""
    result = Runner(_Recorder(), 100).run(0x52, raw)
    assert isinstance(result, list)
    assert result[0] == "FrameError"


def test_headers_may_be_longer_than_the_default_limit() -> None:
    """The host's limit is configurable, so the worker adds none of its own."""
    assert doing(lambda frame: b"%d" % len(frame.data)).run(0x52, header(b"x" * 100_000)) == b"100000"


@pytest.mark.parametrize("reply", [b"0123456789", bytearray(b"0123456789"), memoryview(b"0123456789")])
def test_a_reply_may_be_any_bytes_of_the_limit(reply: object) -> None:
    """Bytes, bytearray and memoryview are replies, up to the limit."""
    assert doing(lambda _: reply).run(0x52, header()) == b"0123456789"


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        ("text", ["TypeError", "handler returned str: expected bytes or None"]),
        (0, ["TypeError", "handler returned int: expected bytes or None"]),
        (b"x" * 11, ["ReplyTooLarge", "reply of 11 bytes: the limit is 10"]),
    ],
)
def test_other_replies_fail(reply: object, result: list[str]) -> None:
    """A reply of another type or beyond the limit fails the frame, and the text says why."""
    assert doing(lambda _: reply).run(0x52, header()) == result


def raising(error: BaseException) -> Callable[[Frame], None]:
    """Make a handler that raises ``error``."""

    def handler(frame: Frame) -> None:
        raise error

    return handler


def released() -> memoryview:
    """Make a view that nothing can be read from any more."""
    with memoryview(b"gone") as view:
        return view


class _Faceless:
    @property
    def __class__(self) -> Any:
        raise ValueError("no class")

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class _NamelessType(type):
    @property
    def __name__(cls) -> str:
        raise SystemExit


class _Nameless(Exception, metaclass=_NamelessType):
    pass


@pytest.mark.parametrize(
    ("make", "result"),
    [
        (released, ["ValueError", "operation forbidden on released memoryview object"]),
        (_Faceless, ["ValueError", "no class"]),
    ],
)
def test_a_reply_that_can_not_be_read_fails_its_frame(make: Callable[[], object], result: list[str]) -> None:
    """Whatever happens when a reply is looked at happens to its frame, alone or within a batch."""
    reply = make()
    assert doing(lambda _: reply).run(0x52, header()) == result
    assert Runner(_Batching(lambda _: [reply, b"fine"]), 10).run_batch([(0x52, header())] * 2) == [result, b"fine"]


def test_bytes_of_the_plugins_own_kind_are_bytes() -> None:
    """A subclass of bytes is a reply by its content, whatever its methods say."""
    odd = type("Odd", (bytes,), {"__bytes__": lambda _: None, "__len__": lambda _: 1 / 0})(b"content")
    reply = doing(lambda _: odd).run(0x52, header())
    assert (type(reply), reply) == (bytes, b"content")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        MemoryError("bad"),
        RecursionError("bad"),
        StopIteration("bad"),
        GeneratorExit("bad"),
        asyncio.CancelledError("bad"),
        BaseException("bad"),
        _Nameless("bad"),
    ],
    ids=lambda error: type.__dict__["__name__"].__get__(type(error)),
)
def test_an_exception_fails_its_frame_alone(error: BaseException) -> None:
    """A handler's exception becomes a failed result with its type and text."""
    name = type.__dict__["__name__"].__get__(type(error))
    assert doing(raising(error)).run(0x52, header()) == [name, "bad"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_is_not_caught(error: type[BaseException]) -> None:
    """SystemExit and KeyboardInterrupt go through, to end the worker."""
    with pytest.raises(error):
        doing(raising(error())).run(0x52, header())


class _Batching(Plugin):
    """Replies to a batch with what ``answer`` makes of its data, and to other frames with their data."""

    def __init__(self, answer: Callable[[list[bytes]], Any]) -> None:
        self.answer = answer
        self.batches: list[list[bytes]] = []

    def on_batch(self, frames: Sequence[Frame]) -> Sequence[bytes | None]:
        self.batches.append([frame.data for frame in frames])
        replies: Sequence[bytes | None] = self.answer(self.batches[-1])
        return replies

    def on_control(self, frame: Frame) -> bytes:
        return frame.data


def test_runs_of_data_frames_go_together() -> None:
    """run_length() counts the data frames up to the next frame of another type."""
    runner = Runner(_Batching(list), 10)
    items = [(frame_type, header()) for frame_type in (0x52, 0x52, 0x53, 0x52)]
    assert [runner.run_length(items, start) for start in range(5)] == [2, 1, 0, 1, 0]
    assert runner.run_length([(0x52, header())] * (MAX_RUN + 9), 7) == MAX_RUN
    assert runner.takes_batches


def test_without_on_batch_nothing_goes_together() -> None:
    """A plugin that defines no on_batch gets every frame on its own."""
    runner = Runner(Plugin(), 10)
    assert not runner.takes_batches
    assert runner.run_length([(0x52, header())], 0) == 0


@given(st.lists(st.binary(max_size=12) | st.none(), min_size=1, max_size=8))
def test_a_batch_has_one_result_for_each_frame(datas: list[bytes | None]) -> None:
    """Results are in the frames' order; malformed headers and long replies fail alone (None: malformed)."""
    plugin = _Batching(list)
    results = Runner(plugin, 10).run_batch([(0x52, b"" if data is None else header(data)) for data in datas])
    kinds = [result if isinstance(result, bytes) else result and result[0] for result in results]
    long_or = {True: "ReplyTooLarge"}
    assert kinds == ["FrameError" if data is None else long_or.get(len(data) > 10, data) for data in datas]
    assert sum(map(len, plugin.batches)) == sum(data is not None for data in datas)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (lambda datas: 1 / 0, ["ZeroDivisionError", "division by zero"]),
        (lambda datas: None, ["TypeError", "'NoneType' object is not iterable"]),
        (lambda datas: [None], ["ValueError", "on_batch returned 1 replies for 2 frames"]),
        (lambda datas: ["a", "b"], ["TypeError", "handler returned str: expected bytes or None"]),
    ],
)
def test_a_batch_that_goes_wrong_fails_each_frame(answer: Callable[[list[bytes]], Any], result: list[str]) -> None:
    """When on_batch raises or returns what it must not, every frame of the run fails."""
    assert Runner(_Batching(answer), 10).run_batch([(0x52, header())] * 2) == [result, result]


class _Emptying(Plugin):
    """Takes its frames out of the list that it is given."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def on_batch(self, frames: list[Frame]) -> list[bytes]:  # type: ignore[override]  # as an author may
        replies = []
        while frames:
            replies.append(frames.pop(0).data)
        if self.fails:
            raise ValueError("empty")
        return replies


def test_a_batch_is_the_plugins_own_list() -> None:
    """Whatever it does to the list, each frame has its result."""
    items = [(0x52, header(b"a")), (0x52, header(b"b"))]
    assert Runner(_Emptying(fails=False), 10).run_batch(items) == [b"a", b"b"]
    assert Runner(_Emptying(fails=True), 10).run_batch(items) == [["ValueError", "empty"]] * 2


def test_unload_reports_what_on_unload_raises() -> None:
    """unload() returns None, or the error as text."""

    class Stuck(Plugin):
        def on_unload(self) -> None:
            raise ValueError("stuck")

    class Leaving(Plugin):
        def on_unload(self) -> None:
            raise SystemExit

    with pytest.raises(SystemExit):
        Runner(Leaving(), 10).unload()
    assert Runner(Plugin(), 10).unload() is None
    assert Runner(Stuck(), 10).unload() == "ValueError: stuck"


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write a bundle's modules, given as ``name=source``, into a directory of its own, and return that."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)

    def write(**sources: str) -> str:
        directory = tmp_path / f"bundle{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        for name, source in sources.items():
            (directory / f"{name}.py").write_text("from nyx_plugins.plugins import Plugin\n" + source)
        return str(directory)

    yield write
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_loading_calls_on_load_with_the_context(bundle: Callable[..., str]) -> None:
    """load_plugin() makes an instance, sets ctx, and calls on_load."""
    source = "class P(Plugin):\n    def on_load(self, ctx):\n        self.seen = (ctx.name, self.ctx is ctx)"
    plugin = load_plugin(bundle(loaded=source), "loaded:P", context(), private=True)
    assert plugin.seen == ("one", True)  # type: ignore[attr-defined]  # the bundle's own attribute


@pytest.mark.parametrize(
    ("entry_point", "error", "text"),
    [
        ("mod", ImportError, "'mod' is not of the form 'module:Class'"),
        (":P", ImportError, "not of the form"),
        ("nothing:P", ImportError, "there is no module 'nothing' in the bundle"),
        ("mod:Q", ImportError, "module 'mod' has no 'Q'"),
        ("mod:value", TypeError, "not a subclass of nyx_plugins.plugins.Plugin"),
        ("mod:Other", TypeError, "not a subclass"),
        ("mod:Plugin", None, ""),
        ("wrong:P", SyntaxError, "wrong.py"),
        ("needy:P", ModuleNotFoundError, "No module named 'no_such_module'"),
    ],
)
def test_entry_points(bundle: Callable[..., str], entry_point: str, error: type[Exception] | None, text: str) -> None:
    """An entry point that names no plugin class is refused with what is wrong with it."""
    directory = bundle(mod="value = 3\nclass Other: pass", wrong="class", needy="import no_such_module")
    if error is None:
        load_plugin(directory, entry_point, context(), private=True)
        return
    with pytest.raises(error, match=text):
        load_plugin(directory, entry_point, context(), private=True)


def test_private_bundles_may_have_modules_of_the_same_name(bundle: Callable[..., str]) -> None:
    """With private=True two bundles load side by side, and leave sys.path and sys.modules as they were."""
    source = "import helper\nclass P(Plugin):\n    def on_data(self, frame):\n        return helper.NAME"
    path = list(sys.path)
    runners = [
        Runner(load_plugin(bundle(plugin=source, helper=f"NAME = {name!r}"), "plugin:P", context(), private=True), 10)
        for name in (b"first", b"second")
    ]
    assert [runner.run(0x52, header()) for runner in runners] == [b"first", b"second"]
    assert sys.path == path
    assert "plugin" not in sys.modules
    assert "helper" not in sys.modules


def test_a_bundle_that_fails_to_load_leaves_nothing(bundle: Callable[..., str]) -> None:
    """When on_load raises, the bundle's modules and its place on sys.path are gone again."""
    path = list(sys.path)
    with pytest.raises(ZeroDivisionError):
        load_plugin(
            bundle(broken="class P(Plugin):\n    def on_load(self, ctx): 1 / 0"), "broken:P", context(), private=True
        )
    assert sys.path == path
    assert "broken" not in sys.modules
