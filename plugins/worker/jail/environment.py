"""The environment: exec left only what is allowed; whatever the interpreter added since goes as well."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def probe() -> str:
    """Works everywhere."""
    return ""


def apply(order: Sequence[str]) -> None:
    """Keep the named variables only."""
    for name in set(os.environ) - set(order):
        del os.environ[name]
