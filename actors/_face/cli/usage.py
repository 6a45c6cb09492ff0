"""Wrong arguments, each told in one sentence that names the command's help."""

from __future__ import annotations

from collections.abc import Collection

import click

from .failure import Failure

# What click calls its own types.
_WORDS = {
    "is not a valid integer range": "is no whole number, such as 1000",
    "is not a valid float range": "is no number, such as 1.5",
    "is not a valid float": "is no number, such as 1.5",
}


def usage_failure(error: click.UsageError) -> click.ClickException:
    """Put what click says of a wrong argument into one sentence that names the command's help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    text = _usage_text(error)
    return Failure(f"{text}; try '{error.ctx.command_path} --help'" if error.ctx else text)


def _usage_text(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        options = [name for param in error.ctx.command.params for name in param.opts] if error.ctx else []
        return f"no such option {error.option_name!r}{alike(error.option_name, [*options, '--help'])}"
    text = error.format_message().rstrip(".")
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def alike(name: str, names: Collection[str]) -> str:
    """Return a question about the names that are spelt alike, in parentheses; nothing if there is none."""
    from difflib import get_close_matches

    found = get_close_matches(name, names, cutoff=0.7)
    return f" (did you mean {' or '.join(map(repr, found))}?)" if found else ""
