"""The Semantic Boundaries Dataset: VOC's classes in MATLAB files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from autorf.data.mask_files import Classes
from autorf.data.names import check_file, shown
from autorf.data.official import Layout, listed
from autorf.data.opening import check_size
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError, in_one_line

MAT = ".mat"
LISTS = ("train.txt", "val.txt")
SBD = Layout(
    ("img", "cls", *LISTS),
    "benchmark.tgz, Semantic Boundaries Dataset and Benchmark, University of California, Berkeley",
    key="data.sbd",
)


def sbd_names(root: Path, name_in: Callable[[str], str | None]) -> set[str]:
    """The images of both lists.

    Raises:
        InputError: when the layout is not as it must be.
    """
    SBD.check(root)
    return {name for file in LISTS for name in listed(root / file, name_in, "'NAME'")}


def sbd_classes(file: Path, pictures: Pictures) -> Classes:
    """``GTcls.Segmentation`` of a MATLAB file, ``(h, w)`` uint8, unchecked.

    MATLAB's format up to version 7 holds arrays alone and runs nothing.

    Raises:
        InputError: for a file that is damaged, too large or holds something else.
    """
    from scipy.io import loadmat

    check_file(file)
    try:
        content = loadmat(str(file), variable_names=["GTcls"])
        classes = np.asarray(content["GTcls"]["Segmentation"][0, 0])
    except Exception as error:  # the reader raises anything on a damaged file
        reason = f"has no {error}" if isinstance(error, KeyError) else in_one_line(error, 80)
        raise InputError(
            f"{shown(file)}: cannot be read as a mask of SBD (GTcls.Segmentation): {reason}; take it from the archive "
            "anew"
        ) from None
    if classes.ndim != 2 or classes.dtype != np.uint8:
        shape = " x ".join(map(str, classes.shape))
        raise InputError(
            f"{shown(file)}: GTcls.Segmentation holds {shape} of {classes.dtype}; a mask is 2 sides of uint8"
        )
    check_size(file, (classes.shape[0], classes.shape[1]), pictures.max_megapixels)
    return np.ascontiguousarray(classes)
