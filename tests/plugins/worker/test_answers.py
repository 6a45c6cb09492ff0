"""What the host believes of a worker."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.worker.answers import (
    Answer,
    Connect,
    Done,
    Emit,
    Emitted,
    Ending,
    Log,
    LogLine,
    Open,
    Ready,
    Restored,
    Send,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    StateTaken,
    Stopped,
    SwapFailed,
    check_from_worker,
)
from nyx_plugins.plugins.worker.protocol import ProtocolError

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 300), st.floats(), st.binary(max_size=4), st.text("xé", max_size=4)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.just("k"), inner, max_size=2)
)


def check(message: list[Any]) -> Answer | Ending:
    """Check with limits that are small enough to exceed."""
    return check_from_worker(message, max_reply_bytes=10, max_results=3)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ([11], Ready()),
        ([12, "ValueError", "no"], StartFailed("ValueError", "no")),
        ([13, 2**64 - 1, [], 0], Done(2**64 - 1, [], 0)),
        ([13, 5, [None, b"x" * 10, ["KeyError", "k"]], 7], Done(5, [None, b"x" * 10, ["KeyError", "k"]], 7)),
        ([13, 5, 3, 7], Done(5, [None, None, None], 7)),
        ([14, [[0x52, 255, b"x"]]], Emit((Emitted(0x52, 255, b"x"),))),
        ([14, [[0x50, 0, b""], [0x5F, 0, b""]]], Emit((Emitted(0x50, 0, b""), Emitted(0x5F, 0, b"")))),
        ([15, [[20, "hello"], [40, ""]]], Log((LogLine(20, "hello"), LogLine(40, "")))),
        ([16, None], Stopped(None)),
        ([25, "KeyboardInterrupt"], Ending("KeyboardInterrupt")),
        ([16, "ValueError: bye"], Stopped("ValueError: bye")),
        ([17, 2**64 - 1, "h" * 255, 0xFFFF, 3_600_000], Connect(2**64 - 1, "h" * 255, 0xFFFF, 3_600_000)),
        ([18, 1, b"/" * 4096, 0], Open(1, b"/" * 4096, 0)),
        ([19, b"x" * 262_144], SnapshotPart(b"x" * 262_144)),
        ([20, None], SnapshotDone(None)),
        ([20, 2**32 - 1], SnapshotDone(2**32 - 1)),
        ([21], Restored()),
        ([24], StateTaken()),
        ([22, "on_ready", "ValueError", "no"], SwapFailed("on_ready", "ValueError", "no")),
        ([23, 1, "geo", 0x52, 0, b"x" * 10, None, True], Send(1, "geo", 0x52, 0, b"x" * 10, None, True)),
        ([23, 1, 2**32 - 1, 255, 255, b"", 3_600_000, False], Send(1, 2**32 - 1, 255, 255, b"", 3_600_000, False)),
    ],
)
def test_good_answers_get_a_type(message: list[Any], answer: Answer) -> None:
    """Each message of an honest worker becomes a value of its own type."""
    assert check(message) == answer
    assert type(check(message)) is type(answer)


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ([99], "begins with 99"),
        ([19], "1 items that begins with 19"),
        ([13, 5, 4, 7], "number of results 4 is not in 0 to 3"),
        ([13, 5, -1, 7], "number of results -1 is not in 0 to 3"),
        ([13, 5, True, 7], "number of results is bool"),
        ([19, "text"], "piece of state is str"),
        ([19, b""], "piece of state of 0 bytes"),
        ([19, b"x" * 262_145], "piece of state of 262,145 bytes: it must have 1 to 262,144"),
        ([19, [[]]], "piece of state is list"),
        ([20, True], "state version is bool"),
        ([20, -1], "state version -1 is not in 0 to"),
        ([20, 2**32], "is not in 0 to"),
        ([20, 1, b""], "3 items that begins with 20"),
        ([21, None], "2 items that begins with 21"),
        ([24, None], "2 items that begins with 24"),
        ([22, "on_load", "E", ""], "step is str"),
        ([22, ["restore"], "E", ""], "step is list"),
        ([22, "restore", "E" * 201, ""], "error type of 201 characters"),
        ([22, "restore", "E", 3], "error text is 3"),
        ([23, 1, "geo", 0x52, 0, b"", None], "frame for another plugin of 7 items"),
        ([23, -1, "geo", 0x52, 0, b"", None, True], "request id -1"),
        ([23, 1, b"geo", 0x52, 0, b"", None, True], "plugin is bytes"),
        ([23, 1, "g" * 65, 0x52, 0, b"", None, True], "plugin of 65 characters: the limit is 64"),
        ([23, 1, 2**32, 0x52, 0, b"", None, True], "plugin id 4294967296 is not in"),
        ([23, 1, True, 0x52, 0, b"", None, True], "plugin is bool"),
        ([23, 1, "geo", 256, 0, b"", None, True], "frame type 256"),
        ([23, 1, "geo", 0x52, 256, b"", None, True], "flags 256"),
        ([23, 1, "geo", 0x52, 0, "x", None, True], "frame data is str"),
        ([23, 1, "geo", 0x52, 0, b"x" * 11, None, True], "frame of 11 bytes: the limit is 10"),
        ([23, 1, "geo", 0x52, 0, b"", 3_600_001, True], "timeout 3600001"),
        ([23, 1, "geo", 0x52, 0, b"", None, 1], "wants_reply is 1"),
        (["READY"], "begins with str"),
        ([True], "begins with bool"),
        ([11, 1], "2 items that begins with 11"),
        ([12, "ValueError"], "2 items"),
        ([12, "ValueError", 3], "error text is 3"),
        ([12, "E" * 201, ""], "error type of 201 characters: the limit is 200"),
        ([12, "E", "x" * 2001], "error text of 2,001 characters: the limit is 2,000"),
        ([13, True, [], 0], "index is bool"),
        ([13, 0, [], -1], "time -1 is not in 0 to"),
        ([13, 0, [], 0.5], "time is float"),
        ([13, 0, []], "3 items that begins with 13"),
        ([13, -1, [], 0], "index -1 is not in 0 to"),
        ([13, 2**64, [], 0], "is not in 0 to"),
        ([13, 0, {}, 0], "4 items that begins with 13"),
        ([13, 0, [None] * 4, 0], "4 results: the limit is 3"),
        ([13, 0, [b"x" * 11], 0], "reply of 11 bytes: the limit is 10"),
        ([13, 0, ["text"], 0], "result is str"),
        ([13, 0, [[]], 0], "result is list"),
        ([13, 0, [["E", None]], 0], "error text is NoneType"),
        ([25, None], "reason is NoneType"),
        ([25, "x" * 2_001], "reason of 2,001 characters: the limit is 2,000"),
        ([14, [[0x52, 0]]], "emitted frame is list"),
        ([14, [[0x4F, 0, b""]]], "frame type 79 is not in 80 to 95"),
        ([14, [[0x60, 0, b""]]], "frame type 96 is not in 80 to 95"),
        ([14, [[256, 0, b""]]], "frame type 256"),
        ([14, [[0x52, 256, b""]]], "flags 256"),
        ([14, [[0x52, 0, "x"]]], "emit data is str"),
        ([14, [[0x52, 0, b"x" * 11]]], "emit of 11 bytes: the limit is 10"),
        ([14, [[0x52, 0, b""]] * 1025], "1,025 emitted frames: the limit is 1,024"),
        ([15, [["INFO", "x"]]], "log level is str"),
        ([15, [[20, b"x"]]], "log text is bytes"),
        ([15, [[20, "x" * 8001]]], "log text of 8,001 characters"),
        ([15, [[20, "x"]] * 1025], "1,025 log lines"),
        ([16], "1 items"),
        ([16, b"x"], "error text is bytes"),
        ([17, 1, "h", 80], "request of 4 items that begins with 17"),
        ([17, -1, "h", 80, 1], "request id -1"),
        ([17, 1, b"h", 80, 1], "host is bytes"),
        ([17, 1, "h" * 256, 80, 1], "host of 256 characters: the limit is 255"),
        ([17, 1, "h", 65_536, 1], "port 65536 is not in 0 to 65535"),
        ([17, 1, "h", 80, 3_600_001], "timeout 3600001"),
        ([17, 1, "h", 80, 1.5], "timeout is float"),
        ([18], "request of 1 items"),
        ([18, True, b"/f", 0], "request id is bool"),
        ([18, 1, "/f", 0], "path is str"),
        ([18, 1, b"/" * 4097, 0], "path of 4,097 bytes: the limit is 4,096"),
        ([18, 1, b"/f", 3], "flags 0x3 are not those of a file"),
        ([18, 1, b"/f", os.O_DIRECTORY], "are not those of a file"),
        ([18, 1, b"/f", 2**40], "flags 1099511627776 is not in"),
    ],
)
def test_bad_answers_are_refused(message: list[Any], what: str) -> None:
    """Anything else is refused, and the error says what was found and what the limit is."""
    with pytest.raises(ProtocolError, match=what):
        check(message)


@given(st.integers(10, 19), st.lists(values, max_size=3))
def test_any_message_is_an_answer_or_refused(kind: int, rest: list[Any]) -> None:
    """Whatever a worker puts into a message, nothing but ProtocolError is raised."""
    try:
        answer = check([kind, *rest])
    except ProtocolError:
        return
    assert isinstance(answer, Answer)
