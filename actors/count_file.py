"""Numbers in a file that survives its writer, who may be killed with ``kill -9`` at any instruction.

Each number has an owner and a name, and is changed by one aligned 8-byte store. What concerns several numbers at once
is written to a new file, which then takes the place of the old one.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from .ring_file import Pages

NAME_BYTES = 48
ROW = 16 + NAME_BYTES
ROWS = 16_384
"""As many numbers as there can be. The file is sparse: those that there are not take no room."""
PORTION = ROW * 256
"""So much room on the disk, in bytes, the numbers have from the start, where there is some."""
_FORM = struct.Struct(f"=QQ{NAME_BYTES}s")
_WORD = 1 << 64

Key: TypeAlias = tuple[int, str]
"""Owner (1 to 2**64 - 1) and name (at most ``NAME_BYTES`` bytes, the rest is cut off)."""


class CountFile:
    """Whole numbers between -2**63 and 2**63 by owner and name; 0 where nothing was written."""

    def __init__(self, path: Path | None) -> None:
        """Open the file, or make it (mode 0600) if there is none; with ``None`` nothing survives."""
        self._path = path
        self._places: dict[Key, int] = {}
        self._values: dict[Key, int] = {}
        self._pages = _map(self._path)
        self._pages.reserve(0, PORTION)
        for place, key, value in _rows(self._pages):
            self._places[key], self._values[key] = place, value

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_full(self) -> bool:
        """Whether there is no place for another number."""
        return len(self._places) >= ROWS

    def items(self) -> Mapping[Key, int]:
        """All numbers."""
        return self._values

    def get(self, owner: int, name: str) -> int:
        """One number."""
        return self._values.get((owner, name), 0)

    def total(self, name: str) -> int:
        """The sum over all owners."""
        return sum(value for (_, other), value in self._values.items() if other == name)

    def put(self, owner: int, name: str, value: int) -> None:
        """Change one number. OverflowError where it is new and there is no place for it.

        Where the disk has no room for a new one, it is there as long as this process is.
        """
        key = (owner, name)
        place = self._places.get(key)
        if place is None:
            self._admit(key, value)
        else:
            self._pages.store(place + 8, value % _WORD)
        self._values[key] = value

    def add(self, owner: int, name: str, n: int) -> None:
        """Change one number by ``n``."""
        if n:
            self.put(owner, name, self.get(owner, name) + n)

    def replace(self, values: Mapping[Key, int]) -> None:
        """These are all numbers from now on: a kill leaves all of the old ones, or all of the new.

        Where there is no room for both, or can be no other file, it may leave a part of the new ones.
        """
        if self._path is None or not self._renew(self._path, values):
            self._pages.put(0, bytes(ROW * len(self._places)))
            self._fill(values)

    def _renew(self, path: Path, values: Mapping[Key, int]) -> bool:
        """Write them to a new file, which takes the place of the old one; false, and nothing done, where it can't."""
        unfinished = path.with_name(f"{path.name}.new")
        try:
            unfinished.unlink(missing_ok=True)
            new = CountFile(unfinished)
        except OSError:
            return False
        try:
            if has_room := new._pages.reserve(0, max(PORTION, ROW * len(values))):
                new._fill(values)
                os.replace(unfinished, path)
        except OSError:
            has_room = False
        if not has_room:
            new.close()
            with contextlib.suppress(OSError):
                unfinished.unlink()
            return False
        self._pages.close()
        self._pages, self._places, self._values = new._pages, new._places, new._values
        return True

    def _fill(self, values: Mapping[Key, int]) -> None:
        self._places, self._values = {}, {}
        for (owner, name), value in values.items():
            if value:
                self.put(owner, name, value)

    def close(self) -> None:
        """Close the file, which stays."""
        self._pages.close()

    def _admit(self, key: Key, value: int) -> None:
        place = ROW * len(self._places)
        if self.is_full:
            raise OverflowError(f"there is room for {ROWS:,} numbers")
        if not self._pages.reserve(place, place + ROW):
            # The disk is full: this process knows the number, and tries again when it changes.
            return
        owner, name = key
        self._pages.store(place + 8, value % _WORD)
        self._pages.put(place + 16, name.encode()[:NAME_BYTES].ljust(NAME_BYTES, b"\0"))
        # Without an owner there is no number: what a kill has left unfinished does not count.
        self._pages.store(place, owner)
        self._places[key] = place


def _map(path: Path | None) -> Pages:
    if path is None:
        return Pages(-1, ROW * ROWS)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, ROW * ROWS)
        return Pages(descriptor, ROW * ROWS)
    finally:
        os.close(descriptor)


def _rows(pages: Pages) -> Iterator[tuple[int, Key, int]]:
    for place in range(0, ROW * ROWS, ROW):
        owner, word, name = _FORM.unpack(pages.read(place, ROW) or bytes(ROW))
        if not owner:
            return
        name = name.rstrip(b"\0").decode("utf-8", "replace")
        yield place, (owner, name), word - _WORD if word >> 63 else word
