"""What ``nyx-plugins check --policy`` prints: what a plugin would be allowed, and where each line comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from rich.console import Console

from ..config.lines import line_of
from ..config.loading import BUILTIN_PREFIX, Loaded, lines_of_file, load_with_origins
from ..config.origins import Origin
from ..config.settings import PluginSettings
from ..plugins.bundle import read_manifest
from ..plugins.manifest import Manifest
from ..plugins.permissions import known_permissions
from ..plugins.policy import CEILING, DEFAULT, PLUGIN_ENTRY, Policy, decide
from .failure import one_line
from .fields import print_json
from .tables import add, console, size, table

_NO_FILE = "the defaults"


@attrs.frozen
class Verdict:
    """What was decided for a bundle: with the entry of the configuration that names it, or without one."""

    entry: int | None
    plugin_id: int
    decided: Policy | tuple[str, ...]
    """The policy, or every reason against it."""


@attrs.frozen
class Line:
    """One line of a policy; ``origins`` says where it comes from: in words, and where it stands if it is known."""

    key: str
    value: Any
    origins: tuple[tuple[str, Origin | None], ...]


def run_policy(bundle: str, config: str | None, json_wanted: bool) -> bool:
    """Print the policy of a bundle, of which nothing is started; returns whether it is granted."""
    loaded = load_with_origins(config)
    manifest = read_manifest(bundle, known_permissions(loaded.settings.frame_types))
    lines = {} if config is None else lines_of_file(config)
    verdicts = tuple(verdicts_on(bundle, manifest, loaded))
    if json_wanted:
        print_json(_as_json(bundle, config, manifest, verdicts, loaded, lines))
    else:
        _print(manifest, verdicts, config, loaded, lines)
    return all(isinstance(verdict.decided, Policy) for verdict in verdicts)


def verdicts_on(bundle: str, manifest: Manifest, loaded: Loaded) -> Iterator[Verdict]:
    """Decide once for each entry that names the bundle, or else as if it were loaded without an entry."""
    settings = loaded.settings
    found: list[tuple[int | None, PluginSettings]] = [
        (number, plugin) for number, plugin in enumerate(settings.plugins) if _is_at(plugin.bundle, bundle)
    ]
    for entry, plugin in found or [(None, PluginSettings(bundle))]:
        decided = decide(
            manifest.sandbox,
            settings.ceiling,
            override=plugin.sandbox,
            default_wall_time_s=settings.limits.wall_time_s,
        )
        yield Verdict(entry, manifest.id if plugin.id is None else plugin.id, decided)


def lines_of(policy: Policy, entry: int | None, loaded: Loaded, lines: Mapping[str, int]) -> Iterator[Line]:
    """Every line of a policy, with the file and line of what the configuration says."""
    for item in policy.explain():
        names = item.origin.split(", ")
        yield Line(item.key, item.value, tuple((name, _origin(name, item.key, entry, loaded, lines)) for name in names))


def _is_at(bundle: str, other: str) -> bool:
    if bundle.startswith(BUILTIN_PREFIX) or other.startswith(BUILTIN_PREFIX):
        return bundle == other
    return os.path.realpath(bundle) == os.path.realpath(other)


def _origin(name: str, key: str, entry: int | None, loaded: Loaded, lines: Mapping[str, int]) -> Origin | None:
    if name == PLUGIN_ENTRY:
        found = loaded.origins[f"plugins[{entry}].sandbox"]
        return attrs.evolve(found, line=line_of(f"plugins[{entry}].sandbox.{key}", dict(lines)) or found.line)
    if name == CEILING:
        return loaded.origins.get(f"ceiling.{key}", Origin("default"))
    if name == DEFAULT and key == "wall_time_s":
        return loaded.origins.get(f"limits.{key}", Origin("default"))
    return None


def _as_json(
    bundle: str,
    config: str | None,
    manifest: Manifest,
    verdicts: tuple[Verdict, ...],
    loaded: Loaded,
    lines: Mapping[str, int],
) -> dict[str, Any]:
    return {
        "bundle": bundle,
        "config": config,
        "name": manifest.name,
        "version": manifest.version,
        "policies": [_verdict_fields(verdict, loaded, lines) for verdict in verdicts],
    }


def _verdict_fields(verdict: Verdict, loaded: Loaded, lines: Mapping[str, int]) -> dict[str, Any]:
    decided = verdict.decided
    entry = None if verdict.entry is None else f"plugins[{verdict.entry}]"
    common = {"entry": entry, "plugin_id": verdict.plugin_id}
    if not isinstance(decided, Policy):
        return {**common, "granted": False, "reasons": list(decided), "policy": None}
    found = [_line_fields(line) for line in lines_of(decided, verdict.entry, loaded, lines)]
    return {**common, "granted": True, "reasons": [], "policy": found}


def _line_fields(line: Line) -> dict[str, Any]:
    origins = [{"from": name, **(attrs.asdict(origin) if origin else {})} for name, origin in line.origins]
    return {"key": line.key, "value": line.value, "origins": origins}


def _print(
    manifest: Manifest,
    verdicts: tuple[Verdict, ...],
    config: str | None,
    loaded: Loaded,
    lines: Mapping[str, int],
) -> None:
    out = console()
    for number, verdict in enumerate(verdicts):
        if number:
            out.print()
        whose = "" if verdict.entry is None else f", as plugins[{verdict.entry}] has it"
        under = f"under {config or _NO_FILE}{whose}"
        head = f"{manifest.name} {manifest.version}, id {verdict.plugin_id}, {under}"
        if isinstance(verdict.decided, Policy):
            _line(out, f"{head}:")
            out.print(_rows(verdict.decided, verdict.entry, loaded, lines))
        else:
            _line(out, f"{head}, asks for more than the ceiling allows:", style="red")
            for reason in verdict.decided:
                _line(out, reason, indent="  ")


def _rows(policy: Policy, entry: int | None, loaded: Loaded, lines: Mapping[str, int]) -> Any:
    rows = table("what", "value", "from")
    for line in lines_of(policy, entry, loaded, lines):
        add(rows, line.key, _value(line.key, line.value), ", ".join(_whence(*origin) for origin in line.origins))
    return rows


def _whence(name: str, origin: Origin | None) -> str:
    return name if origin is None or str(origin) == name else f"{name} ({origin})"


def _value(key: str, value: Any) -> str:
    match value:
        case None:
            return "no limit"
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(value) or "none"
    if key.endswith("_bytes"):
        return size(value) if value else "none"
    return f"{value:g} s" if key in ("wall_time_s", "cpu_seconds") else f"{value:,}"


def _line(out: Console, text: str, style: str | None = None, indent: str = "") -> None:
    out.print(f"{indent}{one_line(text)}", style=style, soft_wrap=True)
