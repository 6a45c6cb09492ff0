"""``nyx-plugins keygen``, ``sign`` and ``verify``."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a directory of its own, which is returned."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def key(invoke: Invoke) -> str:
    """Make the key pair ``me``, and return the public key."""
    assert invoke("keygen", "me").exit_code == 0
    return Path("me.pub").read_text().strip()


@pytest.fixture
def bundle(invoke: Invoke) -> str:
    """Make the bundle ``greeter``, and return its name."""
    assert invoke("new", "greeter").exit_code == 0
    return "greeter"


def failed(result: Result, code: int) -> str:
    """The one sentence of a command that failed."""
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert result.stderr.startswith("Error: ")
    return result.stderr.removeprefix("Error: ").rstrip()


def test_a_key_pair_is_made(invoke: Invoke) -> None:
    """The private half is for its owner alone, whatever the umask; the public half is one line."""
    before = os.umask(0)
    try:
        result = invoke("keygen", "me")
    finally:
        os.umask(before)
    public = Path("me.pub").read_text()
    assert result.stdout == (
        "me.key is private: whoever has it signs as you.\n"
        "me.pub is for operators, who name it, or its line, in ceiling.trusted_keys:\n"
        f"  {public}"
    )
    assert stat.S_IMODE(Path("me.key").stat().st_mode) == 0o600
    assert Path("me.key").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    assert sorted(os.listdir()) == ["me.key", "me.pub"]
    assert Path("me.key").read_text() not in result.output


@pytest.mark.parametrize("there", ["me.key", "me.pub"])
def test_keys_are_never_replaced(invoke: Invoke, there: str) -> None:
    """A file, or a link that leads nowhere, is kept, and nothing is written beside it."""
    for make in (lambda: Path(there).write_text("precious"), lambda: Path(there).symlink_to("nowhere")):
        make()
        reason = failed(invoke("keygen", "me"), 2)
        assert reason == f"{there} is there already: keys are never replaced, so name another"
        assert os.listdir() == [there]
        Path(there).unlink()


@pytest.mark.parametrize("name", ["", "no/where", "a/", "a\0b", "x" * 300])
def test_a_name_that_will_not_do_is_refused(invoke: Invoke, name: str) -> None:
    """One sentence, and no file."""
    failed(invoke("keygen", name), 2)
    assert os.listdir() == []


def test_a_folder_is_signed_and_verified(invoke: Invoke, bundle: str, key: str) -> None:
    """The digest and the key are told by both commands."""
    signed = invoke("sign", bundle, "--key", "me.key")
    digest = signed.stdout.splitlines()[1].split()[1]
    assert signed.stdout == f"Signed greeter 0.1.0.\n  digest {digest}\n  key {key}\n"
    for option in ("me.pub", key):
        verified = invoke("verify", bundle, "--key", option)
        assert verified.stdout == (
            f"greeter 0.1.0 is unchanged since it was signed by a key that you trust.\n  digest {digest}\n  key {key}\n"
        )
    untold = invoke("verify", bundle)
    assert untold.exit_code == 0
    assert "signed by a key that nobody has called trusted (--key does)." in untold.stdout
    fields = json.loads(invoke("verify", bundle, "--json").stdout)
    assert fields == {"name": "greeter", "version": "0.1.0", "digest": digest, "signed_by": key, "trusted": False}
    assert json.loads(invoke("verify", bundle, "--key", key, "--json").stdout)["trusted"] is True


def test_a_zip_is_signed_in_its_place(invoke: Invoke, bundle: str, key: str) -> None:
    """It has the digest that it had."""
    packed = invoke("pack", bundle)
    assert invoke("sign", "greeter-0.1.0.zip", "--key", "me.key").exit_code == 0
    verified = invoke("verify", "greeter-0.1.0.zip", "--key", "me.pub")
    assert verified.stdout.splitlines()[1] == packed.stdout.splitlines()[-1]
    assert sorted(os.listdir()) == ["greeter", "greeter-0.1.0.zip", "me.key", "me.pub"]


def test_what_is_not_signed_or_by_others_fails(invoke: Invoke, bundle: str, key: str) -> None:
    """The exit code is 1, and the cause is told."""
    assert failed(invoke("verify", bundle), 1) == (
        "bundle greeter: is not signed: it has no plugin.sig, which 'nyx-plugins sign' makes"
    )
    invoke("sign", bundle, "--key", "me.key")
    invoke("keygen", "you")
    assert "which is not among the trusted keys (1)" in failed(invoke("verify", bundle, "--key", "you.pub"), 1)
    Path("greeter/plugin.py").write_text("import os")
    assert "has changed since it was signed" in failed(invoke("verify", bundle, "--key", "me.pub"), 1)
    assert "has changed since it was signed" in failed(invoke("pack", bundle), 1)


def test_signing_again_replaces_what_is_stale_or_ones_own(invoke: Invoke, bundle: str, key: str) -> None:
    """A valid signature by another key is replaced only when that is asked for."""
    invoke("keygen", "you")
    assert invoke("sign", bundle, "--key", "me.key").exit_code == 0
    before = Path("greeter/plugin.sig").read_bytes()
    assert invoke("sign", bundle, "--key", "me.key").exit_code == 0
    assert Path("greeter/plugin.sig").read_bytes() == before
    reason = failed(invoke("sign", bundle, "--key", "you.key"), 2)
    assert reason == f"bundle greeter is signed by {key}: --force replaces that signature"
    assert Path("greeter/plugin.sig").read_bytes() == before
    assert invoke("sign", bundle, "--key", "you.key", "--force").exit_code == 0
    assert invoke("verify", bundle, "--key", "you.pub").exit_code == 0
    Path("greeter/README.md").write_text("new")
    assert invoke("sign", bundle, "--key", "me.key").exit_code == 0
    Path("greeter/plugin.sig").write_text("scribble")
    assert invoke("sign", bundle, "--key", "me.key").exit_code == 0
    assert invoke("verify", bundle, "--key", "me.pub").exit_code == 0


def test_a_key_in_the_bundle_is_refused(invoke: Invoke, bundle: str) -> None:
    """It would be handed out with the bundle."""
    invoke("keygen", "greeter/me")
    reason = failed(invoke("sign", bundle, "--key", "greeter/me.key"), 2)
    assert reason == "greeter/me.key lies in the bundle, and would be handed out with it: move it to another place"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["sign", "greeter", "--key", "none"], "key none: can't be read: No such file or directory"),
        (["sign", "greeter", "--key", "me.pub"], "key me.pub: is a public key: name the file with the private one"),
        (["sign", "nowhere", "--key", "me.key"], "bundle nowhere: it can't be read: No such file or directory"),
        (
            ["sign", "builtin:echo", "--key", "me.key"],
            "bundle builtin:echo: comes with this package and can't be signed",
        ),
        (["sign", "greeter"], "missing option '--key'; try 'nyx-plugins sign --help'"),
        (["verify", "greeter", "--key", "me.key"], "key me.key: is a PEM file: name the file with the public key, one"),
        (["verify", "greeter", "--key", "ed25519:x"], "key ed25519:x: must be ed25519: and 32 bytes in base64, not"),
        (["verify", "nowhere"], "bundle nowhere: it can't be read: No such file or directory"),
    ],
)
@pytest.mark.usefixtures("bundle", "key")
def test_wrong_arguments_give_one_sentence(invoke: Invoke, arguments: list[str], reason: str) -> None:
    """Exit code 2, and what to do."""
    assert failed(invoke(*arguments), 2).startswith(reason)


def test_a_folder_that_can_not_be_written_keeps_what_it_has(
    invoke: Invoke, bundle: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs no signature."""
    invoke("sign", bundle, "--key", "me.key")
    before = Path("greeter/plugin.sig").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    Path("greeter/README.md").write_text("new")
    failed(invoke("sign", bundle, "--key", "me.key"), 2)
    failed(invoke("keygen", "you"), 2)
    assert Path("greeter/plugin.sig").read_bytes() == before
    assert sorted(os.listdir()) == ["greeter", "me.key", "me.pub"]
    assert sorted(os.listdir("greeter")) == ["README.md", "plugin.py", "plugin.sig", "plugin.toml", "test_greeter.py"]


def test_the_commands_of_the_document_work(invoke: Invoke) -> None:
    """What docs/commands.md shows is what can be typed, in that order."""
    root = Path(__file__).parents[2]
    Path("shout").mkdir()
    readme = (root / "README.md").read_text()
    Path("shout/plugin.toml").write_text(re.findall(r"```toml\n(.*?)```", readme, re.S)[0])
    Path("shout/plugin.py").write_text(re.findall(r"```python\n(.*?)```", readme, re.S)[1])
    text = (root / "docs" / "commands.md").read_text().partition("## Signing plugins")[2]
    [*lines] = re.findall(r"```sh\n(.*?)```", text, re.S)[0].splitlines()
    assert len(lines) == 4
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert (program, invoke(*arguments).exit_code) == ("nyx-plugins", 0)


def test_a_configuration_with_bad_keys_is_refused(invoke: Invoke, config: Callable[[str], Path]) -> None:
    """``config check`` reads the files of keys, and names the item."""
    path = config('[ceiling]\ntrusted_keys = ["none.pub"]\n')
    result = invoke("config", "check", path)
    assert result.exit_code == 2
    assert "ceiling.trusted_keys[0]" in result.output and "none.pub: can't be read" in result.output
