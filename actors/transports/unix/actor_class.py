"""The class of an actor: what it is called elsewhere, and what it is made with."""

from __future__ import annotations

import contextlib
import inspect
import sys
from functools import lru_cache
from typing import Any


def qualified(actor: Any) -> str:
    """Name a class as a new process can find it."""
    return f"{sys.modules[actor.__module__].__name__}.{actor.__name__}" if hasattr(actor, "__name__") else actor


@lru_cache
def init_arguments(actor: Any) -> frozenset[str]:
    """Name the arguments of a class's constructor; remembered, so that forked processes need not look."""
    with contextlib.suppress(TypeError, ValueError):
        return frozenset(inspect.signature(actor.__init__).parameters)
    return frozenset()
