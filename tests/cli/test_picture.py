"""The picture of ``top`` in the documents shows what ``top`` draws.

``python tests/cli/test_picture.py docs/images/top.svg`` draws it anew.
"""

from __future__ import annotations

import html
import io
import re
import sys
from pathlib import Path

import attrs
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from nyx_plugins import DispatchStats, PluginInfo, PluginStats
from nyx_plugins.actors.latency import BOUNDS, LatencyHistogram
from nyx_plugins.cli.screen import EventLine, Picture, draw
from nyx_plugins.cli.view import View
from nyx_plugins.service.snapshot import PluginSample, ProcessSample, Rates, Snapshot, Usage

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "top.svg"
MIB = 1 << 20
WIDTH, HEIGHT = 124, 21
# Colours of a dark terminal, in which each can be read well.
NORMAL = "48 4f 58, ff 7b 72, 56 d3 64, e3 b3 41, 79 c0 ff, d2 a8 ff, 56 d4 dd, c9 d1 d9"
BRIGHT = "7d 85 90, ff a1 98, 7e e7 87, f2 cc 60, a5 d6 ff, e2 c5 ff, b3 f0 ff, ff ff ff"
# Without the rule that loads a font from another server.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)

# id, name, state, frames per second, frames in the mailbox, upper bound of p99 (its number), failed, dead letters,
# denied, restarts, CPU percent, memory in MiB.
PLUGINS = (
    (1001, "wordcount", "ready", 4210, 37, 6, 4, 0, 0, 0, 61, 17.2),
    (1002, "echo", "ready", 3120, 4, 2, 0, 0, 0, 0, 38, 14.0),
    (1003, "kv", "ready", 845, 0, 4, 0, 0, 2, 0, 11, 21.6),
    (7, "thumbnails", "ready", 64, 96, 13, 0, 12, 0, 1, 99, 148.0),
    (12, "geocoder", "restarting", 0, 100, 12, 31, 3, 0, 4, 0, 9.1),
    (31, "mail-filter", "paused", 0, 58, 9, 0, 0, 0, 0, 0, 15.3),
    (44, "archive", "ready", 2.4, 1, 7, 0, 0, 9, 0, 1, 33.8),
    (90, "legacy-import", "failed", 0, 0, 14, 6, 18, 0, 5, None, None),
)
EVENTS = (
    EventLine("14:02:07", "loaded", "archive (44)"),
    EventLine("14:02:07", "ready", "archive (44)"),
    EventLine("14:05:31", "violation", "archive (44)  'SBX:CONNECT example.org:443' denied by policy: no network"),
    EventLine("14:09:12", "crashed", "geocoder (12)  killed by SIGKILL: its wall time of 5 s was over"),
    EventLine("14:09:13", "restarted", "geocoder (12)  restart 4 of 5 within 60 s"),
    EventLine("14:09:44", "failed", "legacy-import (90)  more than 5 restarts within 60 s"),
)


def colours(text: str) -> list[tuple[int, int, int]]:
    """Read colours in hexadecimal digits."""
    return [(red, green, blue) for red, green, blue in map(bytes.fromhex, text.split(","))]


def picture() -> Picture:
    """Draw a busy system."""
    host = ProcessSample(4711, "nyx-host", Usage(80.0, 24.0, 61 * MIB))
    dispatch = DispatchStats(8, 0, 18_204_311, 212, {"MailboxFull": 212})
    samples = tuple(_sample(*facts) for facts in PLUGINS)
    return draw(Snapshot(1e9, 93_780.0, 4711, (host,), dispatch, samples), View("in"), WIDTH, HEIGHT, EVENTS)


def svg() -> str:
    """Return the picture as an SVG image, which needs nothing from any server."""
    console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True, emoji=False)
    for line in picture().lines:
        console.print(line, no_wrap=True, highlight=False)
    theme = TerminalTheme(*colours("16 1b 22, c9 d1 d9"), colours(NORMAL), colours(BRIGHT))
    return console.export_svg(title="nyx-plugins top", theme=theme, code_format=FORMAT, unique_id="top")


def test_the_picture_in_the_documents_is_what_top_draws() -> None:
    """Every word is in it, it is small, and it loads nothing."""
    drawn = PICTURE.read_text()
    shown = html.unescape("".join(re.findall(r"<text[^>]*>([^<]*)</text>", drawn)))
    wanted = "nyx-plugins top" + "".join(line.plain for line in picture().lines)
    assert "".join(shown.split()) == "".join(wanted.split())
    assert len(drawn) < 60_000
    assert "url(http" not in drawn


def _sample(*facts: object) -> PluginSample:
    plugin_id, name, state, per_s, depth, bucket, failed, dead, denied, restarts, cpu, mib = facts
    counts = tuple(int(number == bucket) for number in range(len(BOUNDS) + 1))
    info = PluginInfo(plugin_id, name, "1.0.0", "", state, frozenset(), frozenset(), None, 100)  # type: ignore[arg-type]
    stats = PluginStats(*[0] * 14, state, LatencyHistogram(BOUNDS, counts), 1, 2)  # type: ignore[arg-type]
    changes = {"failed": failed, "dead_lettered": dead, "permission_violations": denied, "restarts": restarts}
    stats = attrs.evolve(stats, in_mailbox=depth, capacity=100, **changes)  # type: ignore[arg-type]
    usage = None if cpu is None else Usage(1.0, float(str(cpu)), int(float(str(mib)) * MIB))
    return PluginSample(info, stats, "", Rates(float(str(per_s)), float(str(per_s)), 0.0), usage)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg())
