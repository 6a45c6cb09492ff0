"""Lines of keys in TOML documents."""

from __future__ import annotations

import pytest

from nyx_plugins.config.lines import key_lines, line_of

DOCUMENT = '''# A comment with [brackets] and = signs
top = 1

[limits]   # [not.this]
mailbox_capacity = [  # a list
    1, # ] x = 5
]
text = """
event_queue = 7 \\""" x
[no.header]
"""""
literal = \'\'\'
no = 1\'\'\'
"quoted key" . 'b' = { inner = 1, more = [ { x = 2 } ] }

[[plugins]]
bundle = "a # b"
[plugins.config]
deep.er = '='
[[plugins]]
bundle = "]"
[[plugins.list]]
x = 1
[[plugins.list]]
x = 2
["a.b"]
c = 1'''


def test_each_key_and_each_header_has_its_line() -> None:
    """Strings, comments, lists and inline tables hide nothing and add nothing."""
    assert key_lines(DOCUMENT) == {
        "top": 2,
        "limits": 4,
        "limits.mailbox_capacity": 5,
        "limits.text": 8,
        "limits.literal": 12,
        "limits.'quoted key'.b": 14,
        "plugins[0]": 16,
        "plugins[0].bundle": 17,
        "plugins[0].config": 18,
        "plugins[0].config.deep.er": 19,
        "plugins[1]": 20,
        "plugins[1].bundle": 21,
        "plugins[1].list[0]": 22,
        "plugins[1].list[0].x": 23,
        "plugins[1].list[1]": 24,
        "plugins[1].list[1].x": 25,
        "'a.b'": 26,
        "'a.b'.c": 27,
    }


def test_lines_end_as_they_like() -> None:
    """Carriage returns make no difference."""
    assert key_lines("\r\n[a]\r\n\r\nb = 1\r\n") == {"a": 2, "a.b": 4}


@pytest.mark.parametrize(
    ("key", "line"),
    [("limits.mailbox_capacity[3]", 5), ("plugins[1].list[1].x.y", 25), ("plugins[9].bundle", None), ("none", None)],
)
def test_what_has_no_line_of_its_own_is_where_its_table_is(key: str, line: int | None) -> None:
    """Items of lists and keys of inline tables are found at what they are in."""
    assert line_of(key, key_lines(DOCUMENT)) == line
