"""docs/security.md tells of every attempt, and what each layer alone stops."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .catalogue import NUMBERED
from .conftest import Warden
from .table import BEGIN, END, machine, table

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"


def written() -> str:
    """Return the table as it stands in the document."""
    return DOCUMENT.read_text().split(BEGIN)[1].split(END)[0].strip()


def test_every_attempt_is_in_the_document() -> None:
    """Number and title of each, in order."""
    rows = [line.split(" | ")[:2] for line in written().splitlines() if line.startswith("| ") and "| nr |" not in line]
    assert rows == [[f"| {number}", attempt.title] for number, attempt in NUMBERED.items()]


# Two hundred processes and five bombs that each use up a second of processor time: on a busy machine that adds up.
@pytest.mark.timeout(300)
def test_the_table_is_what_happens(warden: Callable[[str], Warden]) -> None:
    """Each layer alone stops exactly what the document says. ``UPDATE_TABLE=1`` writes it anew."""
    root = warden("root")
    if os.environ.get("UPDATE_TABLE"):
        before, after = DOCUMENT.read_text().split(BEGIN)[0], DOCUMENT.read_text().split(END)[1]
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table(root)}\n\n{END}{after}")
    if machine() not in written():
        pytest.skip(f"the table was measured elsewhere; this is {machine()}")
    assert table(root) == written()
