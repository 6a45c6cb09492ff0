"""Finding the driver of a scenario: a function of a module that can be imported, or that lies beside the scenario."""

from __future__ import annotations

import importlib
import sys

from nyx_plugins.config.errors import Fault

from .errors import ScenarioError
from .scene import Driver


def find(name: str, folder: str) -> Driver:
    """Import ``module:function``; raises :class:`ScenarioError` with what hinders it."""
    module, _, function = name.partition(":")
    try:
        found = getattr(_imported(module, folder), function, None)
    except Exception as error:
        # Whatever a module does when it is imported is its author's affair.
        raise _refused(name, f"{module} can't be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise _refused(name, f"{module} has no function {function}")
    driver: Driver = found
    return driver


def _imported(module: str, folder: str) -> object:
    # Behind everything else, so that a file there takes no installed package's place.
    sys.path.append(folder)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)


def _refused(name: str, reason: str) -> ScenarioError:
    return ScenarioError(f"driver {name}", [Fault("driver", reason)])
