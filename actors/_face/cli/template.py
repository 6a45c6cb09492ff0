"""A new plugin, made of the one in ``data/template``: a working bundle, in which name, class and id are replaced."""

from __future__ import annotations

import builtins
import hashlib
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import attrs
import click

from ..config.errors import NyxPluginError
from ..plugins.manifest import NAME_PATTERN
from .failure import one_line

DERIVED_IDS = range(100_000, 1_000_000)
"""The ids that are derived from names: six digits, easily typed, and beyond those that people hand out one by one."""

# The template's own words, which give way to the new plugin's.
_NAME, _CLASS, _ID, _TEST = "greeter", "Greeter", "100000", "test_greeter"
_ROLES = {
    "plugin.toml": "what it is, and what it may do",
    "plugin.py": "its code",
    f"{_TEST}.py": "its tests",
    "README.md": "what to do with it",
}
# What a class of the same name would hide from the plugin's own code.
_TAKEN = {*dir(builtins), "Plugin", "Context", "Frame"}


class TargetRefused(NyxPluginError, ValueError):
    """A new plugin can't be written into ``directory``: see ``reason``. Name another with ``--directory``."""

    def __init__(self, directory: str, reason: str) -> None:
        self.directory = directory
        self.reason = reason
        super().__init__(f"{directory} {reason}")


@attrs.frozen
class NewPlugin:
    """What a new plugin is called in its manifest, its code and its tests."""

    name: str
    plugin_id: int

    @property
    def class_name(self) -> str:
        """Turn the name into a class's: ``image-resizer.2`` is ``ImageResizer2``."""
        words = "".join(part.capitalize() for part in re.split("[-_.]+", self.name))
        return f"Plugin{words}" if words[0].isdigit() else f"{words}Plugin" if words in _TAKEN else words

    @property
    def test_name(self) -> str:
        """The module of the tests, named apart from those of other plugins."""
        return f"test_{re.sub('[-.]', '_', self.name)}"

    def filled(self, text: str) -> str:
        """Put this plugin's words in place of the template's."""
        words = {_NAME: self.name, _CLASS: self.class_name, _ID: str(self.plugin_id), _TEST: self.test_name}
        return re.sub(rf"\b({'|'.join(words)})\b", lambda found: words[found[0]], text)


def checked_name(name: str) -> str:
    """Return the name of a plugin; one that no manifest takes is refused, with one that is alike."""
    if re.fullmatch(NAME_PATTERN, name):
        return name
    better = re.sub("[^a-z0-9_.-]+", "-", name.lower()).strip("-_.")[:64]
    hint = f"; {better!r} would do" if better else ""
    raise click.UsageError(f"{name!r:.80} is no plugin name ({NAME_PATTERN}){hint}", click.get_current_context())


def derived_id(name: str) -> int:
    """Return the id of a plugin that was given none: always the same for the same name."""
    digest = hashlib.sha256(name.encode()).digest()
    return DERIVED_IDS[int.from_bytes(digest[:8], "big") % len(DERIVED_IDS)]


def make_plugin(name: str, directory: str | None, plugin_id: int | None) -> None:
    """Write a new plugin, and print what was written and what can be done with it."""
    plugin = NewPlugin(checked_name(name), derived_id(name) if plugin_id is None else plugin_id)
    folder = name if directory is None else directory
    written = write_plugin(plugin, Path(folder))
    click.echo(f"Wrote the plugin {name}, id {plugin.plugin_id}, into the folder {one_line(folder)}:")
    _print_rows(dict(zip(written, _ROLES.values(), strict=True)))
    click.echo("Next:")
    place = one_line(shlex.quote(folder))
    _print_rows(
        {
            f"nyx-plugins check {place}": "load it and send it a frame",
            f"pytest {place}": "run its tests (needs nyx-plugins[testing])",
        }
    )


def write_plugin(plugin: NewPlugin, folder: Path) -> list[str]:
    """Write all files or none, and return their names; raises :class:`TargetRefused`."""
    template = files("nyx_plugins") / "data" / "template"
    texts = {plugin.filled(name): plugin.filled((template / name).read_text("utf-8")) for name in _ROLES}
    with _emptied_unless_done(folder):
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
    return list(texts)


@contextmanager
def _emptied_unless_done(folder: Path) -> Iterator[None]:
    """Make a folder, or take an empty one; whatever is in it when the block fails is removed."""
    try:
        made = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise TargetRefused(str(folder), "is not empty: name another folder with --directory")
    except (OSError, ValueError) as error:
        raise _refused(folder, error) from None
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            for file in folder.iterdir():
                file.unlink()
            if made:
                folder.rmdir()
        if isinstance(error, OSError):
            raise _refused(folder, error) from None
        raise


def _refused(folder: Path, error: OSError | ValueError) -> TargetRefused:
    if isinstance(error, TargetRefused):
        return error
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return TargetRefused(str(folder), f"can't be written: {why}")


def _print_rows(rows: dict[str, str]) -> None:
    width = max(map(len, rows))
    for left, right in rows.items():
        click.echo(f"  {left:<{width}}  {right}")
