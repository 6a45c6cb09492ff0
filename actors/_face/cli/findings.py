"""What ``nyx-plugins check`` prints: all that was seen of a plugin, as tables or as one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from ..actors.events import Emitted
from ..trial import LOST, LogLine
from .checking import Checked, Trial, check_bundle
from .data import cbor_value, readable
from .failure import escaped, one_line
from .fields import data_fields, emitted_fields, info_fields, print_json
from .tables import add, console, joined, numbers, seconds, size, table

SHOWN = 20
_SHOWN_CHARS = 200


def run_check(trial: Trial, json_wanted: bool) -> bool:
    """Do what ``nyx-plugins check`` does; whether the plugin did nothing wrong."""
    checked = check_bundle(trial)
    if json_wanted:
        print_json(as_json(checked, trial))
    else:
        print_findings(checked, console())
    return not checked.faults


def as_json(checked: Checked, trial: Trial) -> dict[str, Any]:
    """Return plain data; what was not seen is null or empty."""
    manifest = checked.manifest
    return {
        "bundle": trial.bundle,
        "transport": trial.transport,
        "plugin_id": manifest.id,
        "name": manifest.name,
        "version": manifest.version,
        "loaded": None if checked.info is None else info_fields(checked.info),
        "load_s": checked.load_s if checked.info else None,
        "memory_bytes": checked.memory_bytes,
        "handlers": [
            {
                "handler": item.handler,
                **data_fields(item.sent, "sent"),
                "result": item.result,
                "reply": _reply_fields(item.reply),
                "reason": item.reason,
                "seconds": item.seconds,
            }
            for item in checked.handled
        ],
        "emitted": [emitted_fields(item) for item in checked.emitted],
        "lost": checked.lost,
        "log": [{"level": line.level_name.lower(), "text": line.text} for line in checked.logs],
        "unload_s": checked.unload_s,
        "faults": list(checked.faults),
    }


def print_findings(checked: Checked, out: Console) -> None:
    """Print it for people."""
    _print_plugin(checked, out)
    if checked.handled:
        _print_handlers(checked, out)
    _print_list("Emitted", [_emitted_line(item) for item in checked.emitted], out)
    if checked.lost:
        _print(out, f"  ... and {checked.lost:,} more {LOST}.")
    _print_list("Logged", [_log_lines(line) for line in checked.logs], out)
    if checked.unload_s is not None:
        _print(out, f"\nUnloaded in {seconds(checked.unload_s)}.")
    _print_verdict(checked, out)


def _print_plugin(checked: Checked, out: Console) -> None:
    manifest, info = checked.manifest, checked.info
    description = f": {one_line(manifest.description)}" if manifest.description else ""
    _print(out, f"{manifest.name} {one_line(manifest.version)}, id {manifest.id}{description}")
    if info is not None:
        memory = "" if checked.memory_bytes is None else f"; its worker has {size(checked.memory_bytes)} of memory"
        _print(out, f"Loaded in {seconds(checked.load_s)}, permissions: {joined(info.permissions)}{memory}.")
        _print(out, f"Digest: {info.digest}")
        if info.signed_by:
            _print(out, f"Signed by: {info.signed_by}")
        if not checked.handled:
            _print(out, "It has no permission for any frame, so that no handler is called.")


def _print_handlers(checked: Checked, out: Console) -> None:
    rows = table("handler", *numbers("sent", "time"), "result", "reply or reason")
    for item in checked.handled:
        said = _shortened(item.reason) or _reply(item.reply)
        add(rows, item.handler, size(len(item.sent)), seconds(item.seconds), item.result, said)
    out.print()
    out.print(rows)


def _reply(reply: bytes | None) -> str:
    return "-" if reply is None else f"{size(len(reply))}: {_shortened(readable(reply))}"


def _emitted_line(item: Emitted) -> str:
    flags = f", flags 0x{item.flags:02x}" if item.flags else ""
    return _shortened(f"0x{item.frame_type:02x}{flags}, {size(len(item.data))}: {readable(item.data)}")


def _log_lines(line: LogLine) -> str:
    """Return a line that was logged; a traceback is several, the first without an indent."""
    return escaped(f"{line.level_name.lower()}: {line.text}".replace("\n", "\n  "), "\n")


def _print_list(heading: str, lines: Sequence[str], out: Console) -> None:
    if not lines:
        return
    _print(out, f"\n{heading}:")
    for line in lines[:SHOWN]:
        _print(out, f"  {line}")
    if len(lines) > SHOWN:
        _print(out, f"  ... and {len(lines) - SHOWN:,} more")


def _print_verdict(checked: Checked, out: Console) -> None:
    if not checked.faults:
        _print(out, "\nNothing went wrong.", style="green")
        return
    _print(
        out, f"\n{len(checked.faults)} went wrong:" if len(checked.faults) > 1 else "\nThis went wrong:", style="red"
    )
    for fault in checked.faults:
        _print(out, f"  {_shortened(fault)}")


def _reply_fields(reply: bytes | None) -> dict[str, Any] | None:
    if reply is None:
        return None
    cbor = cbor_value(reply)
    return {"bytes": len(reply), **data_fields(reply), **({} if cbor is None else {"data_cbor": cbor[0]})}


def _shortened(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}..."


def _print(out: Console, text: str, style: str | None = None) -> None:
    out.print(text, style=style, soft_wrap=True)
