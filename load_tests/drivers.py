"""The driver of a scenario: a function of a module that can be imported, or that lies beside the scenario.

It may be anybody's: whatever it raises or returns becomes one error that names it, or a round that can be read again.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nyx_plugins.config.errors import DocumentError, Fault, NyxPluginError
from nyx_plugins.plugins.worker.protocol import describe

from .errors import DriverFailed, MissingExtra, ScenarioError
from .extra import needed
from .reading import checked
from .result import Round
from .scene import Driver, Scene


def find(name: str, folder: str) -> Driver:
    """Import ``module:function``; raises :class:`ScenarioError` with what hinders it, or :class:`MissingExtra`."""
    module, _, function = name.partition(":")
    try:
        with needed():
            found = getattr(_imported(module, folder), function, None)
    except (MissingExtra, KeyboardInterrupt):
        raise
    except BaseException as error:
        # Whatever a module does when it is imported is its author's affair.
        raise _refused(name, f"{module} can't be imported: {': '.join(describe(error))}") from error
    if not callable(found):
        raise _refused(name, f"{module} has no function {function}")
    driver: Driver = found
    return driver


def drive(driver: Driver, scene: Scene) -> Round:
    """Let a driver do one round.

    Raises what hinders a system or its clients, any :class:`NyxPluginError`, and :class:`DriverFailed` for everything
    else: what a driver of one's own may get wrong.
    """
    try:
        with _back_here():
            made: object = driver(scene)
    except ScenarioError:
        raise
    except DocumentError as error:
        raise _failed(scene, f"{error.source} can't be: {'; '.join(map(str, error.faults))}", error) from error
    except (NyxPluginError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _failed(scene, ": ".join(describe(error)), error) from error
    return _checked(made, scene)


@contextmanager
def _back_here() -> Iterator[None]:
    """Come back to the current folder in the end, in which the results are to be."""
    here = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def _checked(made: object, scene: Scene) -> Round:
    if not isinstance(made, Round):
        returned = "None" if made is None else f"a {type(made).__name__}"
        raise _failed(scene, f"it has returned {returned}, and has to return a nyx_plugins.load_tests.result.Round")
    try:
        return checked(made)
    except DocumentError as error:
        raise _failed(scene, f"what it has returned can't be: {'; '.join(map(str, error.faults))}") from None


def _failed(scene: Scene, why: str, error: BaseException | None = None) -> DriverFailed:
    frames = traceback.extract_tb(sys.exc_info()[2]) if error is not None else []
    # The last one that is the driver's own: the others are ours, or of what it has called.
    module = scene.scenario.driver.partition(":")[0].rpartition(".")[2]
    own = [frame for frame in frames if Path(frame.filename).stem == module]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return DriverFailed(scene.scenario.driver, scene.number, why + where)


def _imported(module: str, folder: str) -> object:
    # Behind everything else, so that a file there takes no installed package's place.
    sys.path.append(folder)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)


def _refused(name: str, reason: str) -> ScenarioError:
    return ScenarioError(f"driver {name}", [Fault("driver", reason)])
