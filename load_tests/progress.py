"""Shows how far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

LOOK_S = 0.2


class Lines:
    """Plain lines: what begins, and what is noted."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing has to be undone."""

    def phase(self, text: str, seconds: float = 0.0) -> None:
        """Say what begins."""
        self._console.print(
            f"  {text}" + (f" ({seconds:.0f} s)" if seconds else ""), highlight=False, soft_wrap=True, markup=False
        )

    def note(self, text: str) -> None:
        """Say it."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def look(self, per_s: float, depth: int) -> None:
        """That changes too often to be said."""


class Bar:
    """One bar that fills as time goes by, with how many frames are in mailboxes; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[seen]}"),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("starting", total=None, seen="")
        self._begun, self._over = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def __enter__(self) -> Bar:
        self._progress.start()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._progress.stop()

    def phase(self, text: str, seconds: float = 0.0) -> None:
        """Begin again."""
        self._begun = time.monotonic()
        self._progress.reset(self._task, total=seconds or None, description=text, seen="")

    def note(self, text: str) -> None:
        """Say it above the bar."""
        self._progress.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def look(self, per_s: float, depth: int) -> None:
        """Show how fast frames are processed, and how many are in mailboxes."""
        self._progress.update(self._task, seen=f"{per_s:,.0f} frames/s, {depth:,} in mailboxes")

    def _fill(self) -> None:
        while not self._over.wait(LOOK_S):
            self._progress.update(self._task, completed=time.monotonic() - self._begun)


def display(wanted: bool) -> Bar | Lines:
    """Return what suits standard error."""
    console = Console(stderr=True)
    return Bar(console) if wanted and console.is_terminal else Lines(console)
