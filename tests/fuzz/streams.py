"""Byte streams as somebody hostile would write them: messages of the worker protocol, and what can be done to them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from nyx_plugins.plugins.worker import protocol

MAX_MESSAGES = 6
EDGES = [0, 1, 2, 23, 24, 255, 256, 65_535, 65_536, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1]
LENGTHS = [0, 1, 2, 65_535, 2**24, 2**31, 2**32 - 1]
TEXTS = ["", "a", "é€\U0001f600", "\0", "\x1b[2J", "x" * 300, "localhost", "a..b", "[::1", "." * 255]
PATHS = [b"", b"/", b"/etc/passwd", b"/\xff\0", b"..", b"/" + b"a" * 5_000]


class Raw(bytes):
    """Bytes that stand in a message as they are."""


class Writer:
    """Writes messages and streams with what ``random`` chooses; the same choices give the same bytes."""

    def __init__(self, random: Random) -> None:
        self._random = random

    # Values.

    def number(self) -> int:
        """Choose a number, small or at an edge."""
        return self._random.choice([self._random.randint(0, 40), self._random.choice(EDGES)])

    def octets(self) -> bytes:
        """Choose a few bytes."""
        return bytes(self._random.choices(range(256), k=self._random.choice([0, 1, 5, 60])))

    def text(self) -> str:
        """Choose a text."""
        return self._random.choice(TEXTS)

    def oddity(self) -> Raw:
        """Choose an item that has no place in any message."""
        keys = (bytes((0x20 + self._random.randint(0, 1),)) for _ in range(8))
        return Raw(
            self._random.choice(
                [
                    *(
                        b"\xf9\x7e\0",
                        b"\xfb" + struct.pack(">d", float("nan")),
                        b"\xf9\x7c\0",
                        b"\xf4",
                        b"\xf7",
                        b"\xf8\xff",
                    ),
                    *(b"\x18\x01", b"\x1b" + bytes(7) + b"\x0d", b"\x3b" + b"\xff" * 8, b"\x1c", b"\xff"),
                    *(b"\x5f\x41a\x41b\xff", b"\x9f\x01\xff", b"\xbf\xff", b"\x7f\xff", b"\xa0", b"\xa1\0\0"),
                    *(b"\xa1\x88" + b"".join(keys) + b"\0", b"\xa1" + self._written("k" * 2_000) + b"\0"),
                    *(
                        b"\xc1\0",
                        b"\xc2\x49" + b"\xff" * 9,
                        b"\xd8\x1c\x81\xd8\x1d\0",
                        b"\xd8\x23\x63(a+",
                        b"\xd9\xd9\xf7\0",
                    ),
                    *(b"\x5b" + b"\xff" * 8, b"\x9b" + b"\x7f" * 8, b"\xbb" + b"\xff" * 8, b"\x7b\0\0\0\0\xff\0\0\0"),
                    *(b"\x81" * self._random.choice([3, 5, 200, 3_000]) + b"\0", b"\x61\xff", b"\x63\xed\xa0\x80"),
                    b"\x99\x20\x00" + self._random.choice([b"\x80", b"\xa0", b"\xf6", b"\x60"]) * 8_192,
                ]
            )
        )

    def _result(self) -> Any:
        return self._random.choice([None, self.octets(), [self.text(), self.text()]])

    def _several(self, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self._random.choice([0, 1, 2, 7]))]

    def from_worker(self) -> list[Any]:
        """Choose a message that a worker might send."""
        number, text = self.number, self.text
        messages: list[Callable[[], list[Any]]] = [
            lambda: [protocol.READY],
            lambda: [protocol.START_FAILED, text(), text()],
            lambda: [protocol.DONE, number(), self._several(self._result), number()],
            lambda: [protocol.DONE, number(), self._random.choice([0, 1, 7, number()]), number()],
            lambda: [protocol.EMIT, self._several(lambda: [number(), number(), self.octets()])],
            lambda: [protocol.LOG, self._several(lambda: [number(), text()])],
            lambda: [protocol.STOPPED, self._random.choice([None, text()])],
            lambda: [protocol.CONNECT, number(), text(), number(), number()],
            lambda: [protocol.OPEN, number(), self._random.choice(PATHS), number()],
            lambda: [protocol.SNAPSHOT_PART, self.octets()],
            lambda: [protocol.SNAPSHOT_DONE, self._random.choice([None, number()])],
            lambda: [protocol.STATE_TAKEN],
            lambda: [protocol.RESTORED],
            lambda: [protocol.SWAP_FAILED, self._random.choice([*protocol.SWAP_STEPS, text()]), text(), text()],
            lambda: [
                *(protocol.SEND, number(), self._random.choice([text(), number()]), number(), number(), self.octets()),
                *(self._random.choice([None, number()]), self._random.choice([Raw(b"\xf4"), Raw(b"\xf5"), number()])),
            ],
        ]
        return self._random.choice(messages)()

    def from_host(self) -> list[Any]:
        """Choose a message that a host might send."""
        number, text = self.number, self.text
        messages: list[Callable[[], list[Any]]] = [
            lambda: [protocol.START, Raw(b"\xa1" + self._written(text()) + self._written(number()))],
            lambda: [protocol.BATCH, number(), self.octets(), self.octets(), self.octets()],
            lambda: [protocol.STOP],
            lambda: [protocol.GRANTED, number()],
            lambda: [protocol.REFUSED, number(), number(), number(), text()],
            lambda: [protocol.SNAPSHOT],
            lambda: [protocol.RESTORE, number(), self._random.choice([None, self.octets()])],
            lambda: [protocol.REPLIED, number(), self._random.choice([None, self.octets()])],
            lambda: [protocol.UNDELIVERED, number(), text(), text(), Raw(b"\xa0")],
        ]
        return self._random.choice(messages)()

    # Bytes.

    def _written(self, value: Any) -> bytes:
        match value:
            case Raw():
                return bytes(value)
            case None:
                return b"\xf6"
            case int():
                return self._head(0, value)
            case bytes():
                return self._head(2, len(value)) + value
            case str():
                return self._head(3, len(value.encode())) + value.encode()
        return self._head(4, len(value)) + b"".join(map(self._written, value))

    def _head(self, major: int, argument: int) -> bytes:
        """Write the head of an item, now and then longer than it need be."""
        widths = [(24, 1), (25, 2), (26, 4), (27, 8)]
        fitting = [(info, width) for info, width in widths if argument < 1 << 8 * width]
        info, width = fitting[0] if self._random.randint(0, 9) else self._random.choice(fitting)
        if argument < 24 and self._random.randint(0, 19):
            return bytes((major << 5 | argument,))
        return bytes((major << 5 | info,)) + argument.to_bytes(width, "big")

    def _bent(self, message: list[Any]) -> list[Any]:
        """Do something to the fields of a message."""
        place = self._random.randint(0, len(message) - 1)
        match self._random.randint(0, 7):
            case 0:
                return [*message[:place], self.oddity(), *message[place + 1 :]]
            case 1:
                return [*message[:place], self.number(), *message[place + 1 :]]
            case 2:
                return message[:-1]
            case 3:
                return [*message, self._random.choice([message, self.oddity(), None])]
            case 4 if isinstance(message[-1], list) and message[-1]:
                return [*message[:-1], [*message[-1], self._bent(message[-1])]]
        return message

    def _damaged(self, body: bytes) -> bytes:
        """Do something to the bytes of a message."""
        place = self._random.randint(0, max(0, len(body) - 1))
        match self._random.randint(0, 11):
            case 0:
                return body[:place]
            case 1:
                return body * self._random.choice([2, 50])
            case 2:
                return body[:place] + bytes((self._random.randint(0, 255),)) + body[place + 1 :]
            case 3:
                return body[:place] + self.oddity() + body[place:]
            case 4:
                return self.octets()
        return body

    def _framed(self, body: bytes) -> bytes:
        length = len(body) if self._random.randint(0, 19) else self._random.choice(LENGTHS)
        return length.to_bytes(4, "big") + body

    def stream(self, message: Callable[[], list[Any]]) -> bytes:
        """Write a few messages, most of them bent or damaged, one after the other."""
        count = self._random.randint(1, MAX_MESSAGES)
        stream = b"".join(self._framed(self._damaged(self._written(self._bent(message())))) for _ in range(count))
        return self.octets() + stream if self._random.randint(0, 29) == 0 else stream

    def pieces(self, stream: bytes) -> Sequence[bytes]:
        """Cut a stream anywhere, or everywhere."""
        if len(stream) < 2_000 and self._random.randint(0, 3) == 0:
            return [stream[place : place + 1] for place in range(len(stream))]
        cuts = sorted(self._random.randint(0, len(stream)) for _ in range(self._random.randint(0, 5)))
        return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
