"""Figures of one style, as SVG that takes the page's colours and as PNG: nothing here needs a display."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..extra import needed

with needed():
    import matplotlib
    from matplotlib.figure import Figure

# Colours of what the page has in light and in dark: in SVG, each becomes a variable of the page.
TEXT, MUTED, GRID, PAPER = "#1f2328", "#656d76", "#d9dde2", "#fefefe"
VARIABLES = {TEXT: "--text", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"}
# Told apart on white and on black, and by those who see less colours.
COLOURS = ("#2f7ed8", "#d97706", "#0f9d76", "#c2408f", "#8b5cf6", "#0891b2", "#d64545", "#7c8594")
WIDTH_IN = 10.0
PNG_DPI = 110

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": TEXT,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": TEXT,
    "axes.titlesize": 10,
    "figure.facecolor": PAPER,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.edgecolor": GRID,
    "legend.facecolor": PAPER,
    "legend.fontsize": 9,
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.7,
    "svg.fonttype": "none",
    "text.color": TEXT,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.color": MUTED,
    "ytick.labelcolor": TEXT,
}


@contextmanager
def style() -> Iterator[None]:
    """Make figures within this, and save them: they all look alike."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box in the PNG, and all right in the SVG
        yield


def new_figure(height_in: float) -> Figure:
    """Return an empty figure as wide as the page; its places are found at the resolution at which it is saved."""
    return Figure(figsize=(WIDTH_IN, height_in), dpi=PNG_DPI, layout="constrained")


def legible(label: str) -> str:
    """Return ``label`` as a legend shows it: one that begins with an underscore would be left out."""
    return label.lstrip("_") or "-"


def lay_out(figure: Figure) -> None:
    """Find a place for everything, once: otherwise each saving would do it again, which takes longer than drawing."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def svg(figure: Figure, name: str) -> str:
    """Return ``figure`` as an element for a page, in the page's colours."""
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return _coloured(_without_names(text[text.index("<svg") :]))


def save_png(figure: Figure, path: Path) -> None:
    """Write ``figure`` to ``path``, as it looks on a light page."""
    figure.savefig(path, format="png", dpi=PNG_DPI)


def _without_names(text: str) -> str:
    """Take out the names of groups, which are the same in each figure, and a page has each name once."""
    return re.sub(r'<g id="[^"]*">', "<g>", re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL))


def _coloured(text: str) -> str:
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text
