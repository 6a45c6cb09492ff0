"""How the frequent messages are pickled: by position, in half the time that it takes to name each field."""

from __future__ import annotations

from typing import Any


def by_position(message: Any) -> tuple[type, tuple[Any, ...]]:
    """The ``__reduce__`` of a frozen class whose fields are all arguments of its constructor."""
    kind = type(message)
    return kind, tuple([getattr(message, name) for name in kind.__match_args__])
