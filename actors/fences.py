"""Fences: marks between the frames of a plugin, passed once all before them have their outcomes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping


class Fences:
    """Those of one plugin; a position is how many frames a mailbox has accepted, and later finished, by its name."""

    def __init__(self) -> None:
        self._standing: list[tuple[int, Mapping[object, int]]] = []

    def add(self, token: int, positions: Mapping[object, int]) -> None:
        """The fence ``token`` stands behind so many frames of each mailbox."""
        self._standing.append((token, positions))

    def pass_by(self, count_finished: Callable[[], Mapping[object, int]]) -> list[int]:
        """Take away, and return in order, the fences with so many finished frames of each mailbox before them."""
        if not self._standing:
            return []
        finished = count_finished()
        passed = [token for token, positions in self._standing if _is_behind(positions, finished)]
        self._standing = [fence for fence in self._standing if not _is_behind(fence[1], finished)]
        return passed


def _is_behind(positions: Mapping[object, int], finished: Mapping[object, int]) -> bool:
    return all(finished.get(name, 0) >= position for name, position in positions.items())
