"""The load tests as one command."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests.__main__ import main


@pytest.mark.parametrize("name", ["bench", "chaos", "compare", "gate", "growth", "peers", "recovery", "swap"])
def test_each_load_test_tells_what_it_does(name: str) -> None:
    """It has its place in the list, and a help of its own."""
    assert f"\n  {name} " in CliRunner().invoke(main, ["--help"]).output
    assert "  --" in CliRunner().invoke(main, [name, "--help"]).output
