"""Errors about bundles: what is in them, and who has signed them."""

from __future__ import annotations

from ...config.errors import DocumentError, NyxPluginError


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
