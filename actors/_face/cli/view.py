"""What the user of ``top`` has chosen: sort order and place. Pure: a key makes one view into the next."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

QUIT = "q"
UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END = "up", "down", "page up", "page down", "home", "end"
_STEPS = {UP: -1, DOWN: 1, "k": -1, "j": 1}
_PAGES = {PAGE_UP: -1, PAGE_DOWN: 1, " ": 1}
# What terminals send for keys that are no characters.
KEYS = {
    b"\x1b[A": UP,
    b"\x1bOA": UP,
    b"\x1b[B": DOWN,
    b"\x1bOB": DOWN,
    b"\x1b[5~": PAGE_UP,
    b"\x1b[6~": PAGE_DOWN,
    b"\x1b[H": HOME,
    b"\x1bOH": HOME,
    b"\x1b[1~": HOME,
    b"\x1b[F": END,
    b"\x1bOF": END,
    b"\x1b[4~": END,
}


@attrs.frozen
class View:
    """``sort`` is the key of a column, ``first`` the number of the first row that is shown."""

    sort: str
    reverse: bool = False
    first: int = 0

    def press(self, key: str, columns: Sequence[str], rows: int, page: int) -> View:
        """Return the next view, where ``columns`` are shown, and ``page`` of ``rows``; unknown keys change nothing."""
        if key.isdecimal() and 1 <= int(key) <= len(columns):
            return self._sorted_by(columns[int(key) - 1])
        if key == "s":
            return self._sorted_by(_after(columns, self.sort))
        if key == "r":
            return attrs.evolve(self, reverse=not self.reverse, first=0)
        return attrs.evolve(self, first=self._first(key, page)).within(rows, page)

    def within(self, rows: int, page: int) -> View:
        """Return the view that shows as many rows as it can: there are fewer now, or there is more room."""
        return attrs.evolve(self, first=max(0, min(self.first, rows - page)))

    def _sorted_by(self, column: str) -> View:
        return View(column, reverse=not self.reverse if column == self.sort else False)

    def _first(self, key: str, page: int) -> int:
        if key in (HOME, END):
            return 0 if key == HOME else 1 << 62
        return self.first + _STEPS.get(key, 0) + _PAGES.get(key, 0) * page


def keys_of(raw: bytes) -> list[str]:
    """Return the keys in what a terminal has sent; what is no key of ``top`` is left out."""
    keys = []
    while raw:
        sequence = next((known for known in KEYS if raw.startswith(known)), b"")
        if sequence:
            keys.append(KEYS[sequence])
        elif raw[:1].isascii() and raw[:1].decode("ascii").isprintable():
            keys.append(raw[:1].decode("ascii"))
        raw = raw[len(sequence) or _unknown(raw) :]
    return keys


def _unknown(raw: bytes) -> int:
    """How long the sequence of an unknown key is: its characters are no keys of their own."""
    if raw[:2] not in (b"\x1b[", b"\x1bO"):
        return 1
    return next((end for end, byte in enumerate(raw[2:], 3) if 0x40 <= byte <= 0x7E), len(raw))


def _after(columns: Sequence[str], column: str) -> str:
    return columns[(columns.index(column) + 1) % len(columns)] if column in columns else columns[0]
