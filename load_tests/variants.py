"""Variants of a scenario, which take turns within a round: what belongs to one has its name behind it, in brackets."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SUFFIX = re.compile(r" \[(.*)\]$", re.DOTALL)


def split(name: str) -> tuple[str, str]:
    """Return a name without its variant, and the variant: ``p99_us`` and ``10 plugins`` of ``p99_us [10 plugins]``."""
    found = _SUFFIX.search(name)
    return (name[: found.start()], found[1]) if found else (name, "")


def variants(names: Iterable[str]) -> list[str]:
    """Return the variants of ``names``, each once, in their order; an empty one for names without any."""
    return list(dict.fromkeys(split(name)[1] for name in names))
