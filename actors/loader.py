"""The loader: a short-lived actor that reads bundles, so that a hostile one can at worst end its loader."""

from __future__ import annotations

from pathlib import Path

from ..config.errors import NyxPluginError
from ..plugins.bundle import remove_staged, resolve_bundle, stage_bundle
from ..plugins.errors import BundleError
from ..plugins.trust import signer
from . import messages as m
from ._thespian import ActorProcess, Address


class Loader(ActorProcess):
    """One for each call of ``load``; its supervisor ends it when the last bundle is in place."""

    def receive(self, message: m.LoaderMessage, sender: Address) -> None:
        """Copy one bundle and tell what its manifest says."""
        target = Path(message.directory)
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            staged = stage_bundle(resolve_bundle(message.bundle), target / "bundle", permissions=message.permissions)
            signed_by = signer(message.bundle, staged, message.trusted_keys)
        except NyxPluginError as error:
            self._refuse(message, sender, error)
        except OSError as error:
            self._refuse(message, sender, BundleError(message.bundle, str(error)))
        else:
            self.send(sender, m.BundlePrepared(message.load_id, staged.manifest, staged.digest, signed_by))

    def _refuse(self, message: m.PrepareBundle, sender: Address, error: NyxPluginError) -> None:
        target = Path(message.directory)
        remove_staged(target / "bundle")
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        self.send(sender, m.StepFailed(message.load_id, error))
