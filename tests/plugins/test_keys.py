"""Keys: their text, their files, and everything that is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.errors import KeyUnusable, SigningUnavailable
from nyx_plugins.plugins.keys import PrivateKey, PublicKey, public_keys

KEY = PublicKey(bytes(range(32)))
OTHER = PublicKey(bytes(32))


@given(st.binary(min_size=32, max_size=32))
def test_a_public_key_has_one_spelling(raw: bytes) -> None:
    """Its text is read back, and no other text is the same key."""
    text = str(PublicKey(raw))
    assert PublicKey.parse(text).raw == raw
    for other in (text + "\n", text + "=", text.rstrip("="), " " + text, text.removeprefix("ed25519:"), text.upper()):
        with pytest.raises(ValueError, match="must be ed25519: and 32 bytes in base64"):
            PublicKey.parse(other)


def test_base64_with_stray_bits_is_no_key() -> None:
    """The last character of a key has bits that decoding ignores."""
    text = str(OTHER)
    with pytest.raises(ValueError, match="must be ed25519:"):
        PublicKey.parse(text[:-2] + "B=")


def test_what_a_key_signs_it_verifies() -> None:
    """And nothing else, nor what another has signed."""
    key, other = PrivateKey.generate(), PrivateKey.generate()
    signature = key.sign(b"x")
    assert len(signature) == 64 and signature == key.sign(b"x")
    assert key.public.verify(signature, b"x")
    assert not key.public.verify(signature, b"y")
    assert not key.public.verify(signature[:-1], b"x")
    assert not other.public.verify(signature, b"x")
    assert not OTHER.verify(signature, b"x")


def pem(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """Write a key file."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_private_key_comes_back_from_its_file(tmp_path: Path) -> None:
    """What is written can be read, and signs the same."""
    key = PrivateKey.generate()
    read = PrivateKey.read(pem(tmp_path / "k", key.pem()))
    assert (read.public, read.sign(b"x")) == (key.public, key.sign(b"x"))


def test_openssl_makes_keys_too(tmp_path: Path) -> None:
    """A PKCS #8 file of another program will do."""
    path = tmp_path / "k"
    try:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True, timeout=150)
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    path.chmod(0o600)
    assert len(PrivateKey.read(path).public.raw) == 32


def _other_kinds() -> dict[str, tuple[bytes, str]]:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    plain, locked = serialization.NoEncryption(), serialization.BestAvailableEncryption(b"secret")
    x = x25519.X25519PrivateKey.generate()
    return {
        "rsa": (rsa.generate_private_key(65537, 2048).private_bytes(*form, plain), "is no Ed25519 key"),
        "x25519": (x.private_bytes(*form, plain), "is no Ed25519 key"),
        "locked": (x.private_bytes(*form, locked), "is protected by a password"),
        "public": (f"{KEY}\n".encode(), "is a public key: name the file with the private one"),
        "empty": (b"", "is no private key in a PEM file"),
        "noise": (os.urandom(300), "is no private key in a PEM file"),
        "cut": (PrivateKey.generate().pem()[:60], "is no private key in a PEM file"),
        "huge": (bytes(70_000), "has more than 65,536 bytes"),
    }


@pytest.mark.parametrize("kind", ["rsa", "x25519", "locked", "public", "empty", "noise", "cut", "huge"])
def test_what_is_no_private_key_is_refused(tmp_path: Path, kind: str) -> None:
    """Each with its own reason, which quotes nothing of the file."""
    content, reason = _other_kinds()[kind]
    with pytest.raises(KeyUnusable) as caught:
        PrivateKey.read(pem(tmp_path / "k", content))
    assert caught.value.reason.startswith(reason)
    assert str(caught.value) == f"key {tmp_path / 'k'}: {caught.value.reason}"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604, 0o601])
def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """It is no secret any more, and the mode is told."""
    with pytest.raises(KeyUnusable, match=f"may be read or changed by others .mode 0{mode:o}.: chmod 600 it"):
        PrivateKey.read(pem(tmp_path / "k", PrivateKey.generate().pem(), mode))


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """Folders, pipes that nobody writes to, and what is not there."""
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path, "can't be read: Is a directory"),
        (tmp_path / "pipe", "is no file"),
        (tmp_path / "x", "can't be read"),
    ):
        with pytest.raises(KeyUnusable, match=reason):
            PrivateKey.read(path)
        with pytest.raises(KeyUnusable, match=reason):
            public_keys([str(path)])
    with pytest.raises(KeyUnusable, match="can't be read"):
        PrivateKey.read("a\0b")


def test_trusted_keys_are_named_or_lie_in_files(tmp_path: Path) -> None:
    """A file has a key on each line; comments and empty lines are left out."""
    (tmp_path / "ring").write_text(f"# ours\n\n{KEY}  # build server\n")
    assert public_keys([str(OTHER), str(tmp_path / "ring"), str(KEY)]) == {KEY, OTHER}
    assert public_keys([]) == frozenset()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no public key"),
        (b"# nothing\n", "holds no public key"),
        (b"ed25519:AAAA\n", "must be ed25519: and 32 bytes in base64, not 'ed25519:AAAA'"),
        (f"{KEY}\n{KEY}x\n".encode(), "must be ed25519: and 32 bytes in base64"),
        (b"-----BEGIN PRIVATE KEY-----\n", "is a PEM file"),
        (b"\xff\xfe", "is no text file"),
        (bytes(70_000), "has more than 65,536 bytes"),
    ],
)
def test_a_file_without_good_keys_trusts_nobody(tmp_path: Path, content: bytes, reason: str) -> None:
    """One bad line spoils the file: half a list of trusted keys is no list."""
    with pytest.raises(KeyUnusable, match=reason):
        public_keys([str(KEY), str(pem(tmp_path / "ring", content))])


def test_a_list_that_anybody_may_change_trusts_nobody(tmp_path: Path) -> None:
    """Else whoever has an account could add a key."""
    with pytest.raises(KeyUnusable, match=r"may be changed by anybody \(mode 0646\): chmod o-w it"):
        public_keys([str(pem(tmp_path / "ring", f"{KEY}\n".encode(), 0o646))])
    assert public_keys([str(pem(tmp_path / "ring", f"{KEY}\n".encode(), 0o664))]) == {KEY}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who has installed only the core is told how to get the rest."""
    key = pem(tmp_path / "k", PrivateKey.generate().pem())
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for attempt in (PrivateKey.generate, lambda: PrivateKey.read(key), lambda: KEY.verify(bytes(64), b"")):
        with pytest.raises(SigningUnavailable, match=r"package cryptography; pip install 'nyx-plugins\[signing\]'"):
            attempt()
