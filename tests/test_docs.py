"""What the documents show is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_the_transport_can_be_used_as_its_document_says(tmp_path: Path, runtime_base: Path) -> None:
    """The program of docs/transport.md is run as it stands, and leaves nothing in the directory of sockets."""
    [program] = re.findall(r"```python\n(.*?)```", (DOCS / "transport.md").read_text(), re.S)
    path = tmp_path / "hello.py"
    path.write_text(program)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_base), "THESPLOG_FILE": str(tmp_path / "thespian.log")}
    with (tmp_path / "output").open("w+") as output:
        subprocess.run([sys.executable, str(path)], stdout=output, env=environment, timeout=150, check=True)
        output.seek(0)
        assert output.read() == "hello, world\n"
    assert list(runtime_base.iterdir()) == []
