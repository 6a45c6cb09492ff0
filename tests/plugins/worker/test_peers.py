"""What a plugin gets when it sends frames to other plugins: replies, and the errors that applications get."""

from __future__ import annotations

import enum
import pickle
from typing import Any

import pytest

from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.plugins.errors import DependencyMissing, DispatchTimeout, MailboxFull, PermissionDenied
from nyx_plugins.plugins.sdk import Context
from nyx_plugins.plugins.worker.peers import Peers, described, error_of
from nyx_plugins.plugins.worker.protocol import REPLIED, SEND, UNDELIVERED, MessageReader, ProtocolError, encode


class Actor:
    """Answers with what it was told to, and keeps what was asked."""

    def __init__(self, *answer: Any) -> None:
        self.asked: list[Any] = []
        self._answer = list(answer)

    def __call__(self, *request: Any) -> list[Any]:
        """Answer."""
        self.asked.append(request)
        return self._answer


def context(*answer: Any) -> tuple[Context, Actor]:
    """Make a context whose frames are answered like this."""
    actor = Actor(*answer)
    made = Context(
        7,
        "p",
        {},
        emit=lambda *_: None,
        log=lambda *_: None,
        max_emit_bytes=10,
        peers=lambda: Peers(actor, 10),
    )
    return made, actor


def test_send_and_request_say_what_is_wanted() -> None:
    """Bytes are copied, times are milliseconds; without a time the system's counts."""
    ctx, actor = context(REPLIED, 1, b"reply")
    data = bytearray(b"one")
    assert ctx.request("geo", data, timeout=1.5) == b"reply"
    data[:] = b"two"
    assert ctx.send(4, memoryview(data), frame_type=0x53, flags=1) is None  # type: ignore[func-returns-value]
    assert actor.asked == [
        (SEND, "geo", 0x52, 0, b"one", 1500, True),
        (SEND, 4, 0x53, 1, b"two", None, False),
    ]


class Number(enum.IntEnum):
    """What an author may call an id, a type and flags."""

    GEO, NEWS, URGENT = 4, 0x55, 1


class Name(enum.StrEnum):
    """What an author may call a plugin."""

    GEO = "geo"


def test_plain_values_travel() -> None:
    """Members of enumerations are sent as what they stand for, as a transport that encodes nothing needs it."""
    ctx, actor = context(REPLIED, 1, None)
    for peer in Number.GEO, Name.GEO:
        ctx.request(peer, b"", frame_type=Number.NEWS, flags=Number.URGENT)
    assert actor.asked == [(SEND, peer, 0x55, 1, b"", None, True) for peer in (4, "geo")]
    assert [[type(field) for field in asked[1:4]] for asked in actor.asked] == [[int] * 3, [str, int, int]]


@pytest.mark.parametrize(
    ("plugin", "data", "options", "error", "text"),
    [
        (b"geo", b"", {}, TypeError, "by its name (str) or its id (int), not by bytes"),
        (True, b"", {}, TypeError, "not by bool"),
        ("", b"", {}, ValueError, "plugin name of 0 characters: must have 1 to 64"),
        ("x" * 65, b"", {}, ValueError, "of 65 characters"),
        (-1, b"", {}, ValueError, "plugin id -1 is not in 0 to 4,294,967,295"),
        ("geo", "text", {}, TypeError, "data must be bytes, not str"),
        ("geo", b"x" * 11, {}, ValueError, "data of 11 bytes: the limit is 10"),
        ("geo", b"", {"frame_type": 0x60}, ValueError, "frame type 0x60 is not in 0x50 to 0x5f"),
        ("geo", b"", {"frame_type": "data"}, TypeError, "frame type must be an int, not str"),
        ("geo", b"", {"flags": 256}, ValueError, "flags 0x100 is not in 0x0 to 0xff"),
        ("geo", b"", {"timeout": -1}, ValueError, "timeout -1 s is not in 0 to 3,600"),
        ("geo", b"", {"timeout": float("nan")}, ValueError, "timeout nan s"),
        ("geo", b"", {"timeout": "1"}, TypeError, "timeout must be seconds or None, not str"),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(
    plugin: Any, data: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    """Argument errors name the argument and what it may be."""
    ctx, actor = context(REPLIED, 1, None)
    for verb in (ctx.send, ctx.request):
        with pytest.raises(error) as caught:
            verb(plugin, data, **options)
        assert text in str(caught.value)
    assert actor.asked == []


def test_a_context_without_a_runtime_reaches_nobody() -> None:
    """It says so."""
    alone = Context(7, "p", {}, emit=lambda *_: None, log=lambda *_: None, max_emit_bytes=10)
    with pytest.raises(RuntimeError, match="reaches no other plugin"):
        alone.send("geo", b"")


@pytest.mark.parametrize(
    "error",
    [
        MailboxFull(1, 5, 5, "bytes"),
        PermissionDenied(7, "inter_plugin", 0x52),
        DependencyMissing(7, ["geo >=1 (not loaded)"]),
        DispatchTimeout(None, "an outcome", 0.5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_as_what_it_is(error: NyxPluginError) -> None:
    """Class, text and attributes survive the way to the worker, also in a pickle."""
    [message] = MessageReader().feed(encode([UNDELIVERED, 1, *described(error)]))
    ctx, _ = context(*message)
    with pytest.raises(type(error)) as caught:
        ctx.request("geo", b"")
    for one in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (type(one), str(one), vars(one)) == (type(error), str(error), vars(error))


def test_what_can_not_travel_stays_behind() -> None:
    """An attribute that is no plain value is there, and ``None``."""
    error = DispatchTimeout(1, "an outcome", 0.5)
    error.receipt = object.__new__(Receipt)
    assert error_of(*described(error)).receipt is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["Exception", "TYPE_CHECKING", "Iterable", "nothing"])
def test_an_error_of_another_kind_is_a_breach(name: str) -> None:
    """Only errors of this package are made of what arrives."""
    with pytest.raises(ProtocolError, match="none of this package"):
        error_of(name, "text", {})
