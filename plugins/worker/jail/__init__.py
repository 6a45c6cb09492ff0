"""The jail: what a worker puts on before the plugin's first line, layer by layer, and can never take off.

A layer is a module of this package with ``probe()``, which the host calls to learn what this machine can do, and
``apply(order)``, which the worker calls with what the host ordered: plain data, so that the worker decides nothing.
The host works the orders out in :mod:`.plan`. A layer for another platform is one more module and one more order.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    class Layer(Protocol):
        """What each layer's module looks like."""

        def probe(self) -> str:
            """Why this machine can't have the layer; empty when it can."""

        def apply(self, order: Any) -> None:
            """Confine this process, for good. Raises :class:`OSError` when that is refused."""


LAYERS = (
    "environment",
    "descriptors",
    "session",
    "signals",
    "limits",
    "capabilities",
    "parent_death",
    "no_new_privileges",
    "landlock",
    "seccomp",
)
"""All layers in the order in which they have to be put on."""


class JailError(OSError):
    """The worker could not put ``layer`` on. It ends before the plugin is loaded; ``nyx-plugins doctor`` tells more."""

    def __init__(self, layer: str, cause: OSError) -> None:
        self.layer = layer
        super().__init__(cause.errno, f"the jail's layer {layer} can't be put on: {cause.strerror or cause}")


def layer(name: str) -> Layer:
    """Import one layer; :class:`KeyError` for a name that is none."""
    if name not in LAYERS:
        raise KeyError(name)
    found: Layer = __import__(f"{__name__}.{name}", fromlist=["apply"])
    return found


def put_on(orders: Sequence[tuple[str, Any]]) -> None:
    """Put on the ordered layers, one after the other. Raises :class:`JailError`; what was put on before stays."""
    for name, order in orders:
        try:
            layer(name).apply(order)
        except OSError as error:
            raise JailError(name, error) from error
