"""Ctrl-C and SIGTERM, with real signals: whatever takes minutes writes what it has measured by then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nyx_plugins.load_tests.reading import read

TINY = {
    "bench": ["--rounds", "1", "--seconds", "0.01"],
    "peers": ["--rounds", "1", "--seconds", "0.01", "--peer", "mp-queue"],
}


@pytest.mark.parametrize(("name", "number"), [("bench", signal.SIGINT), ("peers", signal.SIGTERM)])
def test_what_was_measured_before_a_signal_is_written(
    name: str, number: int, tmp_path: Path, nobody_left: None
) -> None:
    """It comes with the second thing that is to be measured: the first one is in the result, and nobody is left."""
    command = [sys.executable, "-P", "-m", "nyx_plugins.load_tests", name, *TINY[name], "--output", str(tmp_path)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, process_group=0
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.readline()
        os.killpg(process.pid, number)
        said = process.stderr.read()
        assert process.wait() == 128 + number, said
    assert "Traceback" not in said
    result = read(tmp_path)
    assert result.ended == "interrupted" and result.rounds[0].metrics
    assert (tmp_path / "report.html").exists() or name != "bench"
    text = (tmp_path / "result.json").read_text()
    assert str(tmp_path) not in text and sys.prefix not in text and os.uname().nodename not in text
