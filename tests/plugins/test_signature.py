"""Signatures of bundles: who has signed what, and everything that is refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins import keys
from nyx_plugins.plugins.bundle import stage_bundle
from nyx_plugins.plugins.errors import BundleError, KeyUnusable, SignatureError, SigningUnavailable
from nyx_plugins.plugins.keys import PrivateKey, PublicKey
from nyx_plugins.plugins.packing import pack, sign_bundle
from nyx_plugins.plugins.signature import Signature, check_signature, read_signature, sign, verified
from nyx_plugins.plugins.trust import signer

MANIFEST = b'id = 7\nname = "demo"\nversion = "1.0"\napi_version = 1\nentry_point = "plugin:Demo"\n'
KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
DIGEST = "ab" * 32
GOOD = sign(DIGEST, KEY).encode()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle that nobody has signed."""
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "plugin.toml").write_bytes(MANIFEST)
    (folder / "plugin.py").write_text("class Demo: ...\n")
    return folder


def signed(bundle: Path, key: PrivateKey = KEY) -> Path:
    """Sign a bundle."""
    sign_bundle(bundle, lambda staged: sign(staged.digest, key))
    return bundle


def refusal(raw: bytes | None, digest: str = DIGEST, *trusted: PublicKey) -> SignatureError:
    """The error for a signature that is refused."""
    with pytest.raises(SignatureError) as caught:
        check_signature("b", digest, raw, {*trusted} or {KEY.public})
    assert str(caught.value) == f"bundle b: {caught.value.reason}"
    return caught.value


def test_the_signature_is_the_documented_one() -> None:
    """Others can check it with nothing but Ed25519 and base64."""
    head, digest, key, value = GOOD.decode().splitlines()
    assert (head, digest) == ("nyx-plugins signature 1", f"digest {DIGEST}")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("key ed25519:")))
    public.verify(base64.b64decode(value.removeprefix("signature ")), b"nyx-plugins bundle 1\0" + bytes.fromhex(DIGEST))


def test_a_signature_by_a_trusted_key_passes() -> None:
    """And tells which key it was."""
    assert check_signature("b", DIGEST, GOOD, {OTHER.public, KEY.public}) == KEY.public


def test_every_cause_has_its_own_error() -> None:
    """Missing, of an unknown key, of other content, and forged are told apart."""
    missing, unknown = refusal(None), refusal(GOOD, DIGEST, OTHER.public)
    changed = refusal(GOOD, "cd" * 32)
    forged = refusal(Signature(DIGEST, KEY.public, OTHER.sign(b"x")).encode())
    assert [error.cause for error in (missing, unknown, changed, forged)] == [
        *("missing", "unknown key", "mismatch", "mismatch")
    ]
    assert missing.reason == "is not signed: it has no plugin.sig, which 'nyx-plugins sign' makes"
    assert unknown.reason == f"is signed by {KEY.public}, which is not among the trusted keys (1)"
    assert changed.reason.startswith(f"has changed since it was signed (signed was {DIGEST}, and it has {'cd' * 32})")
    assert forged.reason.startswith(f"has a forged or damaged signature: {KEY.public} has not made it")
    assert [error.key for error in (missing, unknown, changed, forged)] == [None, *[str(KEY.public)] * 3]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"signature 1", b"signature 2"),
        GOOD.replace(b"digest ab", b"digest AB"),
        GOOD.replace(b"key ed25519:", b"key rsa:"),
        b"\xff" * 300,
        GOOD * 2,
    ],
)
def test_what_is_no_signature_is_refused(raw: bytes) -> None:
    """There is one form, to the byte."""
    assert refusal(raw).cause == "malformed"


@given(st.integers(0, len(GOOD) * 8 - 1))
def test_no_bit_of_a_signature_can_be_changed(bit: int) -> None:
    """Whatever is flipped, the signature is worth nothing."""
    raw = bytearray(GOOD)
    raw[bit // 8] ^= 1 << bit % 8
    refusal(bytes(raw))


@given(st.binary(max_size=400))
def test_noise_raises_nothing_else(raw: bytes) -> None:
    """Bytes of strangers are read without trust."""
    refusal(raw)


def test_a_signed_folder_and_its_zip_are_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    """The signature is no part of the digest, and packing keeps it."""
    before = stage_bundle(bundle, tmp_path / "1")
    packed = pack(signed(bundle), tmp_path / "a.zip")
    after, zipped = stage_bundle(bundle, tmp_path / "2"), stage_bundle(packed.path, tmp_path / "3")
    assert before.digest == after.digest == zipped.digest == packed.digest
    assert before.signature is None
    assert after.signature == zipped.signature == (bundle / "plugin.sig").read_bytes()
    assert not (after.directory / "plugin.sig").exists() and not (zipped.directory / "plugin.sig").exists()


def test_signing_is_reproducible(bundle: Path, tmp_path: Path) -> None:
    """Signed and packed, or packed and signed: the same bytes, however often."""
    first = pack(bundle, tmp_path / "a.zip").path
    signed(signed(first))
    second = pack(signed(bundle), tmp_path / "b.zip").path
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.zip", "b.zip", "demo"]


def test_a_zip_is_signed_where_a_link_leads(bundle: Path, tmp_path: Path) -> None:
    """The link stays a link."""
    real = pack(bundle, tmp_path / "a.zip").path
    (tmp_path / "current.zip").symlink_to("a.zip")
    signed(tmp_path / "current.zip")
    assert (tmp_path / "current.zip").is_symlink()
    assert stage_bundle(real, tmp_path / "s").signature is not None


def test_bundled_plugins_are_not_signed() -> None:
    """An installed package is not written to."""
    with pytest.raises(BundleError, match="comes with this package and can't be signed"):
        sign_bundle("builtin:echo", lambda staged: sign(staged.digest, KEY))


def test_what_has_changed_since_is_not_packed(bundle: Path, tmp_path: Path) -> None:
    """A zip whose signature is wrong helps nobody."""
    signed(bundle)
    (bundle / "plugin.py").write_text("class Demo: pass\n")
    with pytest.raises(SignatureError) as caught:
        pack(bundle, tmp_path / "a.zip")
    assert caught.value.cause == "mismatch"
    assert not (tmp_path / "a.zip").exists()


def test_a_huge_signature_is_not_read(bundle: Path, tmp_path: Path) -> None:
    """Neither is it staged."""
    (bundle / "plugin.sig").write_bytes(bytes(2000))
    with pytest.raises(BundleError, match=r"plugin\.sig has more than 1,024 bytes"):
        stage_bundle(bundle, tmp_path / "s")


def test_trust_is_asked_of_all_but_bundled_plugins(bundle: Path, tmp_path: Path) -> None:
    """With trusted keys, one of them must have signed; without, a signature is told if there is one."""
    plain = stage_bundle(bundle, tmp_path / "1")
    echo = stage_bundle("builtin:echo", tmp_path / "2")
    trusted = [str(KEY.public)]
    assert signer("demo", plain, []) == signer("builtin:echo", echo, trusted) == ""
    with pytest.raises(SignatureError):
        signer("demo", plain, trusted)
    good = stage_bundle(signed(bundle), tmp_path / "3")
    assert signer("demo", good, []) == signer("demo", good, trusted) == str(KEY.public)
    with pytest.raises(SignatureError):
        signer("demo", good, [str(OTHER.public)])
    with pytest.raises(KeyUnusable):
        signer("demo", good, [*trusted, str(tmp_path / "none")])


def test_a_wrong_signature_is_refused_by_those_who_ask_for_none(bundle: Path, tmp_path: Path) -> None:
    """It says that something has happened to the bundle."""
    signed(bundle)
    (bundle / "plugin.py").write_text("class Demo: pass\n")
    with pytest.raises(SignatureError):
        signer("demo", stage_bundle(bundle, tmp_path / "s"), [])


def test_without_the_package_nothing_passes_for_signed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where signatures are asked for loading fails; where they are not, nobody is said to have signed."""

    def cannot(*_: object) -> bool:
        raise SigningUnavailable("cryptography")

    monkeypatch.setattr(keys.PublicKey, "verify", cannot)
    staged = stage_bundle(signed(bundle), tmp_path / "s")
    assert signer("demo", staged, []) == ""
    with pytest.raises(SigningUnavailable):
        signer("demo", staged, [str(KEY.public)])


def test_reading_proves_nothing_until_it_is_verified() -> None:
    """What a signature claims is told; whether it is true is another question."""
    claimed = Signature(DIGEST, KEY.public, bytes(64))
    assert read_signature("b", DIGEST, claimed.encode()) == claimed
    with pytest.raises(SignatureError):
        verified("b", claimed)
