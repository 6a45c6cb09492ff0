"""Settings of a configuration file, with the command line's options before them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from ..config.errors import ConfigError
from ..config.loading import load_settings
from ..config.settings import Settings

_PATHS = {"runtime_dir", "state_dir", "dashboard_token_file"}


def overriding(config: str | None, given: Mapping[tuple[str, str], str | None]) -> Settings:
    """Read the settings; ``given`` maps (section, key) to what an option says, ``None`` to what it does not.

    Raises :class:`ConfigError`, and :class:`click.BadParameter` for an option that can't be used.
    """
    settings = load_settings(config)
    for (section, key), value in given.items():
        if value is not None:
            made = str(Path(value).absolute()) if key in _PATHS and value else value
            changed = _changed(getattr(settings, section), section, key, made)
            settings = attrs.evolve(settings, **{section: changed})
    return settings


def _changed(part: Any, section: str, key: str, value: str) -> Any:
    try:
        return attrs.evolve(part, **{key: value})
    except ConfigError as error:
        option = f"--log-{key}" if section == "logging" else f"--{key.replace('_', '-')}"
        reasons = "; ".join(fault.reason for fault in error.faults)
        context = click.get_current_context(silent=True)
        raise click.BadParameter(reasons, context, param_hint=f"'{option}'") from None
