"""Errors, one class per cause, under :class:`NyxPluginError`.

Each carries the culprit as attributes and says in its text what was found, what the limit is and what to do.
"""

from __future__ import annotations

from ..config.errors import DocumentError, NyxPluginError, ReceiptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CLOSE_UNSUPPORTED_CAPABILITY = 0x07


class InvalidFrameType(NyxPluginError, ValueError):
    """The frame type is no plugin frame: neither 0x51 to 0x54 nor one that the configuration names (``[frame_types]``).

    Send another type, or configure this one (0x50 and 0x55 to 0x5F can be).
    """

    def __init__(self, frame_type: object) -> None:
        self.frame_type = frame_type
        shown = f"0x{frame_type:02x}" if isinstance(frame_type, int) else repr(frame_type)
        super().__init__(
            f"frame type {shown} is not a plugin frame: expected 0x51 to 0x54, or one that the configuration names"
        )


class FrameError(NyxPluginError, ValueError):
    """Bytes are no valid frame: ``what`` is wrong at byte ``offset``. The sender must mend its encoder."""

    def __init__(self, what: str, offset: int = 0) -> None:
        self.what = what
        self.offset = offset
        super().__init__(f"malformed frame at byte {offset}: {what}")


class PluginNotRegistered(NyxPluginError, LookupError):
    """No plugin has this id. Load one, or correct the id.

    ``close`` is the payload of the CLOSE owed to the peer when the frame carried REQUIRED, else ``None``.
    """

    def __init__(self, plugin_id: int, required: bool = False) -> None:
        self.plugin_id = plugin_id
        self.close: bytes | None = None
        text = f"plugin {plugin_id} is not registered"
        if required:
            self.close = CLOSE_UNSUPPORTED_CAPABILITY.to_bytes(2, "big") + plugin_id.to_bytes(4, "big")
            text += f"; the frame was REQUIRED, so the peer is owed CLOSE {self.close.hex()}"
        super().__init__(text)


# What is said of plugins that are loaded and can't do just now what is asked.
_UNABLE = {
    "paused": "is paused: its state has to be 'ready' for that; resume it first",
    "restarting": "is being restarted: its state is 'restarting'; wait until it is 'ready', or unload it",
}


class PluginNotLoaded(NyxPluginError, LookupError):
    """The plugin is registered but can't do that in its present ``state``. Load it, or wait until it is ready."""

    def __init__(self, plugin_id: int, state: str) -> None:
        self.plugin_id = plugin_id
        self.state = state
        super().__init__(f"plugin {plugin_id} {_UNABLE.get(state, f'is not loaded: its state is {state!r}')}")


class PluginNotFailed(NyxPluginError, ValueError):
    """Only plugins that have failed or are in quarantine can be reset; this one is in another ``state``."""

    def __init__(self, plugin_id: int, state: str) -> None:
        self.plugin_id = plugin_id
        self.state = state
        super().__init__(
            f"plugin {plugin_id} can't be reset: its state is {state!r}, and only failed and quarantined plugins can"
        )


class PermissionDenied(NyxPluginError, PermissionError):
    """The plugin lacks the ``permission`` that ``frame_type`` needs. Grant it, or don't send such frames."""

    def __init__(self, plugin_id: int, permission: str, frame_type: int) -> None:
        self.plugin_id = plugin_id
        self.permission = permission
        self.frame_type = frame_type
        needs = "sending to other plugins" if permission == "inter_plugin" else f"frame type 0x{frame_type:02x}"
        super().__init__(f"plugin {plugin_id} has no permission {permission!r}, which {needs} needs")


class HandshakeRequired(NyxPluginError, ConnectionError):
    """The plugin takes frames of this type only after a handshake of the same sender that it has processed.

    Send a handshake frame (0x51) first and wait for its outcome (``confirm="processed"``).
    """

    def __init__(self, plugin_id: int, frame_type: int) -> None:
        self.plugin_id = plugin_id
        self.frame_type = frame_type
        super().__init__(
            f"plugin {plugin_id} takes frames of type 0x{frame_type:02x} only after a handshake: send one (0x51), and"
            " go on once it is processed"
        )


class HandshakeRefused(NyxPluginError, ConnectionError):
    """A handshake does not come to terms with the plugin (``reason``). Offer what it understands.

    ``close`` is the payload of the CLOSE (0x07, unsupported capability) that the peer is owed.
    """

    def __init__(self, plugin_id: int, reason: str) -> None:
        self.plugin_id = plugin_id
        self.reason = reason
        self.close: bytes = CLOSE_UNSUPPORTED_CAPABILITY.to_bytes(2, "big") + plugin_id.to_bytes(4, "big")
        super().__init__(
            f"plugin {plugin_id} refuses the handshake: {reason}; the peer is owed CLOSE {self.close.hex()}"
        )


class SandboxViolation(NyxPluginError, PermissionError):
    """A frame or the plugin itself asks for what its policy does not allow. Widen the policy, or don't ask."""

    def __init__(self, plugin_id: int, request: str, reason: str) -> None:
        self.plugin_id = plugin_id
        self.request = request
        self.reason = reason
        super().__init__(f"plugin {plugin_id}: {request!r} denied by policy: {reason}")


class ResponseTooLarge(NyxPluginError, ValueError):
    """An HTTP response has more than ``limit`` bytes. Ask for less, or allow more with ``max_bytes``."""

    def __init__(self, url: str, limit: int) -> None:
        self.url = url
        self.limit = limit
        super().__init__(f"response of {url} has more than {limit:,} bytes: ask for less, or raise max_bytes")


class RedirectRefused(NyxPluginError, ConnectionError):
    """An HTTP redirect is not followed (``reason``). Ask the last address directly, or allow more redirects."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"redirect of {url} is not followed: {reason}")


class PolicyRefused(NyxPluginError, PermissionError):
    """A bundle requests more than the operator's ceiling allows; every reason is in ``reasons``."""

    def __init__(self, plugin_id: int, reasons: Iterable[str]) -> None:
        self.plugin_id = plugin_id
        self.reasons = tuple(reasons)
        super().__init__(f"plugin {plugin_id} asks for more than the ceiling allows: " + "; ".join(self.reasons))


class EnforcementTooWeak(NyxPluginError, PermissionError):
    """This machine enforces policies at ``level`` only, and ``required`` is more; every reason is in ``reasons``.

    Plugins are not loaded then. ``nyx-plugins doctor`` tells more.
    """

    def __init__(self, plugin_id: int, level: str, required: str, reasons: Iterable[str]) -> None:
        self.plugin_id = plugin_id
        self.level = level
        self.required = required
        self.reasons = tuple(reasons)
        super().__init__(
            f"plugin {plugin_id} can't be confined as required: this machine enforces policies at level {level}, and"
            f" system.require_enforcement is {required}: {'; '.join(self.reasons)}"
        )


class MailboxFull(NyxPluginError):
    """The plugin's mailbox has no room: ``depth`` of ``capacity`` (``unit``: frames or bytes) are taken.

    Wait (``dispatch`` does), slow down, or load the plugin with a larger capacity.
    """

    def __init__(self, plugin_id: int, depth: int, capacity: int, unit: str = "frames") -> None:
        self.plugin_id = plugin_id
        self.depth = depth
        self.capacity = capacity
        self.unit = unit
        super().__init__(f"mailbox of plugin {plugin_id} is full: {depth} of {capacity} {unit} taken")


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


class PluginFailed(NyxPluginError, RuntimeError):
    """The plugin could not do its part (its handler raised, it crashed, it never became ready): see ``reason``."""

    def __init__(self, plugin_id: int, reason: str, step: str = "handle") -> None:
        self.plugin_id = plugin_id
        self.reason = reason
        self.step = step
        super().__init__(f"plugin {plugin_id} failed ({step}): {reason}")


class PluginQuarantined(NyxPluginError, PermissionError):
    """The plugin's worker has broken its bounds too often (``reason``) and was ended. Mend it, then load it again."""

    def __init__(self, plugin_id: int, reason: str) -> None:
        self.plugin_id = plugin_id
        self.reason = reason
        super().__init__(
            f"plugin {plugin_id} is quarantined: {reason}; see its events and its log, mend it, then unload and load it"
        )


class SystemStopped(NyxPluginError, RuntimeError):
    """The system has stopped (``reason`` says why). Start a new one."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the plugin system has stopped: {reason}")


class FateUnknown(ReceiptError, SystemStopped):
    """The system has stopped (``reason`` says why) with this frame for plugin ``plugin_id`` on its way.

    It was sent, and nobody is left who could say what became of it; ``receipt`` is its receipt, and ``accepted`` true
    if it is known to be accepted, else ``None``. With ``durability = "disk"`` the next system that loads the plugin
    handles an accepted one: send it again only if it may be handled twice. Frames that were never sent are refused with
    :class:`SystemStopped` itself.
    """

    def __init__(self, plugin_id: int, reason: str, accepted: bool | None = None) -> None:
        super().__init__(reason)
        self.plugin_id = plugin_id
        self.accepted = accepted
        known = "was accepted, and may or may not have been handled"
        unknown = "was on its way, and may or may not have been accepted and handled"
        self.args = (
            f'{self}; a frame for plugin {plugin_id} {known if accepted else unknown} (with durability = "disk", an'
            " accepted one is handled by the next system): send it again only if it may be handled twice",
        )

    def of(self, receipt: object, accepted: bool | None) -> FateUnknown:
        """The same, of a single frame."""
        found = FateUnknown(self.plugin_id, self.reason, accepted)
        found.receipt = receipt
        return found


class ServiceNotRunning(NyxPluginError, ConnectionError):
    """No service runs in this runtime directory. Start one (``nyx-plugins serve``), or name another directory."""

    def __init__(self, runtime_dir: str) -> None:
        self.runtime_dir = runtime_dir
        super().__init__(f"no service is running in {runtime_dir}: start one with 'nyx-plugins serve'")


class ServiceRunning(NyxPluginError, RuntimeError):
    """Another service runs in this runtime directory, as process ``pid``. Stop it, or use another directory."""

    def __init__(self, runtime_dir: str, pid: int | None) -> None:
        self.runtime_dir = runtime_dir
        self.pid = pid
        super().__init__(
            f"a service is already running in {runtime_dir}, as process {pid or 'unknown'}: stop it first"
            " (nyx-plugins stop), or give this one a runtime directory of its own"
        )


class WrongLoop(NyxPluginError, RuntimeError):
    """An ``AsyncPluginSystem`` was used outside of the event loop that it was started in. Only ``close`` may be."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(f"the system belongs to the event loop that it was started in, but {where}")


class NotStarted(NyxPluginError, RuntimeError):
    """An ``AsyncPluginSystem`` was used before it was started. Enter it with ``async with``, or await ``start()``."""

    def __init__(self) -> None:
        super().__init__("the system is not started: use `async with`, or `await AsyncPluginSystem.start()`")


class AlreadyLoaded(NyxPluginError, ValueError):
    """A plugin with this id is loaded. Unload it first, or load with another id."""

    def __init__(self, plugin_id: int, state: str) -> None:
        self.plugin_id = plugin_id
        self.state = state
        super().__init__(f"plugin {plugin_id} is already loaded: its state is {state!r}")


class SwapRefused(NyxPluginError, PermissionError):
    """A new version is not put in the place of the old one, which goes on; every reason is in ``reasons``.

    With ``widens`` they are what it would be allowed beyond the old one: ``allow_widen=True`` lets it have that.
    """

    def __init__(self, plugin_id: int, reasons: Iterable[str], widens: bool = False) -> None:
        self.plugin_id = plugin_id
        self.reasons = tuple(reasons)
        self.widens = widens
        why = "the new version would be allowed more" if widens else "the new version does not fit"
        what_to_do = " (allow_widen=True allows it)" if widens else ""
        super().__init__(f"plugin {plugin_id} is not swapped: {why}: {'; '.join(self.reasons)}{what_to_do}")


class SwapFailed(NyxPluginError, RuntimeError):
    """A new version could not take the place of the old one, which goes on: ``step`` failed, see ``reason``."""

    def __init__(self, plugin_id: int, step: str, reason: str) -> None:
        self.plugin_id = plugin_id
        self.step = str(step)
        self.reason = reason
        super().__init__(f"plugin {plugin_id} is not swapped ({step}): {reason}; the old version goes on")


class ManifestError(DocumentError):
    """A bundle's ``plugin.toml`` is refused; ``faults`` lists every key with its reason."""

    kind = "manifest"


class BundleError(NyxPluginError, ValueError):
    """A bundle can't be read (missing, corrupt, unsafe names): see ``reason``."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"bundle {source}: {reason}")


class BundleChanged(NyxPluginError, RuntimeError):
    """The private copy of a bundle, from which its worker would start, is not what was registered.

    Somebody has written to ``directory``, and no code of it is run. Find out who, unload the plugin and load it again.
    """

    def __init__(self, plugin_id: int, directory: str, reason: str) -> None:
        self.plugin_id = plugin_id
        self.directory = directory
        self.reason = reason
        super().__init__(
            f"plugin {plugin_id}: the copy of its bundle in {directory} has changed since it was loaded: {reason};"
            " unload the plugin and load it again"
        )


class SignatureError(NyxPluginError, PermissionError):
    """A bundle is not signed by a key that is trusted. Sign it, trust the key, or don't load it.

    ``cause`` is ``"missing"``, ``"malformed"``, ``"mismatch"`` (of other content, or forged) or ``"unknown key"``;
    ``key`` is the key that the signature names, if it can be read.
    """

    def __init__(self, source: str, cause: str, reason: str, key: str | None = None) -> None:
        self.source = source
        self.cause = cause
        self.reason = reason
        self.key = key
        super().__init__(f"bundle {source}: {reason}")


class KeyUnusable(NyxPluginError, ValueError):
    """A key, or the file ``path`` that should hold it, can't be used: see ``reason``."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"key {path}: {reason}")


class SigningUnavailable(NyxPluginError, ImportError):
    """Signatures can't be made or checked here, because a package is missing. Install the extra ``signing``."""

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(
            f"signatures can't be made or checked: that needs the package {package};"
            " pip install 'nyx-plugins[signing]' brings it"
        )


class DependencyMissing(NyxPluginError, LookupError):
    """A bundle requires plugins that are not loaded in a fitting version; all are in ``missing``. Load them first."""

    def __init__(self, plugin_id: int, missing: Iterable[str]) -> None:
        self.plugin_id = plugin_id
        self.missing = tuple(missing)
        super().__init__(f"plugin {plugin_id} requires " + ", ".join(self.missing))


class BacklogOfAnother(NyxPluginError, ValueError):
    """The state directory holds ``frames`` unfinished frames for this id that were sent to another plugin, ``found``.

    Load that one, so that it can process them; or remove the folder ``path``, and they are gone.
    """

    def __init__(self, plugin_id: int, plugin: str, found: str, frames: int, path: str) -> None:
        self.plugin_id = plugin_id
        self.plugin = plugin
        self.found = found
        self.frames = frames
        self.path = path
        super().__init__(
            f"plugin {plugin_id} is {plugin!r}, and {frames} unfinished frames of {found!r} are kept under its id in"
            f" {path}: load {found!r}, or remove that folder"
        )


class DeadLetterUnknown(NyxPluginError, LookupError):
    """The plugin has no dead letter with this number (any more). List them to see which there are."""

    def __init__(self, plugin_id: int, letter_id: int) -> None:
        self.plugin_id = plugin_id
        self.letter_id = letter_id
        super().__init__(f"plugin {plugin_id} has no dead letter {letter_id}: it was redelivered, dropped or displaced")


class JournalFailed(NyxPluginError, OSError):
    """The file (or folder) ``path``, which is to outlive the system, can't be written or read: see ``reason``.

    What could not be made durable was not accepted. Make room on the disk, or mend the rights of the state directory.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"journal {path} can't be used: {reason}; make room there, or mend its rights")


class JournalCorrupt(NyxPluginError, ValueError):
    """The file ``path`` is no journal, or what it held for good is damaged: see ``reason``. It is never guessed at."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"journal {path} is corrupt: {reason}")


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
