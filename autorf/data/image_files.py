"""The three colours of an image file, or why they are not all that it shows."""

from pathlib import Path

from PIL import Image

from autorf.data.names import shown
from autorf.data.opening import Picture, open_picture
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


def read_rgb(file: Path, pictures: Pictures) -> Image.Image:
    """An image file in RGB, 8 bits a channel, upright.

    Raises:
        InputError: naming a file that cannot be read, or shows more than three colours of 8 bits.
    """
    picture = open_picture(file, pictures)
    pixels = picture.pixels
    if pixels.mode not in _MODES:
        raise InputError(f"{shown(file)}: has pixels of kind {pixels.mode!r}; save it with 8 bits a channel")
    extra = None if pictures.extra == "drop" else _extra(picture)
    if extra is not None:
        raise InputError(f"{shown(file)}: {extra}; save it as 8-bit RGB, or set data.pictures.extra: drop")
    return pixels.convert("RGBA" if "transparency" in pixels.info else "RGB").convert("RGB")


def _extra(picture: Picture) -> str | None:
    """What would be lost if the colours alone were read, 8 bits of each."""
    pixels = picture.pixels
    if picture.bits > 8:
        return f"holds {picture.bits} bits a channel, of which 8 would be read"
    if pixels.mode == "CMYK":
        return "holds inks (CMYK), of which three colours would be made"
    if pixels.mode == "RGBX" or picture.channels > len(pixels.getbands()):
        return f"holds {picture.channels} channels, more than the colours that would be read"
    return "has transparent pixels, of which the colours alone would be read" if is_transparent(pixels) else None


def is_transparent(pixels: Image.Image) -> bool:
    """Whether a pixel is not opaque, by an alpha channel or by a transparent colour."""
    if "A" not in pixels.getbands() and "transparency" not in pixels.info:
        return False
    lowest, _ = pixels.convert("RGBA").getchannel("A").getextrema()
    return bool(lowest != 255)
