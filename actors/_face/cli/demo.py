"""The demonstration: the bundled capture through the bundled plugins, compared with what it must give."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import as_file, files
from typing import Any

import cbor2
from rich.columns import Columns
from rich.console import Console

from ..actors.system import PluginSystem
from ..config.loading import load_settings
from ..plugins.wire import FrameType, PluginHeader
from .processes import process_tree
from .report import Report, as_json, print_report
from .running import load_configured, opened, replay_capture, running

WORDCOUNT, KV = 1001, 1003
CAPTURE = "licences.nyxcap"
TOP = 20
ALL_WORDS = 999_999

_DATA = files("nyx_plugins") / "data"
# Texts for the reader of the file, not figures.
_TEXTS = {"about", "rule", "sha256_rule"}


def run_demo(transport: str | None) -> bool:
    """Run it all and print it; whether everything was as expected."""
    console = Console()
    with as_file(_DATA / "demo.toml") as config:
        settings = load_settings(config)
    with as_file(_DATA / CAPTURE) as capture, opened(str(capture)) as file, running(settings, transport) as system:
        plugins = load_configured(system)
        console.print(process_tree(system))
        report = replay_capture(system, plugins, file, CAPTURE, None)
        found = as_json(report) | {"wordcount": ask_wordcount(system), "kv": ask_kv(system)}
    _print_result(report, found, console)
    return _print_verdict(differences(expected(), found), console)


def expected() -> dict[str, Any]:
    """Read what the replay must give."""
    figures: dict[str, Any] = json.loads((_DATA / "licences.expected.json").read_text("utf-8"))
    return figures


def ask_wordcount(system: PluginSystem) -> dict[str, Any]:
    """Ask the plugin itself, by control frames, what it has counted."""
    words = _ask(system, FrameType.CONTROL, WORDCOUNT, b"top %d" % ALL_WORDS)
    top = _ask(system, FrameType.CONTROL, WORDCOUNT, b"top %d" % TOP)
    return {"words": sum(count for _, count in words), "distinct": len(words), f"top_{TOP}": top}


def ask_kv(system: PluginSystem) -> dict[str, Any]:
    """Ask the plugin itself, by data frames, what it keeps, and digest it."""
    keys = _ask(system, FrameType.DATA, KV, cbor2.dumps({"op": "keys"}))
    digest = hashlib.sha256()
    for key in keys:
        value = _ask(system, FrameType.DATA, KV, cbor2.dumps({"op": "get", "key": key}))
        digest.update(f"{key}\0{value}\0".encode())
    return {"keys": len(keys), "sha256": digest.hexdigest()}


def differences(wanted: Any, found: Any, where: str = "") -> list[str]:
    """Name every figure of ``wanted`` that ``found`` does not have, or has otherwise; more may be found."""
    if not isinstance(wanted, dict) or not isinstance(found, dict):
        return [] if wanted == found else [f"{where}: expected {wanted!r}, found {found!r}"]
    faults: list[str] = []
    for key, value in wanted.items():
        if key not in _TEXTS:
            faults += differences(value, found.get(key), f"{where}.{key}" if where else key)
    return faults


def _ask(system: PluginSystem, frame_type: int, plugin_id: int, data: bytes) -> Any:
    reply = system.request(frame_type, PluginHeader(plugin_id, 0, data))
    return cbor2.loads(reply or b"\xf6")


def _print_result(report: Report, found: dict[str, Any], console: Console) -> None:
    print_report(report, console)
    words, kv = found["wordcount"], found["kv"]
    top = [f"{word} {count:,}" for word, count in words[f"top_{TOP}"]]
    console.print(
        f"\nwordcount holds {words['words']:,} words, {words['distinct']:,} of them distinct; "
        f"its {len(top)} most frequent:",
        highlight=False,
    )
    console.print(Columns(top, width=14))
    console.print(f"\nkv holds {kv['keys']} keys; their digest: {kv['sha256'][:32]}...\n", highlight=False)


def _print_verdict(faults: list[str], console: Console) -> bool:
    if not faults:
        console.print("[green]Everything is as expected.[/]")
        return True
    console.print(f"[red]{_how_many(len(faults))} not as expected:[/]")
    for fault in faults:
        console.print(f"  {fault}", markup=False, highlight=False)
    return False


def _how_many(figures: int) -> str:
    return "One figure is" if figures == 1 else f"{figures} figures are"
