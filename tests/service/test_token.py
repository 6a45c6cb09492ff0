"""The dashboard's token and the file that holds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nyx_plugins import StartupError
from nyx_plugins.service.token import MIN_CHARS, check_token, read_token


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return an empty file that is private."""
    path = tmp_path / "token"
    path.touch(0o600)
    return path


def test_the_token_is_the_text_of_its_file(file: Path) -> None:
    """The line end that editors put there is no part of it."""
    file.write_text(f" {'t' * MIN_CHARS}\n")
    assert read_token(str(file)) == "t" * MIN_CHARS


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"x", "can be guessed, with a length of 1: at least 16 characters are needed"),
        (b"x" * 15, "can be guessed"),
        ("schl\u00fcssel-schl\u00fcssel".encode(), "ASCII"),
        (b"two lines are no\ntoken", "in one line"),
        (b"\xff" * 16, "is no text"),
    ],
)
def test_a_bad_token_is_told_with_its_file(file: Path, data: bytes, said: str) -> None:
    """One sentence says what is wrong and where."""
    file.write_bytes(data)
    with pytest.raises(StartupError, match=said) as raised:
        read_token(str(file))
    assert str(file) in str(raised.value)


def test_a_file_that_others_can_read_holds_no_token(file: Path) -> None:
    """It would be no secret."""
    file.write_text("t" * MIN_CHARS)
    file.chmod(0o640)
    with pytest.raises(StartupError, match="can be read by others: make it private"):
        read_token(str(file))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With the reason that the system gives."""
    with pytest.raises(StartupError, match="can't be read: No such file or directory"):
        read_token(str(tmp_path / "none"))


def test_nobody_is_waited_for(tmp_path: Path) -> None:
    """A pipe may never have a writer."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(StartupError, match=f"{tmp_path}/pipe can't be read: it must be a regular file"):
        read_token(str(tmp_path / "pipe"))


@pytest.mark.parametrize("token", ["t" * MIN_CHARS, "a passphrase with spaces"])
def test_a_good_token_is_returned(token: str) -> None:
    """All of printable ASCII will do."""
    assert check_token(token) == token
