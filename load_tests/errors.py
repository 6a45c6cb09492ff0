"""What a user of the load tests may have got wrong, one class for each cause."""

from __future__ import annotations

from pathlib import Path

from nyx_plugins.config.errors import DocumentError, NyxPluginError


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


class NothingToCompare(NyxPluginError, ValueError):
    """Two sides have no scenario in common."""

    def __init__(self, base: str, candidate: str) -> None:
        super().__init__(
            f"nothing to compare: the first side has results of {base}, and the second of {candidate}; "
            "give results of the same scenario"
        )


class MissingExtra(NyxPluginError, ValueError):
    """A library that only the load tests need is not installed."""

    def __init__(self, library: str) -> None:
        self.library = library
        super().__init__(f"{library} is not installed, which this needs: pip install 'nyx-plugins[load]'")


class ScenarioError(DocumentError):
    """A scenario can't be used. Mend each listed key; ``docs/load-tests.md`` documents them."""

    kind = "scenario"
