"""Picture files as cameras, scanners and optimisers write them, and as disks damage them."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112

Pixels = NDArray[np.uint8]


def exif(orientation: int) -> Image.Exif:
    """An EXIF block that says how a picture is turned."""
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


def stored(upright: Pixels, orientation: int) -> Pixels:
    """The pixels as a camera stores them that a viewer turns into ``upright``."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def grey_png(samples: Pixels, bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits a pixel that holds ``samples`` ``(H, W)`` as they are."""
    height, width = samples.shape
    per_byte = 8 // bits
    padded = np.zeros((height, -(-width // per_byte) * per_byte), np.uint8)
    padded[:, :width] = samples
    shifts = 8 - bits * (1 + np.arange(per_byte))
    packed = (padded.reshape(height, -1, per_byte) << shifts).sum(-1).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def deep_png(height: int, width: int) -> bytes:
    """An RGB PNG of 16 bits a channel."""
    rows = b"".join(b"\0" + bytes(6 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def save_palette(indices: Pixels, colours: list[tuple[int, int, int]], file: Path, **options: object) -> None:
    """A palette PNG."""
    picture = Image.fromarray(indices)
    picture.putpalette([level for colour in colours for level in colour])
    picture.save(file, **options)


def four_band_tiff(height: int, width: int) -> bytes:
    """An uncompressed TIFF of red, green, blue and a fourth band that is no alpha channel (ExtraSamples 0)."""
    pixels = np.full((height, width, 4), 100, np.uint8)
    bits = struct.pack("<4H", 8, 8, 8, 8)
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 4, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 16),
        (277, 3, 1, 4), (278, 3, 1, height), (279, 4, 1, pixels.size), (284, 3, 1, 1), (338, 3, 1, 0),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    start = 16 + pixels.size
    return b"II*\0" + struct.pack("<I", start) + bits + pixels.tobytes() + directory
