"""What makes a bundle fit or unfit for `nyx-plugins check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import CHATTY, Check, Invoke, results


def test_a_bundle_may_have_what_it_asks_for(bundle: Callable[..., Path], check: Check) -> None:
    """Its sandbox requests are granted, whatever they are."""
    asked = (
        'permissions = ["control"]\n[sandbox]\nread_paths = ["/etc"]\nwrite_paths = ["/tmp"]\nnetwork = ["*"]\n'
        'memory_bytes = 1073741824\ncpu_seconds = 100\nwall_time_s = 100.0\nopen_files = 1000\nenvironment = ["HOME"]\n'
        "subprocesses = true\n"
    )
    code, found = check(bundle(manifest=asked), "--transport", "inline", "--control", "SBX:OPEN /etc/hosts")
    assert (code, results(found)) == (0, {"on_control": "no reply"})
    assert found["loaded"]["policy"]["wall_time_s"] == 100


def test_a_frame_that_the_policy_denies_reaches_no_handler(check: Check) -> None:
    """The refusal is told as a fault."""
    code, found = check("builtin:echo", "--transport", "inline", "--control", "SBX:OPEN /etc/hosts")
    assert (code, results(found)["on_control"]) == (1, "was not called")
    assert "denied by policy" in found["faults"][0]


def test_required_plugins_are_loaded_before(bundle: Callable[..., Path], check: Check, invoke: Invoke) -> None:
    """Without them the plugin can't be loaded; --with names them."""
    folder = bundle(manifest='permissions = ["data_access"]\n[requires]\necho = ">=1"\n')
    refused = invoke("check", folder, "--transport", "inline")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "Error: plugin 1 requires echo >=1 (not loaded)\n"
    assert check(folder, "--transport", "inline", "--with", "builtin:echo")[0] == 0


def test_every_fault_of_a_manifest_is_listed(bundle: Callable[..., Path], invoke: Invoke) -> None:
    """A manifest that can't be used has exit code 2, before anything is started."""
    folder = bundle(manifest='permissions = ["fly"]\ncapacity = 0\nnonsense = 1\n')
    for options in ([], ["--json"]):
        result = invoke("check", folder, *options)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        for key in ("permissions", "capacity", "nonsense"):
            assert key in result.stderr


def test_frame_types_of_a_configuration_and_handshakes_are_tried_too(
    bundle: Callable[..., Path], tmp_path: Path, answer: Callable[..., Any]
) -> None:
    """A plugin that requires a handshake gets one that it understands first; each type of its own leads to on_frame."""
    config = tmp_path / "nyx-plugins.toml"
    config.write_text(
        '[frame_types]\nown = { type = 0x55, permission = "own" }\nother = { type = 0x56, permission = "x" }'
    )
    code = CHATTY + "\n    def on_frame(self, frame):\n        return b'%d' % frame.type\n"
    manifest = 'permissions = ["handshake", "own"]\nrequire_handshake = true\n[handshake]\nversions = [7]\n'
    found = answer("check", str(bundle(code, manifest)), "--config", str(config), "--transport", "inline")
    assert [(item["handler"], item["result"]) for item in found["handlers"]] == [
        ("on_handshake", "no reply"),
        ("on_frame", "replied"),
    ]
    assert found["faults"] == []
