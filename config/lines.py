"""Where in a TOML document each key is: tomllib tells values only."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator

from .checks import joined, shown_key

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[\]{}=.\n]"
    r"|[^\[\]{}=.\n\"'#]+",
    re.DOTALL,
)


def key_lines(text: str) -> dict[str, int]:
    """The line of each dotted key of a valid document, such as ``plugins[0].bundle``; keys of inline tables are not in.

    A table is where its header is.
    """
    found: dict[str, int] = {}
    counts: Counter[str] = Counter()
    table = ""
    for line, statement in _statements(text):
        if statement[0] != "[":
            found.setdefault(_dotted(table, statement, counts), line)
            continue
        name = [token for token in statement if token not in "[]"]
        if statement[1] == "[":
            counts[_dotted("", name, counts, is_array=True)] += 1
        table = _dotted("", name, counts)
        found.setdefault(table, line)
    return found


def line_of(key: str, lines: dict[str, int]) -> int | None:
    """The line of a dotted key, or of what it is in."""
    while key and key not in lines:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return lines.get(key)


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each header, and each key without its value, as (line, tokens)."""
    line, depth, in_value, begun = 1, 0, False, 1
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n" and depth == 0:
            if tokens and not in_value:
                yield begun, tokens
            tokens, in_value = [], False
        elif in_value:
            depth += (token in "[{") - (token in "]}")
        elif token == "=":
            yield begun, tokens
            in_value = True
        elif token[0] != "#" and token.strip():
            begun = begun if tokens else line
            tokens.append(token.strip())
        line += token.count("\n")
    if tokens and not in_value:
        yield begun, tokens


def _dotted(table: str, tokens: list[str], counts: Counter[str], is_array: bool = False) -> str:
    """Write a key as errors do: a part that is an array of tables means its last one, unless this is its header."""
    parts = [_part(token) for token in tokens if token != "."]
    key = table
    for number, part in enumerate(parts, 1):
        key = joined(key, shown_key(part))
        if counts[key] and not (is_array and number == len(parts)):
            key += f"[{counts[key] - 1}]"
    return key


def _part(token: str) -> str:
    return str(tomllib.loads(f"key = {token}")["key"]) if token[0] in "\"'" else token
