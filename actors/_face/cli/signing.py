"""``nyx-plugins keygen``, ``sign`` and ``verify``: who made a plugin, and that nobody has changed it since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import json_option

if TYPE_CHECKING:
    from ..plugins.bundle import StagedBundle
    from ..plugins.signature import Signature


@click.command(short_help="Make a pair of keys for signing plugins.")
@click.argument("name", metavar="NAME")
def keygen(name: str) -> None:
    """Make an Ed25519 key pair: NAME.key to sign with, NAME.pub for those who shall trust it.

    NAME may be a path. The private key has no password and is readable by nobody else; files that are there are never
    replaced.
    """
    from .failure import one_line
    from .keys import make_pair

    public = make_pair(name)
    click.echo(one_line(f"{name}.key is private: whoever has it signs as you."))
    click.echo(one_line(f"{name}.pub is for operators, who name it, or its line, in ceiling.trusted_keys:"))
    click.echo(f"  {public}")


@click.command(short_help="Sign a bundle.")
@click.argument("bundle", metavar="BUNDLE")
@click.option("--key", required=True, metavar="FILE", help="The private key, as keygen makes it, or in PKCS #8 PEM.")
@click.option("--force", is_flag=True, help="Replace a signature by another key.")
def sign(bundle: str, key: str, force: bool) -> None:
    """Sign BUNDLE, a folder or a zip file with plugin.toml.

    The signature is over the digest of all files, and lies beside plugin.toml as plugin.sig. A folder gets that file; a
    zip is packed anew, as the command pack would, so that it may grow. The same content and key give the same bytes. An
    older signature is replaced, unless it is valid and another key's.
    """
    from ..plugins.keys import PrivateKey
    from ..plugins.packing import sign_bundle
    from ..plugins.signature import sign as signature_of
    from .failure import one_line
    from .keys import refuse_key_inside

    private = PrivateKey.read(key)
    refuse_key_inside(key, bundle)

    def signature(staged: StagedBundle) -> Signature:
        if not force:
            _refuse_to_replace(bundle, staged, str(private.public))
        return signature_of(staged.digest, private)

    done = sign_bundle(bundle, signature)
    click.echo(f"Signed {done.manifest.name} {one_line(done.manifest.version)}.")
    click.echo(f"  digest {done.signature.digest}")
    click.echo(f"  key {done.signature.key}")


@click.command(short_help="Tell who has signed a bundle, and whether it is unchanged.")
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--key",
    "keys",
    metavar="KEY",
    multiple=True,
    help="A public key that is trusted, or a file of some; may be given several times.",
)
@json_option("Print one JSON object.")
def verify(bundle: str, keys: tuple[str, ...], json_wanted: bool) -> None:
    """Check the signature of BUNDLE, a folder or a zip file with plugin.toml; nothing of it is run.

    With --key it has to be signed by one of these keys. Without, whose key it is remains for you to find out. The exit
    code is 1 when the signature is missing or wrong, or is another key's.
    """
    from ..plugins.keys import public_keys
    from .fields import print_json
    from .verifying import print_verified, verified_fields, verify_bundle

    found = verify_bundle(bundle, public_keys(keys))
    if json_wanted:
        print_json(verified_fields(found))
    else:
        print_verified(found)


def _refuse_to_replace(bundle: str, staged: StagedBundle, key: str) -> None:
    from ..plugins.errors import SignatureError
    from ..plugins.signature import read_signature, verified
    from .failure import Failure

    try:
        found = read_signature(bundle, staged.digest, staged.signature)
        if found is None or str(verified(bundle, found)) == key:
            return
    except SignatureError:
        return
    raise Failure(f"bundle {bundle} is signed by {found.key}: --force replaces that signature")
