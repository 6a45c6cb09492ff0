"""Completion in a real shell, and the scripts for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nyx_plugins.cli.main import cli

Service = Any
Complete = Callable[..., list[str]]

# What bash does when the user presses the tabulator key at the end of the words.
SHELL = """
eval "$(nyx-plugins completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_nyx_plugins_completion nyx-plugins
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(tmp_path: Path) -> Complete:
    """Return a function that tells what bash offers for the last of some words."""
    program = tmp_path / "bin" / "nyx-plugins"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m nyx_plugins.cli "$@"\n')
    program.chmod(0o755)

    def offers(service: Service, *words: str) -> list[str]:
        environment = {**service.environment, "PATH": f"{program.parent}:/usr/bin:/bin"}
        said = subprocess.run(
            ["bash", "--norc", "-c", SHELL, "bash", "nyx-plugins", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            stdin=subprocess.DEVNULL,
        )
        assert (said.returncode, said.stderr) == (0, "")
        return said.stdout.split()

    return offers


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sta",), ["stats", "status"]),
        (("dispatch", "--ty"), ["--type"]),
        (("dispatch", "--type", "h"), ["handshake"]),
        (("unload", ""), ["1002", "1003"]),
        (("unload", "1002", "k"), ["kv"]),
        (("request", "10"), ["1002", "1003"]),
        (("grant", "echo", "da"), ["data_access"]),
        (("stats", "e"), ["echo"]),
        (("top", "--sort", "re"), ["restarts"]),
    ],
)
def test_bash_completes(words: tuple[str, ...], expected: list[str], loaded: Service, complete: Complete) -> None:
    """Commands, options, their values, and the ids and names of the plugins that run."""
    assert complete(loaded, *words) == expected


def test_without_a_service_no_plugin_is_offered(service: Service, complete: Complete, tmp_path: Path) -> None:
    """And nothing is said: the user is typing."""
    assert complete(service, "unload", "--runtime-dir", str(tmp_path), "") == []


def run(*arguments: str, shell: str | None = None) -> Result:
    """Run the command in this process, for a user with some login shell."""
    return CliRunner(env={"SHELL": shell}).invoke(cli, ["completion", *arguments], prog_name="nyx-plugins")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    """By name, or because it is the login shell."""
    named = run(shell, shell="/bin/sh")
    assert (named.exit_code, named.stderr) == (0, "")
    assert f"_NYX_PLUGINS_COMPLETE={shell}_complete" in named.stdout
    assert run(shell=f"/usr/local/bin/{shell}").stdout == named.stdout


@pytest.mark.parametrize(("shell", "named"), [("/bin/dash", "dash"), ("", "unknown"), (None, "unknown")])
def test_another_login_shell_is_no_guess(shell: str | None, named: str) -> None:
    """One sentence says what to choose from."""
    result = run(shell=shell)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: the login shell is {named}: name one of bash, zsh, fish\n"
