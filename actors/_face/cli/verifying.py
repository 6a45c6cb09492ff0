"""What ``nyx-plugins verify`` does."""

from __future__ import annotations

import tempfile
from collections.abc import Set
from pathlib import Path
from typing import Any

import attrs
import click

from ..plugins.bundle import StagedBundle, stage_bundle
from ..plugins.keys import PublicKey
from ..plugins.manifest import Manifest
from ..plugins.signature import check_signature, read_signature
from .failure import Failure, one_line


@attrs.frozen
class Verified:
    """A bundle whose signature is right, by a key that was said to be trusted or not."""

    manifest: Manifest
    digest: str
    signed_by: PublicKey
    trusted: bool


def verify_bundle(bundle: str, trusted: Set[PublicKey]) -> Verified:
    """Check the signature of a copy of the bundle. Raises :class:`SignatureError` unless it is right."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix="nyx-verify-")
    except OSError as error:
        raise Failure(f"{tempfile.gettempdir()} can't hold a copy of the bundle: {error.strerror}") from None
    with scratch as folder:
        staged = stage_bundle(bundle, Path(folder, "bundle"))
    key = check_signature(bundle, staged.digest, staged.signature, trusted or _named(bundle, staged))
    return Verified(staged.manifest, staged.digest, key, bool(trusted))


def _named(bundle: str, staged: StagedBundle) -> Set[PublicKey]:
    """The key that the signature names itself."""
    signature = read_signature(bundle, staged.digest, staged.signature)
    return frozenset() if signature is None else {signature.key}


def verified_fields(found: Verified) -> dict[str, Any]:
    """What is printed with ``--json``; ``trusted`` is false when nobody said which keys are."""
    return {
        "name": found.manifest.name,
        "version": found.manifest.version,
        "digest": found.digest,
        "signed_by": str(found.signed_by),
        "trusted": found.trusted,
    }


def print_verified(found: Verified) -> None:
    """Print it for people."""
    whose = "a key that you trust" if found.trusted else "a key that nobody has called trusted (--key does)"
    click.echo(f"{found.manifest.name} {one_line(found.manifest.version)} is unchanged since it was signed by {whose}.")
    click.echo(f"  digest {found.digest}")
    click.echo(f"  key {found.signed_by}")
