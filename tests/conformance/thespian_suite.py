"""Runs the functional tests that come with Thespian on one system base, and compares what passes with a list.

A pytest plugin, for ``make conformance``: ``--base NAME`` says which base (``unix``: ours), ``--expected FILE`` which
tests have to pass, ``--record FILE`` writes down which did. Ids are without the name of the base.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nyx_plugins.actors.transports import unix

# Thespian's fixtures give a base an admin port and a convention if its name begins like this.
_OURS = "multiprocTCPUnixBase"
# Tests of a class for network addresses: they use no base, and are named after this machine's addresses.
_OF_THIS_MACHINE = "test_ipbase.py"
# It counts on an actor taking longer to be made than another one to end: on our base both take some six milliseconds.
_HASTY = "test_confused_exit"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, and the one that Thespian's tests ask for."""
    parser.addoption("--base", default="unix", help="the system base: unix, or one of Thespian's own")
    parser.addoption("--expected", type=Path, help="a file with the ids of tests that have to pass")
    parser.addoption("--record", type=Path, help="write the ids of the tests that passed to this file")
    parser.addoption("--unstable", action="store_true", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Let the suite's fixtures start the chosen base and no other, with everything that it writes in one folder."""
    base = config.getoption("base")
    name = unix.install(_OURS) if base == "unix" else base
    _run_on(importlib.import_module("thespian.test"), "asys", name)
    _run_on(importlib.import_module("thespian.test.test_HAConvention"), "testsystems", name)
    # One of its tests fails where the interpreters that it starts don't buffer what they print.
    os.environ.pop("PYTHONUNBUFFERED", None)
    if "THESPLOG_FILE" not in os.environ:
        # Not mkdtemp: one of the tests wants no underscore in an address, and here the folder is a part of it.
        folder = os.path.join(tempfile.gettempdir(), f"thespian-{os.urandom(8).hex()}")
        os.mkdir(folder, 0o700)
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["THESPLOG_FILE"] = str(Path(folder, "thespian.log"))
        os.environ["XDG_RUNTIME_DIR"] = folder
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Comparison(config, name))


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give one test the pause that Thespian's other tests make until the news of an actor's end are there."""
    if getattr(request.node, "originalname", None) != _HASTY:
        return
    system = request.getfixturevalue("asys")
    delay = importlib.import_module("thespian.test").delay_for_next_of_kin_notification
    tell = system.tell
    monkeypatch.setattr(system, "tell", lambda *message: (tell(*message), delay(system)))


def _run_on(module: ModuleType, fixture: str, base: str) -> None:
    """Replace a fixture that takes its turn with every base."""
    function = getattr(module, fixture)._get_wrapped_function()
    setattr(module, fixture, pytest.fixture(params=[base], name=fixture)(function))


class _Comparison:
    """Collects what passed, in the process that all workers report to."""

    def __init__(self, config: pytest.Config, base: str) -> None:
        self._config = config
        self._base = base
        self._passed: set[str] = set()
        self._missing: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that passed, also if only the second time."""
        test = self._general(report.nodeid)
        if report.when == "call" and report.passed and not test.startswith(_OF_THIS_MACHINE):
            self._passed.add(test)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compare, or record."""
        expected, record = self._config.getoption("expected"), self._config.getoption("record")
        if record is not None:
            record.write_text("\n".join(sorted(self._passed)) + "\n")
        if expected is not None:
            self._missing = sorted(set(expected.read_text().split("\n")) - {""} - self._passed)
        if self._missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what is missing."""
        expected = self._config.getoption("expected")
        if expected is None:
            return
        wanted = len([line for line in expected.read_text().split("\n") if line])
        terminalreporter.write_sep("-", f"{self._config.getoption('base')} against {expected.name}")
        terminalreporter.write_line(f"{wanted - len(self._missing)} of {wanted} required tests passed")
        for test in self._missing:
            terminalreporter.write_line(f"MISSING {test}", red=True)

    def _general(self, test: str) -> str:
        """Leave the base's name, and the way to the file, out of an id."""
        test = test.partition("::")[0].rpartition("/")[2] + "::" + test.partition("::")[2]
        return test.replace(f"[{self._base}]", "").replace(f"{self._base}-", "").replace(f"-{self._base}", "")
