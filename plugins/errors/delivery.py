"""Errors about the delivery of a frame: where it does not arrive, or nobody can say whether it did."""

from __future__ import annotations

from ...config.errors import NyxPluginError, ReceiptError


class MailboxFailed(NyxPluginError, OSError):
    """The files of the plugin's mailbox, in the folder ``path``, can't be made or grow: see ``reason``.

    What it holds stays; what does not find room there is not accepted. Make room on the disk of the runtime directory.
    """

    def __init__(self, plugin_id: int, path: str, reason: str) -> None:
        self.plugin_id = plugin_id
        self.path = path
        self.reason = reason
        super().__init__(
            f"mailbox of plugin {plugin_id} can't be written in {path}: {reason}; make room on the disk of the runtime"
            " directory, or give it another one (system.runtime_dir)"
        )


class MailboxFull(NyxPluginError):
    """The plugin's mailbox has no room: ``depth`` of ``capacity`` (``unit``: frames or bytes) are taken.

    Where the sender has been lent a part of it only, that part is ``lent``, and ``depth`` is what it has taken of that.
    Wait (``dispatch`` does), slow down, or load the plugin with a larger capacity.
    """

    def __init__(
        self, plugin_id: int, depth: int, capacity: int, unit: str = "frames", lent: int | None = None
    ) -> None:
        self.plugin_id = plugin_id
        self.depth = depth
        self.capacity = capacity
        self.unit = unit
        self.lent = lent
        if lent is None:
            text = f"mailbox of plugin {plugin_id} is full: {depth} of {capacity} {unit} taken"
        elif lent:
            text = (
                f"room of this sender in the mailbox of plugin {plugin_id} is used up: {depth} of {lent} {unit} taken"
            )
            text += f", of {capacity} for all; more is asked for: wait for it"
        else:
            text = (
                f"no room in the mailbox of plugin {plugin_id} has been lent to this sender yet, of {capacity} {unit}"
            )
            text += " for all; it is asked for: wait for it"
        super().__init__(text)


class RefusalLost(NyxPluginError, ConnectionError):
    """The frame was refused, and who had refused it ended before it could say why: dispatch the frame again."""

    def __init__(self, plugin_id: int) -> None:
        self.plugin_id = plugin_id
        super().__init__(
            f"plugin {plugin_id} has not accepted the frame; why is not known any more, because an actor ended before"
            " it could say so: dispatch the frame again"
        )


class DispatchTimeout(ReceiptError, TimeoutError):
    """``what`` did not happen within ``timeout`` seconds. ``receipt`` is set when the frame is already on its way."""

    def __init__(self, plugin_id: int | None, what: str, timeout: float) -> None:
        self.plugin_id = plugin_id
        self.what = what
        self.timeout = timeout
        culprit = "" if plugin_id is None else f"plugin {plugin_id}: "
        super().__init__(f"{culprit}{what} not within {timeout:g} s")


class LetterOfAnother(NyxPluginError, ValueError):
    """Dead letter ``letter_id`` was for the plugin ``found``, and ``plugin`` has its id now: it stays as it is.

    Load the one that it was for under this id, and deliver it again then; or drop it.
    """

    def __init__(self, plugin_id: int, letter_id: int, plugin: str, found: str) -> None:
        self.plugin_id = plugin_id
        self.letter_id = letter_id
        self.plugin = plugin
        self.found = found
        super().__init__(
            f"plugin {plugin_id} is {plugin!r} now, and the dead letter was for {found!r}: it stays; load {found!r} as"
            f" plugin {plugin_id} and redeliver it, or drop it"
        )


class DeadLetterUnknown(NyxPluginError, LookupError):
    """The plugin has no dead letter with this number, or no more. List them to see which there are."""

    def __init__(self, plugin_id: int, letter_id: int) -> None:
        self.plugin_id = plugin_id
        self.letter_id = letter_id
        super().__init__(
            f"plugin {plugin_id} has no dead letter {letter_id}: it was redelivered, dropped or displaced, or there"
            " never was one; list them to see which there are"
        )
