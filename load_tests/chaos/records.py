"""What clients and workers write down, each into a file of its own, and how it is read after they have been killed."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .busy_plugin import BEGUN, RECORD

DATA, CONTROL = 0, 1
"""The classes of frames: order holds within each."""
WRONG_REPLY, REPLY_LOST = "wrong reply", "reply lost"
"""Causes of what was processed: of these, the second is what a crash may do."""


class Told(enum.IntEnum):
    """What a client writes down of a frame; the later ones end it."""

    OFFERED = 1
    """Before it is sent; whatever else happens is written down after it was told."""
    ACCEPTED = 2
    REFUSED = 3
    PROCESSED = 4
    FAILED = 5
    DEAD_LETTERED = 6
    UNKNOWN = 7
    """The system stopped."""
    LEFT = 8
    """Of no frame: the client has left in order; ``cause`` says whether it had every outcome."""


class Line(NamedTuple):
    """One record of a client; ``cause`` (at most 24 bytes) says why, ``time_ns`` when (monotonic)."""

    told: Told
    rank: int
    plugin: int
    key: int
    number: int
    time_ns: int
    wish: int = 0
    cause: str = ""


class Turn(NamedTuple):
    """One record of a worker: it begins a frame, or has ended it."""

    begun: bool
    rank: int
    client: int
    number: int
    key: int
    time_ns: int


_LINE = struct.Struct("<BBHIQQB24s")


def pack(line: Line) -> bytes:
    """Return a client's record in bytes."""
    cause = line.cause.encode()[:24]
    return _LINE.pack(line.told, line.rank, line.plugin, line.key, line.number, line.time_ns, line.wish, cause)


def lines(content: bytes) -> Iterator[Line]:
    """Read a client's records; what it was killed over is left out."""
    for told, rank, plugin, key, number, time_ns, wish, cause in _LINE.iter_unpack(_whole(content, _LINE.size)):
        yield Line(Told(told), rank, plugin, key, number, time_ns, wish, cause.rstrip(b"\0").decode())


def turns(content: bytes) -> Iterator[Turn]:
    """Read a worker's records; what it was killed over is left out."""
    for kind, *rest in RECORD.iter_unpack(_whole(content, RECORD.size)):
        yield Turn(kind == BEGUN, *rest)


def worker_files(folder: Path) -> dict[int, list[Path]]:
    """Return the files of all workers, by plugin, in the order in which they were begun."""
    found: dict[int, list[tuple[int, Path]]] = {}
    for path in folder.iterdir():
        plugin, begun_ns, _ = map(int, path.name.split("-"))
        found.setdefault(plugin, []).append((begun_ns, path))
    return {plugin: [path for _, path in sorted(files)] for plugin, files in found.items()}


def _whole(content: bytes, size: int) -> bytes:
    return content[: len(content) // size * size]
