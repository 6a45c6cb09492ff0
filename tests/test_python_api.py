"""docs/python-api.md names everything that is public, nothing that is not, and its programs run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import nyx_plugins
from nyx_plugins import NyxPluginError, PluginSystem

PAGE = (Path(__file__).parent.parent / "docs" / "python-api.md").read_text()
CODE = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", PAGE) + re.findall(r"```python\n.*?```", PAGE, re.S))))


def test_every_public_name_is_on_the_page() -> None:
    """Whoever adds one, or a method, says what it is for."""
    methods = {name for name in dir(PluginSystem) if not name.startswith("_")}
    assert {*nyx_plugins.__all__, *methods} - CODE == set()


def test_the_tables_of_errors_are_those_of_the_package() -> None:
    """Each error stands in one row, and each row has an error."""
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.split("## Errors")[1], re.M)
    public = {name: getattr(nyx_plugins, name) for name in nyx_plugins.__all__}
    errors = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, NyxPluginError)}
    assert sorted(rows) == sorted(errors - {"NyxPluginError"})


@pytest.mark.parametrize(
    ("program", "said"), [(0, "processed\n" * 1_001), (1, "plugin 1002 is ready\n")], ids=["sending", "events"]
)
def test_a_program_of_the_page_does_what_it_says(tmp_path: Path, program: int, said: str) -> None:
    """It is run as it stands."""
    code = re.findall(r"```python\n(.*?)```", PAGE, re.S)[program]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150, cwd=tmp_path
    )
    assert run.stdout == said
