"""The examples do what their documents say, with the configuration that they show."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from nyx_plugins import DependentsLoaded, FrameType, OutcomeKind, PluginHeader, PluginSystem, PolicyRefused, Settings
from nyx_plugins.plugins.worker.jail.level import enforcement

MakeSystem = Callable[..., PluginSystem]
THUMBNAILS = Path(__file__).parents[1] / "examples" / "thumbnails"
CONFIGURATION = THUMBNAILS / "nyx-plugins.toml"
ID = 626205
VISITS = THUMBNAILS.with_name("visits")
VISITS_ID = 734212

needs_full = pytest.mark.skipif(
    enforcement().level != "full",
    reason=f"this machine enforces policies at level {enforcement().level}: {'; '.join(enforcement().reasons())}",
)
needs_worker = pytest.mark.needs_worker(reason="the example shows a package in the jail")


def picture(form: str) -> bytes:
    """Return a picture of more bytes than a frame may have by default: noise on the left, red on the right."""
    image = Image.new("RGB", (800, 400), (255, 0, 0))
    noise = Image.frombytes("RGB", (400, 400), random.Random(1).randbytes(400 * 400 * 3))
    image.paste(noise, (0, 0))
    out = BytesIO()
    image.save(out, form)
    assert len(out.getvalue()) > Settings().limits.max_header_bytes
    return out.getvalue()


def bomb() -> bytes:
    """Return a PNG of a few hundred bytes with 3.6 billion pixels."""
    parts = (b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(100_000)))
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def thumbnails(make_system: MakeSystem) -> PluginSystem:
    """Return a system with what the example's configuration loads."""
    system = make_system(CONFIGURATION)
    [loaded] = system.load_configured()
    assert not isinstance(loaded, Exception), loaded
    assert (loaded.plugin_id, system.enforcement.level) == (ID, "full")
    return system


@needs_full
@needs_worker
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_thumbnail_comes_back(thumbnails: PluginSystem, form: str) -> None:
    """It has the format of the picture, the size that the configuration says, and the colours that were sent."""
    reply = thumbnails.request(FrameType.DATA, PluginHeader(ID, 0, picture(form)), 30.0)
    small = Image.open(BytesIO(reply or b""))
    assert (small.format, small.size) == (form, (256, 128))
    red, green, blue = small.convert("RGB").getpixel((200, 64))
    assert red > 245 and green < 10 and blue < 10
    grey = small.convert("L").resize((1, 1), box=(10, 10, 110, 110)).getpixel((0, 0))
    assert 100 < grey < 156


@needs_full
@needs_worker
def test_bad_pictures_fail_alone(thumbnails: PluginSystem) -> None:
    """A corrupt file and a bomb are refused by a sentence, in the same worker that serves the next frame."""
    whole = picture("PNG")
    middle = len(whole) // 2
    corrupt = whole[:middle] + bytes(100) + whole[middle + 100 :]
    for data, sentence in (
        (corrupt, "ValueError: the picture is broken: "),
        (b"GIF89a", "ValueError: the data is neither a PNG nor a JPEG, or its head is broken"),
        (bomb(), "ValueError: the picture may be a decompression bomb: "),
    ):
        outcome = thumbnails.dispatch(FrameType.DATA, PluginHeader(ID, 0, data)).outcome(30.0)
        assert outcome.kind is OutcomeKind.FAILED and outcome.reason.startswith(sentence), outcome
    assert thumbnails.request(FrameType.DATA, PluginHeader(ID, 0, whole), 30.0)
    stats = thumbnails.plugin_stats(ID)
    assert (stats.processed, stats.errors, stats.restarts) == (1, 3, 0)


@needs_full
@needs_worker
def test_the_ceiling_has_to_list_the_package(make_system: MakeSystem) -> None:
    """What the manifest asks for is not enough: without the operator's word the example is refused."""
    with pytest.raises(PolicyRefused, match="PIL"):
        make_system(Settings()).load(THUMBNAILS)


def test_visits_are_counted_in_another_plugin(make_system: MakeSystem) -> None:
    """The configuration loads both in the order of what they need; one stays as long as the other."""
    system = make_system(VISITS / "nyx-plugins.toml")
    visits, store = system.load_configured()
    assert not isinstance(visits, Exception) and not isinstance(store, Exception)
    assert [system.request(FrameType.DATA, PluginHeader(VISITS_ID, 0, b"Ada"), 30.0) for _ in range(3)] == [
        b"1",
        b"2",
        b"3",
    ]
    with pytest.raises(DependentsLoaded, match=r"visits \(734212\)"):
        system.unload(store.plugin_id)
    system.unload(store.plugin_id, cascade=True)
    assert system.loaded_plugins() == []


@pytest.mark.parametrize("example", [THUMBNAILS, VISITS], ids=lambda path: path.name)
def test_its_document_shows_its_configuration(example: Path) -> None:
    """What README.md shows is the file."""
    configuration = (example / "nyx-plugins.toml").read_text()
    assert f"```toml\n{configuration}```\n" in (example / "README.md").read_text()


# Others' plugins for pytest are of no use here, and some take seconds to import.
_WITHOUT = [f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "anyio", "xdist", "pytest_cov")]


# The half with workers in two parts: on a busy machine each start of a system takes seconds.
@pytest.mark.parametrize(
    ("example", "where", "which"),
    [
        (THUMBNAILS, "inline", ""),
        pytest.param(THUMBNAILS, "unix", "test_a_", marks=needs_full),
        pytest.param(THUMBNAILS, "unix", "not test_a_", marks=needs_full),
        (VISITS, "inline", ""),
        (VISITS, "unix", ""),
    ],
)
def test_its_own_tests_pass(tmp_path: Path, runtime_base: Path, example: Path, where: str, which: str) -> None:
    """An author's tests can use packages and other plugins: the fixture grants and loads what there has to be."""
    folder = tmp_path / example.name
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pytest", *_WITHOUT, "-q", "-W", "error", "--nyx-transport", where, "-k", which]
    with (tmp_path / "output").open("w+") as output:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=150
        )
        output.seek(0)
        said = output.read()
    assert done.returncode == 0 and " passed" in said, said
    assert list(runtime_base.iterdir()) == []
