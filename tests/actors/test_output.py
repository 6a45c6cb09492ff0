"""What the host's processes print: cut into records, bounded, and handed on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.log_lines import HostLine
from nyx_plugins.actors.output import BURST, MAX_LINE_CHARS, MAX_RECORD_CHARS, Quota, Records, parse

TRACEBACK = """\
PluginActor crashed:
Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
    ^^^
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in g
    h()
ValueError: y
"""


def records(*pieces: bytes) -> list[str]:
    """The texts of the records that come of these reads."""
    found = Records()
    lines = [line for piece in pieces for line in found.feed(piece)]
    return [line.text for line in [*lines, *found.end()]]


def test_a_traceback_is_one_record_however_it_arrives() -> None:
    """With its heading and the exception before it; what follows is another record."""
    text = f"before\n{TRACEBACK}after\n"
    expected = ["before", TRACEBACK.rstrip("\n"), "after"]
    assert records(text.encode()) == expected
    assert records(*(bytes([byte]) for byte in text.encode())) == expected


def test_lines_that_are_not_indented_are_records_of_their_own() -> None:
    """Carriage returns at their ends and empty lines are no matter; what is no UTF-8 is replaced."""
    assert records(b"one\r\ntwo\n  more of two\n\n\xff\n", b"last") == ["one", "two\n  more of two", "�", "last"]


def test_a_line_without_an_end_is_cut() -> None:
    """However much of it comes."""
    [line] = records(*[b"x" * 100_000] * 20)
    assert line == "x" * MAX_LINE_CHARS + " ... (cut)"


def test_a_record_without_an_end_is_cut() -> None:
    """Indented lines could go on for ever."""
    found = records(b"head\n", *[b" more\n"] * 10_000)
    assert len(found) > 1
    assert max(map(len, found)) < 2 * MAX_RECORD_CHARS


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_nothing_that_is_printed_is_lost_below_the_limits(pieces: list[bytes]) -> None:
    """All words that went in come out, in order, wherever the reads cut them."""
    assert " ".join(records(*pieces)).split() == b"".join(pieces).decode("utf-8", "replace").split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ERROR pid=17 root: it is broken\n  more", HostLine("root: it is broken\n  more", 40, 17)),
        ("2026-11-26 01:28:13.670000 p123 ERR  can't read", HostLine("can't read", 40, 123)),
        ("2026-11-26 01:28:13.670000 p123 ??   odd", HostLine("odd", 30, 123)),
        ("ERROR: something else", HostLine("ERROR: something else", 30, None)),
        (TRACEBACK, HostLine(TRACEBACK, 40, None)),
    ],
)
def test_level_and_process_are_found_where_they_are_printed(text: str, expected: HostLine) -> None:
    """In what the actors' loggers print, and in Thespian's own log; a crash is an error, everything else a warning."""
    assert parse(text) == expected


def test_the_quota_allows_a_burst_and_then_a_rate() -> None:
    """What is beyond waits for nobody."""
    quota = Quota(100.0)
    assert sum(quota.take(100.0) for _ in range(2 * BURST)) == BURST
    assert sum(quota.take(102.0) for _ in range(2 * BURST)) == 100


PROGRAM = """
import json, os, sys
from nyx_plugins.actors.output import Output
to = os.fdopen(os.dup(1), "w")
taken = []
output = Output(lambda line: taken.append(line) or len(taken) != 2)
os.write(2, b"early\\n")
output.take()
if sys.argv[1] == "start":
    output.start()
child = os.fork()
if not child:
    print("from a child", flush=True)
    os._exit(0)
os.waitpid(child, 0)
os.write(1, b"flood\\n" * 1000 + b"no end")
output.close()
os.write(1, b"nowhere")
json.dump([line.text for line in taken], to)
"""


@pytest.mark.parametrize("start", ["start", "never"])
def test_all_output_of_all_processes_is_handed_on_before_the_end(start: str) -> None:
    """Early or late, from here or from a child; what was refused or too much is counted, and said."""
    # From Python 3.12 on a fork beside a thread is warned of.
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, start]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    taken = json.loads(said.stdout)
    assert taken[:3] == ["early", "from a child", "flood"]
    # The second was refused; of the rest only a burst goes, and then how much went is said.
    assert taken[-1].endswith(" records dropped: they came faster than they were taken")
    assert BURST <= len(taken) < BURST + 100
    assert int(taken[-1].split()[0].replace(",", "")) == 1 + 1003 - (len(taken) - 1)
