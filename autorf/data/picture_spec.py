"""What a study file may say about how its picture files are read. Light to import."""

from typing import Annotated, Literal

from pydantic import Field

from autorf.specification import Before, PositiveFloat, Specification, WholeNumber


class Pictures(Specification):
    """How picture files are read: as what they show, and what three channels of 8 bits cannot hold is refused by name.

    Every file is turned as its EXIF orientation says, masks too; one whose EXIF block is damaged is taken as it is
    stored. Of studies that are older than a key, it is what was done before it.

    Attributes:
        extra: of an image's transparent pixels, further channels, black channel (CMYK) and 16 bits a channel:
            ``refuse``, naming the file, or ``drop``: read the colours alone, converted from CMYK, the upper 8 bits. An
            alpha channel that is opaque everywhere holds nothing and is never refused.
        frame: which page or frame is read of files that hold several, 0 for the first; None refuses such files.
        grey_palette: what the classes are in a palette mask whose palette is all grey: ``level``, the grey levels that
            it shows, for so do optimisers write grey masks; ``index``, the entries' numbers; ``refuse``: the levels,
            and refuse a file in which both are legal classes and whose palette goes evenly from black to white, as
            people paint numbers. Where the palette has a colour they are always the numbers.
        low_bits: what the classes are in a grey mask of 1, 2 or 4 bits a pixel: ``sample``, the stored numbers;
            ``level``, the grey levels of 0 to 255 that they show, for optimisers make such files of 8-bit masks;
            ``refuse``: whichever of the two are legal classes, and refuse a file in which both are; ``pillow``: the
            numbers of 1 bit, the levels of 2 and 4.
        names: ``nfc``: two spellings of a file name that look alike (accents composed or not, as macOS and Linux have
            them) are one name; ``bytes``: they are two.
        max_megapixels: a picture of more million pixels is refused; decoding takes 4 bytes a pixel and more.
    """

    extra: Annotated[Literal["refuse", "drop"], Before("drop")] = "refuse"
    frame: Annotated[Annotated[WholeNumber, Field(ge=0)] | None, Before(0)] = None
    grey_palette: Annotated[Literal["refuse", "level", "index"], Before("index")] = "refuse"
    low_bits: Annotated[Literal["refuse", "sample", "level", "pillow"], Before("pillow")] = "refuse"
    names: Annotated[Literal["nfc", "bytes"], Before("bytes")] = "nfc"
    max_megapixels: PositiveFloat = 200.0
