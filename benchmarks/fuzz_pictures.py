"""Odd pictures in a folder data set: each is read as it was painted, or refused in one line that names it.

    python benchmarks/fuzz_pictures.py          # 300 with a fixed seed
    python benchmarks/fuzz_pictures.py 30

What is drawn: kinds of files, modes, bit depths, palettes as people and as PNG optimisers write them, EXIF orientations
and damaged EXIF blocks, cut and overwritten files, wrong suffixes, several frames, headers of huge pictures, odd names,
and what is no file. A picture that was read otherwise than it was painted, a raw exception, a warning, a line of more
than 290 characters and an answer that takes longer than 10 seconds are wrong. Prints a table; exits with 1 where
anything was wrong.
"""

import io
import os
import random
import shutil
import socket
import struct
import sys
import tempfile
import time
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from fuzz_answer import Answer
from numpy.typing import NDArray
from PIL import Image

from autorf.data import FolderData, Pictures, load
from autorf.errors import InputError

SEED, COUNT, LONGEST, SECONDS = 21, 300, 290, 10
KIND = "odd pictures"
SIZE = (24, 32)
"""Height and width of what is painted; the data set's image size is the same, so that nothing is resized."""

Pixels = NDArray[np.uint8]


@dataclass
class Scene:
    """An image and a mask to be written in an odd way, and how the data set is to read them.

    Attributes:
        mask: the painted classes ``(H, W)``.
        image: the painted colours ``(H, W, 3)``.
        classes: how many there are.
        ignore: the ignored value, or None.
        rules: of reading.
        image_bytes, mask_bytes: the files' contents.
        image_name, mask_name: of the files.
        image_lost: whether the image file may show something else by now, so that it need only be answered.
        refused: whether nothing but a refusal is right.
        tolerance: mean difference of the colours, for lossy files.
    """

    mask: Pixels
    image: Pixels
    classes: int
    ignore: int | None = None
    rules: dict[str, Any] = field(default_factory=dict)
    image_bytes: bytes = b""
    mask_bytes: bytes = b""
    image_name: str = "odd.png"
    mask_name: str = "odd.png"
    image_lost: bool = False
    refused: bool = False
    tolerance: float = 0.0


def painted(draw: random.Random) -> Scene:
    """Rectangles of a few classes, perhaps ignored at places, and the colours that follow them."""
    classes = draw.choice((2, 2, 3, 4, 9, 16, 21))
    ignore = draw.choice((None, None, 255, classes, 0 if classes > 2 else None))
    mask = np.zeros(SIZE, np.uint8)
    legal = [*range(classes), *([] if ignore is None else [ignore])]
    for _ in range(draw.randint(1, 6)):
        top, left = draw.randrange(SIZE[0] - 4), draw.randrange(SIZE[1] - 4)
        mask[top : top + draw.randint(3, 12), left : left + draw.randint(3, 12)] = draw.choice(legal)
    mask[0, :2] = 0, 1
    if ignore == 0:
        mask[0, 2:9] = 1
    image = np.dstack([mask * 7 + 40, 255 - mask * 5, mask * 3]).astype(np.uint8)
    scene = Scene(mask, image, classes, ignore)
    scene.image_bytes, scene.mask_bytes = encoded(image, "PNG"), encoded(mask, "PNG")
    return scene


def encoded(pixels: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    """The content of a picture file."""
    stream = io.BytesIO()
    if kind in ("JPEG", "MPO"):
        # The painted edges are sharp, and lossy enough as it is.
        options = {"quality": 95, "subsampling": 0, **options}
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels))
    picture.save(stream, kind, **options)
    return stream.getvalue()


def png(
    samples: Pixels, bits: int, colour_type: int, chunks: bytes = b"", claimed: tuple[int, int] | None = None
) -> bytes:
    """A PNG whose header says what it should: ``samples`` ``(H, W)``, or ``(H, W, bytes)``, of ``bits`` each."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = claimed or samples.shape[:2]
    if bits < 8:
        per_byte = 8 // bits
        shifts = np.array([8 - bits * (at + 1) for at in range(per_byte)])
        samples = (samples.reshape(len(samples), -1, per_byte) << shifts).sum(-1).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def turned(draw: random.Random, upright: Pixels) -> tuple[Pixels, Image.Exif]:
    """Pixels as they are stored, and the EXIF block by which a viewer shows them upright."""
    orientation = draw.randint(1, 8)
    ways: dict[int, Callable[[Pixels], Pixels]] = {
        1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud,
        5: lambda p: p.swapaxes(0, 1), 6: np.rot90, 7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }  # fmt: skip
    block = Image.Exif()
    block[0x0112] = orientation
    return np.ascontiguousarray(ways[orientation](upright)), block


# Masks


def coloured_palette(draw: random.Random, scene: Scene) -> str:
    picture = Image.fromarray(scene.mask)
    picture.putpalette([channel for at in range(256) for channel in (at, (at * 37 + 90) % 256, 255 - at)])
    scene.mask_bytes = encoded(picture, "PNG")
    return "mask with a palette of colours"


def optimised_palette(draw: random.Random, scene: Scene) -> str:
    """As optimisers do: the levels that are there, in any order, as a grey palette."""
    levels = [int(level) for level in np.unique(scene.mask)]
    draw.shuffle(levels)
    place = np.zeros(256, np.uint8)
    place[levels] = np.arange(len(levels))
    picture = Image.fromarray(place[scene.mask])
    picture.putpalette([level for level in levels for _ in range(3)])
    scene.mask_bytes = encoded(picture, "PNG", bits=draw.choice((4, 8)) if len(levels) <= 16 else 8)
    return f"mask with an optimiser's grey palette {levels[:4]}"


def painted_palette(draw: random.Random, scene: Scene) -> str:
    """As people do: numbers, and greys that can be told apart."""
    scene.mask[scene.mask >= scene.classes] = 0
    picture = Image.fromarray(scene.mask)
    picture.putpalette([round(at * 255 / (scene.classes - 1)) for at in range(scene.classes) for _ in range(3)])
    scene.mask_bytes = encoded(picture, "PNG")
    if draw.random() < 0.3:
        scene.rules["grey_palette"] = "index"
    return f"mask with a painted grey palette of {scene.classes}"


def few_bits(draw: random.Random, scene: Scene) -> str:
    """The classes as they are, in as few bits as hold them."""
    bits = next(bits for bits in (1, 2, 4, 8) if scene.mask.max() < 2**bits)
    scene.mask_bytes = png(scene.mask, bits, 0)
    return f"mask of {bits} bits, by number"


def reduced_bits(draw: random.Random, scene: Scene) -> str:
    """As optimisers do: levels that a lower depth holds without loss."""
    bits = draw.choice((1, 2, 4))
    step = 255 // (2**bits - 1)
    legal = [value for value in (*range(scene.classes), scene.ignore) if value is not None and value % step == 0]
    scene.mask = np.array(legal, np.uint8)[scene.mask % len(legal)]
    scene.mask_bytes = png(scene.mask // step, bits, 0)
    if draw.random() < 0.3:
        scene.rules["low_bits"] = "level"
    return f"mask of {bits} bits, by an optimiser"


def turned_mask(draw: random.Random, scene: Scene) -> str:
    pixels, block = turned(draw, scene.mask)
    scene.mask_bytes = encoded(pixels, "PNG", exif=block)
    return f"mask with EXIF orientation {block[0x0112]}"


def mask_of_another_kind(draw: random.Random, scene: Scene) -> str:
    kind = draw.choice(("JPEG", "BMP", "GIF", "TIFF", "WEBP"))
    scene.mask_bytes = encoded(scene.mask, kind)
    return f"{kind} mask called .png"


def odd_mask_mode(draw: random.Random, scene: Scene) -> str:
    name = draw.choice(("RGB", "RGBA", "LA", "LA, transparent", "16 bits", "transparent entry"))
    grey = Image.fromarray(scene.mask)
    if name == "16 bits":
        scene.mask_bytes = encoded(scene.mask.astype(np.uint16), "PNG")
    elif name == "transparent entry":
        scene.mask_bytes = encoded(scene.mask, "PNG", transparency=int(scene.mask[0, 0]))
    else:
        picture = grey.convert(name.split(",")[0])
        if "transparent" in name:
            picture.putalpha(Image.fromarray(scene.mask))
        scene.mask_bytes = encoded(picture, "PNG")
    return f"mask: {name}"


def illegal_class(draw: random.Random, scene: Scene) -> str:
    value = draw.choice((scene.classes, 254, 255))
    scene.refused = value != scene.ignore
    scene.mask = scene.mask.copy()
    scene.mask[2, 3] = value
    scene.mask_bytes = encoded(scene.mask, "PNG")
    return f"mask with class {value} of {scene.classes}"


# Images


def odd_mode(draw: random.Random, scene: Scene) -> str:
    mode = draw.choice(("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"))
    colours = Image.fromarray(scene.image)
    picture = (
        Image.fromarray(scene.image[..., 0].astype(np.uint16 if mode == "I;16" else np.float32))
        if mode in ("I;16", "F")
        else colours.convert(mode)
    )
    scene.image_bytes = encoded(picture, "TIFF")
    scene.image_name = "odd.tif"
    scene.image = np.asarray(picture.convert("RGB")) if mode not in ("I;16", "F") else scene.image
    scene.rules["extra"] = draw.choice(("refuse", "drop"))
    return f"{mode} image"


def transparent(draw: random.Random, scene: Scene) -> str:
    alpha = np.full(SIZE, 255, np.uint8)
    holes = draw.random() < 0.7
    if holes:
        alpha[3:5, 3:5] = draw.choice((0, 128, 254))
    scene.image_bytes = encoded(np.dstack([scene.image, alpha]), "PNG")
    scene.image_lost = holes
    return f"image with an alpha channel{', opaque' if not holes else ''}"


def deep_image(draw: random.Random, scene: Scene) -> str:
    high = scene.image.repeat(2, axis=2)
    scene.image_bytes = png(high, 16, 2)
    scene.rules["extra"] = draw.choice(("refuse", "drop"))
    return f"image of 16 bits a channel, extra: {scene.rules['extra']}"


def turned_image(draw: random.Random, scene: Scene) -> str:
    pixels, block = turned(draw, scene.image)
    kind = draw.choice(("PNG", "TIFF", "JPEG", "WEBP"))
    scene.image_bytes = encoded(pixels, kind, exif=block, **({"lossless": True} if kind == "WEBP" else {}))
    scene.image_name = {"PNG": "odd.png", "TIFF": "odd.tiff", "JPEG": "odd.JPG", "WEBP": "odd.webp"}[kind]
    scene.tolerance = 12.0 if kind == "JPEG" else 0.0
    return f"{kind} image with EXIF orientation {block[0x0112]}"


def damaged_exif(draw: random.Random, scene: Scene) -> str:
    block = draw.choice((b"Exif\0\0", b"Exif\0\0II*\0")) + draw.randbytes(draw.randint(0, 60))
    kind = draw.choice(("PNG", "JPEG", "WEBP"))
    scene.image_bytes = encoded(scene.image, kind, exif=block, **({"lossless": True} if kind == "WEBP" else {}))
    scene.tolerance = 12.0 if kind == "JPEG" else 0.0
    # Chance may make an orientation of it.
    scene.image_lost = True
    return f"{kind} image with a damaged EXIF block"


def frames(draw: random.Random, scene: Scene) -> str:
    kind, suffix = draw.choice((("TIFF", ".tif"), ("PNG", ".png"), ("WEBP", ".webp"), ("MPO", ".jpg"), ("GIF", ".png")))
    first = Image.fromarray(scene.image)
    others = [Image.fromarray(255 - scene.image)] * draw.randint(1, 3)
    options = {"lossless": True} if kind == "WEBP" else {}
    scene.image_bytes = encoded(first, kind, save_all=True, append_images=others, **options)
    scene.image_name = f"odd{suffix}"
    scene.tolerance = {"MPO": 12.0, "GIF": 8.0}.get(kind, 0.0)
    if draw.random() < 0.5:
        scene.rules["frame"] = 0
    return f"{kind} image of {1 + len(others)} frames, {scene.rules}"


def wrong_suffix(draw: random.Random, scene: Scene) -> str:
    kind = draw.choice(("PNG", "BMP", "TIFF", "JPEG", "WEBP"))
    scene.image_bytes = encoded(scene.image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    scene.image_name = f"odd{draw.choice(('.png', '.jpg', '.bmp', '.tif', '.webp', '.PNG'))}"
    scene.tolerance = 12.0 if kind == "JPEG" else 0.0
    return f"{kind} image called {scene.image_name}"


# Either


def cut(draw: random.Random, scene: Scene) -> str:
    part = draw.choice(("image", "mask"))
    kind = draw.choice(("PNG", "JPEG", "TIFF", "BMP", "WEBP")) if part == "image" else "PNG"
    content = encoded(scene.image, kind) if part == "image" else scene.mask_bytes
    at = draw.randrange(len(content))
    setattr(scene, f"{part}_bytes", content[:at])
    scene.image_lost = part == "image"
    return f"{kind} {part} cut at {at} of {len(content)}"


def overwritten(draw: random.Random, scene: Scene) -> str:
    part = draw.choice(("image", "mask"))
    kind = draw.choice(("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")) if part == "image" else "PNG"
    content = bytearray(encoded(scene.image, kind) if part == "image" else scene.mask_bytes)
    for _ in range(draw.randint(1, 8)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    setattr(scene, f"{part}_bytes", bytes(content))
    scene.image_lost = part == "image"
    return f"{kind} {part} overwritten"


def no_picture(draw: random.Random, scene: Scene) -> str:
    part = draw.choice(("image", "mask"))
    name, content = draw.choice(
        (
            ("nothing", b""), ("text", b"no picture"), ("zeros", bytes(5000)), ("noise", draw.randbytes(3000)),
            ("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\n%%EndComments\n"),
            ("a signature", b"\x89PNG\r\n\x1a\n"), ("half", b"\xff\xd8\xff"),
            ("a TIFF of loops", b"II*\0\x08\0\0\0\0\0\x08\0\0\0"),
        )
    )  # fmt: skip
    setattr(scene, f"{part}_bytes", content)
    scene.refused = True
    return f"{part} that is {name}"


def huge(draw: random.Random, scene: Scene) -> str:
    part, side = draw.choice(("image", "mask")), draw.choice((12_000, 20_000, 60_000, 2**31 - 1))
    setattr(scene, f"{part}_bytes", png(scene.mask, 8, 0, claimed=(side, side)))
    scene.refused = True
    return f"{part} whose header claims {side} x {side}"


def other_size(draw: random.Random, scene: Scene) -> str:
    scene.refused = True
    scene.mask_bytes = encoded(scene.mask.swapaxes(0, 1) if draw.random() < 0.5 else scene.mask[:, 1:], "PNG")
    return "mask of another size"


def odd_name(draw: random.Random, scene: Scene) -> str:
    stem = draw.choice(
        (
            "caf\u00e9", "\u65e5\u672c\u8a9e", "a b", "%20", "a?b", "#1", "a'b\"c", "-rf", "$HOME", "a\nb", "con",
            "a\tb", "\u202egnp", "x" * 200, "\u00e5\u0301" * 40, "*", "[a]", "~", "a.b.c", "\udce9", "\U0001f600",
            "a\x1b[31mred",
        )
    )  # fmt: skip
    forms = ("NFC", "NFD")
    image, mask = (unicodedata.normalize(draw.choice(forms), stem) for _ in range(2))
    scene.image_name, scene.mask_name = f"{image}.png", f"{mask}.png"
    return f"names {image[:20]!a}, {mask[:20]!a}"


def no_file(draw: random.Random, scene: Scene) -> str:
    part, kind = draw.choice(("image", "mask")), draw.choice(("pipe", "socket", "device", "folder", "dangling", "loop"))
    setattr(scene, f"{part}_bytes", kind)
    scene.refused = True
    return f"{part} that is a {kind}"


ODDITIES: tuple[Callable[[random.Random, Scene], str], ...] = (
    coloured_palette, optimised_palette, painted_palette, few_bits, reduced_bits, turned_mask, mask_of_another_kind,
    odd_mask_mode, illegal_class, odd_mode, transparent, deep_image, turned_image, damaged_exif, frames, wrong_suffix,
    cut, overwritten, no_picture, huge, other_size, odd_name, no_file,
)  # fmt: skip


def write(scene: Scene, root: Path) -> None:
    """A data set whose training pair is the odd one."""
    plain = {"images": np.full((*SIZE, 3), 90, np.uint8), "masks": np.eye(*SIZE, dtype=np.uint8)}
    for part, pixels in plain.items():
        for split in ("train", "val"):
            (root / split / part).mkdir(parents=True)
        (root / "val" / part / "plain.png").write_bytes(encoded(pixels, "PNG"))
    _write_odd(root / "train" / "images", scene.image_name, scene.image_bytes)
    _write_odd(root / "train" / "masks", scene.mask_name, scene.mask_bytes)


def _write_odd(folder: Path, name: str, content: bytes | str) -> None:
    path = folder / name
    match content:
        case bytes():
            path.write_bytes(content)
        case "pipe":
            os.mkfifo(path)
        case "socket":
            here = Path.cwd()
            os.chdir(folder)
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(name)
            os.chdir(here)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "dangling":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(path)


def answer(scene: Scene, root: Path, given: str) -> Answer:
    """What the library says of the data set."""
    data = FolderData(
        root=root, classes=scene.classes, image_size=SIZE, ignore_index=scene.ignore, pictures=Pictures(**scene.rules)
    )
    began = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            images, masks = load(data).train.source.read([0])
    except InputError as error:
        text, code, problem = str(error), 2, _problem_of_line(str(error))
    except BaseException as error:
        text, code, problem = f"{type(error).__name__}: {error}"[:200], 1, f"raised {type(error).__name__}"
    else:
        text, code, problem = "read", 0, _misread(scene, images[0].numpy(), masks[0].numpy())
    seconds = time.monotonic() - began
    return Answer(KIND, given, text, code, problem or ("" if seconds < SECONDS else f"took {seconds:.0f} s"))


def _problem_of_line(line: str) -> str:
    if not line.isprintable():
        return "no printable line"
    return f"{len(line)} characters" if len(line) > LONGEST else ""


def _misread(scene: Scene, image: Pixels, mask: Pixels) -> str:
    if scene.refused:
        return "silently read"
    if not np.array_equal(mask, scene.mask):
        return f"silently other classes: {np.unique(mask).tolist()} for {np.unique(scene.mask).tolist()}"
    difference = np.abs(image.transpose(1, 2, 0).astype(int) - scene.image).mean()
    if not scene.image_lost and difference > scene.tolerance:
        return f"silently other colours, by {difference:.1f}"
    return ""


def answers(count: int = COUNT, seed: int = SEED, folder: Path | None = None) -> Iterator[Answer]:
    """The answers to ``count`` odd pictures, every kind of oddity in turn.

    Args:
        count: how many.
        seed: of what is drawn.
        folder: in which the data sets are made, one after the other; a temporary one without.
    """
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(count):
            draw = random.Random(f"{seed}-{number}")
            scene = painted(draw)
            given = ODDITIES[number % len(ODDITIES)](draw, scene)
            root = (folder or Path(temporary)) / "odd"
            write(scene, root)
            yield answer(scene, root, given)
            shutil.rmtree(root)


def table(given: Sequence[Answer]) -> str:
    """How many were read and refused, as Markdown."""
    read, refused = (sum(answer.code == code for answer in given) for code in (0, 2))
    longest = max((len(answer.text) for answer in given if answer.code), default=0)
    wrong = sum(not answer.ok for answer in given)
    head = "| given | how many | read as painted | refused | longest answer | wrong |\n|---|---|---|---|---|---|\n"
    return f"{head}| {KIND} | {len(given)} | {read} | {refused} | {longest} | {wrong} |"


def main(count: int) -> int:
    """Print the table and what was wrong; 1 where anything was."""
    given = list(answers(count))
    print(table(given))
    wrong = [answer for answer in given if not answer.ok]
    for each in wrong:
        print(f"wrong: {each.given}: {each.problem}: {each.text}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT))
