"""What the plugin promises. Each test runs twice: in the process of the tests, and in a worker."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from nyx_plugins import PluginFailed
from nyx_plugins.testing import LoadPlugin, PluginUnderTest


def picture(form: str, size: tuple[int, int] = (200, 100), mode: str = "RGB", **options: object) -> bytes:
    """Return a picture whose left half is black and whose right half is white."""
    grey = Image.new("L", size)
    grey.paste(255, (size[0] // 2, 0, *size))
    image = _of_16_bits(grey) if mode == "I;16" else grey.convert(mode)
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _of_16_bits(grey: Image.Image) -> Image.Image:
    return Image.frombytes("I;16", grey.size, bytes(byte for byte in grey.tobytes() for _ in range(2)))


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims to be large."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (head, data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def opened(reply: bytes | None) -> Image.Image:
    """Decode a reply."""
    image = Image.open(BytesIO(reply or b""))
    image.load()
    return image


def test_a_picture_becomes_small(plugin: PluginUnderTest) -> None:
    """Format and proportions stay, and so does what is to be seen."""
    for form in ("PNG", "JPEG"):
        small = opened(plugin.request(picture(form)))
        assert (small.format, small.size) == (form, (128, 64))
        dark, bright = (small.convert("L").getpixel(place) for place in ((20, 30), (100, 30)))
        assert dark < 10 and bright > 245


@pytest.mark.nyx_plugin(config={"max_side_px": 30})
def test_the_side_can_be_configured(plugin: PluginUnderTest) -> None:
    """A picture that is smaller already keeps its size."""
    assert opened(plugin.request(picture("JPEG", (100, 200)))).size == (15, 30)
    assert opened(plugin.request(picture("PNG", (8, 5)))).size == (8, 5)


def test_any_kind_of_pixel_will_do(plugin: PluginUnderTest) -> None:
    """Palettes, transparency, 16 bits and printers' colours come back as what every viewer shows, black and white."""
    for mode in ("1", "P", "L", "LA", "RGBA", "I;16", "CMYK"):
        form = "JPEG" if mode == "CMYK" else "PNG"
        small = opened(plugin.request(picture(form, (600, 300), mode)))
        assert (small.format, small.size) == (form, (128, 64)), mode
        assert small.mode in ("L", "LA", "RGB", "RGBA")
        assert small.convert("RGB").getpixel((100, 30))[0] > 245, mode


def test_a_transparent_colour_stays_transparent(plugin: PluginUnderTest) -> None:
    """One colour that stands for nothing is mixed with none."""
    small = opened(plugin.request(picture("PNG", transparency=(255, 255, 255))))
    assert [small.getpixel(place)[3] for place in ((20, 30), (100, 30))] == [255, 0]


def test_a_photo_comes_upright_and_without_metadata(plugin: PluginUnderTest) -> None:
    """The camera's note that it was turned is followed, and gone."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    small = opened(plugin.request(picture("JPEG", exif=exif, comment=b"at home")))
    assert (small.size, dict(small.getexif()), "comment" in small.info) == ((64, 128), {}, False)


def test_a_broken_picture_fails_its_frame(plugin: PluginUnderTest) -> None:
    """What is cut off, wherever, is refused in one sentence; the next frame is served."""
    for whole in (picture("PNG"), picture("JPEG")):
        for length in (0, 1, 20, len(whole) // 2):
            assert plugin.send(whole[:length]).reason.startswith("ValueError: the "), length
        assert opened(plugin.request(whole)).size == (128, 64)


def test_other_formats_are_not_tried(plugin: PluginUnderTest) -> None:
    """Pillow knows many formats; each that is not needed is one less to attack."""
    for data in (picture("GIF"), b"no picture"):
        reason = plugin.send(data).reason
        assert reason == "ValueError: the data is neither a PNG nor a JPEG, or its head is broken"


def test_a_bomb_is_not_decoded(plugin: PluginUnderTest) -> None:
    """A few bytes that would fill the memory are refused for what they claim to be, before and after Pillow warns."""
    for size in ((5000, 4001), (10_000, 9_000), (60_000, 60_000)):
        reason = plugin.send(bomb(*size)).reason
        assert reason.startswith("ValueError: the picture may be a decompression bomb: "), size
        assert reason.endswith("and max_pixels is 20000000")


@pytest.mark.nyx_plugin(transport="unix", settings="nyx-plugins.toml")
def test_the_largest_picture_fits_into_the_memory(plugin: PluginUnderTest) -> None:
    """What ``max_pixels`` lets in, the policy has the memory for."""
    for mode in ("RGBA", "P"):
        large = picture("PNG", (5000, 4000), mode, compress_level=1)
        assert opened(plugin.request(large)).size == (128, 102), mode


def test_a_mistake_in_the_configuration_refuses_the_load(load_plugin: LoadPlugin) -> None:
    """The operator is told what was expected."""
    for config, sentence in (
        ({"max_side_px": 0}, "max_side_px is 0: expected a whole number from 1 to 1024"),
        ({"max_pixels": "many"}, "max_pixels is 'many': expected a whole number from 1 to 20000000"),
        ({"side": 5}, "unknown configuration side: expected max_side_px, max_pixels"),
    ):
        with pytest.raises(PluginFailed, match=sentence):
            load_plugin(config=config)
