"""What a user of the load tests may have got wrong, one class for each cause."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nyx_plugins.config.errors import DocumentError, NyxPluginError

INSTALL = "pip install 'nyx-plugins[load]'"


class ResultError(DocumentError):
    """A file is no result of a load test; all its faults are listed."""

    kind = "load test result"


class NoResult(NyxPluginError, ValueError):
    """There is no result of a load test at ``path``."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"no load test result at {path}: {why}")


class NewerResult(NyxPluginError, ValueError):
    """``path`` was written by a later version of this package, and might be misunderstood."""

    def __init__(self, path: Path, schema: int, known: int) -> None:
        self.path = path
        self.schema = schema
        super().__init__(
            f"{path} has schema {schema}, and this version of nyx-plugins reads schemas up to {known}: update it"
        )


class FolderInUse(NyxPluginError, ValueError):
    """Another run writes into ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"another run writes into {folder}: wait for its end, or name another folder (--output)")


class ForeignFiles(NyxPluginError, ValueError):
    """``folder`` has files of the names that a run writes, and no result of a run beside them."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.names = names
        super().__init__(
            f"{folder} has {', '.join(names)}, and no result of a load test beside it: a run would write over what is"
            " not its own; move it away, or name another folder (--output)"
        )


class NothingToCompare(NyxPluginError, ValueError):
    """Two sides have no scenario, or no metric, in common."""

    def __init__(self, why: str) -> None:
        super().__init__(f"nothing to compare: {why}; give results of the same scenario")


class NoCheckout(NyxPluginError, ValueError):
    """A gate needs the project's git checkout, and ``folder`` is in none."""

    def __init__(self, folder: Path, why: str) -> None:
        self.folder = folder
        super().__init__(f"{folder} is in no checkout of this project, which a gate needs: {why}")


class UnknownRevision(NyxPluginError, ValueError):
    """Git knows no commit by that name."""

    def __init__(self, revision: str, why: str) -> None:
        self.revision = revision
        super().__init__(f"no base to compare with: git knows no commit {revision!r} ({why})")


class RunFailed(NyxPluginError, RuntimeError):
    """A run of one side left no result."""

    def __init__(self, side: str, scenario: str, why: str) -> None:
        self.side = side
        self.scenario = scenario
        super().__init__(f"the run of {scenario} on the {side} side left no result: {why}")


class DriverFailed(NyxPluginError, ValueError):
    """The driver of a scenario has raised something, or has not returned a round."""

    def __init__(self, driver: str, number: int, why: str) -> None:
        self.driver = driver
        self.number = number
        super().__init__(f"driver {driver} in round {number}: {why}")


class MissingExtra(NyxPluginError, ValueError):
    """A library that only the load tests need is not installed."""

    def __init__(self, library: str) -> None:
        self.library = library
        super().__init__(f"{library} is not installed, which this needs: {INSTALL}")


class ScenarioError(DocumentError):
    """A scenario can't be used. Mend each listed key; ``docs/load-tests.md`` documents them."""

    kind = "scenario"
