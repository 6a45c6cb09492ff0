"""The root of every error that this package raises, and the causes found before anything runs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeVar

    E = TypeVar("E", bound=BaseException)
    N = TypeVar("N", bound="NyxPluginError")


class NyxPluginError(Exception):
    """Root of all errors of this package: catch it to catch them all.

    Instances travel between processes, so they pickle whatever their constructor takes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, dict(self.__dict__))


def _restore(cls: type[N], args: tuple[Any, ...], state: dict[str, Any]) -> N:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ReceiptError(NyxPluginError):
    """Tells of one frame. Its ``receipt``, if it has one, stays in the process of the sender."""

    receipt: object = None

    def __reduce__(self) -> tuple[Any, ...]:
        restore, (kind, args, state) = super().__reduce__()
        state.pop("receipt", None)
        return restore, (kind, args, state)


def fresh(error: E) -> E:
    """Return a copy to raise of an error that may be raised in several places: each has a traceback of its own."""
    if not isinstance(error, NyxPluginError):
        return error.with_traceback(None)
    copy = _restore(type(error), error.args, dict(error.__dict__))
    copy.__cause__ = error.__cause__
    copy.__suppress_context__ = error.__suppress_context__
    return copy


class Fault(tuple[str, str]):
    """One fault of a document: the dotted ``key`` it is at (empty for the whole document), and the ``reason``."""

    # A named tuple would do, but workers import this module, and typing takes longer than all the rest of it.
    __slots__ = ()

    def __new__(cls, key: str, reason: str) -> Fault:
        """Pair a dotted key with a reason."""
        return super().__new__(cls, (key, reason))

    def __getnewargs__(self) -> tuple[str, str]:
        """Pickle as what it is made of."""
        return self.key, self.reason

    @property
    def key(self) -> str:
        """Where it is."""
        return self[0]

    @property
    def reason(self) -> str:
        """What is wrong, and what would be right."""
        return self[1]

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}" if self.key else self.reason


class DocumentError(NyxPluginError, ValueError):
    """A document has faults, all of them listed in ``faults``; ``source`` names the document."""

    kind = "document"

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        self.faults = tuple(faults)
        super().__init__(f"{self.kind} {source}: " + "; ".join(map(str, self.faults)))


class ConfigError(DocumentError):
    """The configuration can't be used. Mend each listed key; ``config/defaults.toml`` documents them."""

    kind = "configuration"


class StartupError(NyxPluginError, OSError):
    """The system could not start (a busy port, a directory that can't be written): see ``reason``."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
