"""The frequent messages as the plain values that they consist of, for a transport that writes those down faster."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ..frames import Frames, NewFrame
from .to_dispatcher import ReturnCredit, Submit, WantCredit
from .to_plugin import Enqueue
from .to_session import Accepted, CreditGranted, Settled
from .values import Batch, DeliverySeen

Form = tuple[type, Callable[[Any], Any], Callable[[Any], Any]]
"""A class of messages, what makes values of one, and what makes one of its values."""


def _flat(kind: type) -> Form:
    """Of a class whose fields are all arguments of its constructor, at least two."""
    return kind, attrgetter(*kind.__match_args__), lambda values: kind(*values)  # type: ignore[attr-defined]


def _columns(frames: Frames | tuple[NewFrame, ...]) -> tuple[Any, ...]:
    return (frames if isinstance(frames, Frames) else Frames.of(frames)).columns()


def _pack_submit(message: Submit) -> tuple[Any, ...]:
    batches = [
        (each.plugin_id, each.epoch, _columns(each.frames), each.extras, each.settled_until, each.is_awaited)
        for each in message.batches
    ]
    return message.session, batches, message.refusals


def _unpack_submit(values: tuple[Any, ...]) -> Submit:
    session, batches, refusals = values
    made = [Batch(plugin_id, epoch, Frames(*columns), *rest) for plugin_id, epoch, columns, *rest in batches]
    return Submit(session, tuple(made), refusals)


def _pack_enqueue(message: Enqueue) -> tuple[Any, ...]:
    return (
        message.session,
        _columns(message.frames),
        message.extras,
        message.settled_until,
        message.dispatcher_epoch,
        message.is_awaited,
    )


def _unpack_enqueue(values: tuple[Any, ...]) -> Enqueue:
    session, columns, *rest = values
    return Enqueue(session, Frames(*columns), *rest)


SHORT_FORMS: tuple[Form, ...] = (
    (Submit, _pack_submit, _unpack_submit),
    (Enqueue, _pack_enqueue, _unpack_enqueue),
    *map(_flat, (Accepted, Settled, DeliverySeen, ReturnCredit, WantCredit, CreditGranted)),
)
