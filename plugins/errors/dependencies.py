"""Errors about dependencies of one plugin on another."""

from __future__ import annotations

from ...config.errors import NyxPluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class DependencyMissing(NyxPluginError, LookupError):
    """A bundle requires plugins that are not loaded in a fitting version; all are in ``missing``. Load them first."""

    def __init__(self, plugin_id: int, missing: Iterable[str]) -> None:
        self.plugin_id = plugin_id
        self.missing = tuple(missing)
        super().__init__(f"plugin {plugin_id} requires " + ", ".join(self.missing))


class DependencyUndeclared(NyxPluginError, PermissionError):
    """A plugin has a frame for another (``target``: its name or id) that its manifest does not name.

    Name it there, in ``requires`` or in ``optional``, with the versions that will do.
    """

    def __init__(self, plugin_id: int, target: str | int) -> None:
        self.plugin_id = plugin_id
        self.target = target
        super().__init__(
            f"plugin {plugin_id} does not depend on plugin {target!r}: its manifest has to name it in [requires] or"
            " [optional]"
        )


class DependencyCycle(NyxPluginError, ValueError):
    """What a bundle requires or can use leads back to it by way of ``cycle``. Take one of these out of its manifest."""

    def __init__(self, plugin_id: int, cycle: Iterable[str]) -> None:
        self.plugin_id = plugin_id
        self.cycle = tuple(cycle)
        super().__init__(f"plugin {plugin_id} depends on itself: {' -> '.join(self.cycle)}; break the cycle")


class DependencyConflict(NyxPluginError, RuntimeError):
    """Plugins require versions of a third that no single one has; all are in ``conflicts``.

    Mend a manifest, or load the third in both versions, under ids of their own.
    """

    def __init__(self, plugin_id: int, conflicts: Iterable[str]) -> None:
        self.plugin_id = plugin_id
        self.conflicts = tuple(conflicts)
        super().__init__(
            f"plugin {plugin_id} conflicts with others: {'; '.join(self.conflicts)}: no one version fits both"
        )


class DependentsLoaded(NyxPluginError, RuntimeError):
    """Loaded plugins require this one; ``dependents`` has their ids and names. Unload these first, or with it."""

    def __init__(self, plugin_id: int, dependents: Mapping[int, str]) -> None:
        self.plugin_id = plugin_id
        self.dependents = dict(dependents)
        shown = ", ".join(f"{name} ({number})" for number, name in self.dependents.items())
        super().__init__(f"plugin {plugin_id} is required by {shown}: unload them first, or with it (cascade)")
