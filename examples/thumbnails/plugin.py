"""Replies to a picture (PNG or JPEG) with a thumbnail in the same format. Its configuration:

===============  ================================================================  ==========
``max_side_px``  the longer side of a thumbnail, 1 to 1024; none is enlarged        128
``max_pixels``   the largest picture that is decoded, 1 to 20,000,000 pixels        20,000,000
===============  ================================================================  ==========
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from nyx_plugins.plugins import Context, Frame, Plugin

_FORMATS = ("PNG", "JPEG")
# The largest value of each, which fits into what the manifest asks for.
_LIMITS = {"max_side_px": 1024, "max_pixels": 20_000_000}


class Thumbnails(Plugin):
    """Makes pictures small; one that is broken or too large fails its own frame with a :class:`ValueError`."""

    def on_load(self, ctx: Context) -> None:
        """Read the configuration, and have Pillow load its formats before the first frame comes."""
        if unknown := set(ctx.config) - set(_LIMITS):
            raise ValueError(f"unknown configuration {', '.join(sorted(unknown))}: expected {', '.join(_LIMITS)}")
        self._side = _limit(ctx.config, "max_side_px", 128)
        self._pixels = _limit(ctx.config, "max_pixels", 20_000_000)
        Image.preinit()

    def on_data(self, frame: Frame) -> bytes:
        """Reply to a picture with its thumbnail."""
        with _told_plainly(self._pixels):
            # Reads the head of the picture only, so its size is known before any memory is taken for it.
            image = Image.open(BytesIO(frame.data), formats=_FORMATS)
        width, height = image.size
        if width * height > self._pixels:
            raise _too_large(f"it has {width} x {height}", self._pixels)
        with _told_plainly(self._pixels):
            return _thumbnail(image, self._side)


def _limit(config: Mapping[str, Any], name: str, default: int) -> int:
    value = config.get(name, default)
    if type(value) is not int or not 1 <= value <= _LIMITS[name]:
        raise ValueError(f"{name} is {value!r:.40}: expected a whole number from 1 to {_LIMITS[name]}")
    return value


def _thumbnail(image: Image.Image, side: int) -> bytes:
    form = "PNG" if image.format == "PNG" else "JPEG"
    small = _mixable(image)
    small.thumbnail((side, side))
    small = ImageOps.exif_transpose(small)
    if form == "JPEG" and small.mode not in ("L", "RGB"):
        small = small.convert("RGB")
    small.info.clear()  # comments and profiles may be larger than the thumbnail
    out = BytesIO()
    small.save(out, form)
    return out.getvalue()


def _mixable(image: Image.Image) -> Image.Image:
    """Return a picture whose values can be averaged: no numbers of colours, no single transparent colour, 8 bits."""
    if image.mode.startswith("I"):
        return image.convert("L")
    if image.mode in ("1", "P") or "transparency" in image.info:
        return image.convert("RGBA")
    return image


@contextmanager
def _told_plainly(pixels: int) -> Iterator[None]:
    """Turn whatever Pillow raises for a picture into a :class:`ValueError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, which are measured here, and of odd metadata
            yield
    except (MemoryError, PermissionError):
        raise  # not the picture's fault
    except Image.DecompressionBombError as error:
        raise _too_large(str(error), pixels) from None
    except UnidentifiedImageError:
        raise ValueError("the data is neither a PNG nor a JPEG, or its head is broken") from None
    except Exception as error:  # decoders raise whatever they come across, struct.error and SyntaxError included
        raise ValueError(f"the picture is broken: {type(error).__name__}: {error}") from None


def _too_large(found: str, pixels: int) -> ValueError:
    return ValueError(f"the picture may be a decompression bomb: {found}, and max_pixels is {pixels}")
