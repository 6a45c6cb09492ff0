"""The report of a run: one HTML page that needs nothing else, and its plots as PNGs beside it."""

from __future__ import annotations

from pathlib import Path

from ..result import Result


def write_report(result: Result, folder: Path) -> Path:
    """Write the page and the PNGs of its plots into ``folder``, and return the path of the page.

    Raises :class:`OSError`, and :class:`MissingExtra` where the extra ``load`` is not installed.
    """
    from .write import write_report as write  # drawing takes a second to import, and the commands' help is read without

    return write(result, folder)
