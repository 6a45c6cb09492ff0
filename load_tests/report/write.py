"""Writing a report into a folder."""

from __future__ import annotations

from pathlib import Path

from ..drafts import drafted
from ..result import Result
from .canvas import lay_out, save_png, style, svg
from .page import Picture, page
from .plots import plots

FILE_NAME = "report.html"


def write_report(result: Result, folder: Path) -> Path:
    """Write the page and the PNGs of its plots into ``folder``, and return the path of the page.

    Raises :class:`OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    text = page(result, _pictures(result, folder))
    with drafted(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def _pictures(result: Result, folder: Path) -> list[Picture]:
    pictures = []
    with style():
        for plot in plots(result):
            lay_out(plot.figure)
            with drafted(folder / f"{plot.name}.png") as draft:
                save_png(plot.figure, draft)
            pictures.append(Picture(plot.name, plot.title, plot.words, svg(plot.figure, plot.name)))
    return pictures
