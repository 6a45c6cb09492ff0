"""Settings of a configuration file, with the command line's options before them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from ..config.loading import load_settings
from ..config.settings import Settings

_PATHS = {"runtime_dir", "state_dir", "dashboard_token_file"}


def overriding(config: str | None, given: Mapping[tuple[str, str], str | None]) -> Settings:
    """Read the settings; ``given`` maps (section, key) to what an option says, ``None`` to what it does not.

    Raises :class:`ConfigError`.
    """
    settings = load_settings(config)
    for (section, key), value in given.items():
        if value is not None:
            made = str(Path(value).absolute()) if key in _PATHS and value else value
            settings = attrs.evolve(settings, **{section: attrs.evolve(getattr(settings, section), **{key: made})})
    return settings
