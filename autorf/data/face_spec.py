"""What a study file may say about the papers' data sets of faces. Light to import: nothing here loads torch."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from autorf.data.landmark_spec import WithLandmarks
from autorf.data.patch_spec import CacheGb
from autorf.data.spec import Augmentation, DigestGb, Half, ScoreAt
from autorf.specification import ImageSize


class _Faces(WithLandmarks):
    """What both have.

    Attributes:
        root: the folder.
        augmentation: of the training split.
        score_at: where predictions meet the truth: ``training``, both at ``image_size``; ``mask``, predictions enlarged
            to each mask's own size. Scores at two scales are never compared.
        half: train on one half of the training images, ``a`` or ``b``, drawn at random once and for all; None for all.
        digest_gb: the images are known by content up to so many GB (10^9 bytes) in all; beyond that by path, size, time
            and first and last 64 kB. Validation masks always are by content.
        cache_gb: decoded pictures are kept below the root of all studies, for all trials and workers of a machine, up
            to so many GB (10^9 bytes) for all studies together; a data set that takes more is read from its files. 0
            keeps none.
    """

    root: Path
    image_size: ImageSize
    augmentation: Augmentation = Augmentation()
    score_at: ScoreAt = "training"
    half: Half | None = None
    digest_gb: DigestGb = 2.0
    cache_gb: CacheGb = 32.0


class HelenData(_Faces):
    """Helen's 2 330 faces with eleven parts: skin, brows, eyes, nose, lips, inner mouth and hair.

    Layout, that of ``SmithCVPR2013_dataset_resized``: ``root/images/NAME.jpg``, ``root/labels/NAME/NAME_lbl00.png`` to
    ``_lbl10.png`` (how probable each part is at a pixel; the most probable one is its class), and the lists
    ``exemplars.txt`` (training), ``tuning.txt`` (validation) and ``testing.txt`` with lines ``NUMBER , NAME``. Hair is
    left out of the means, as in the papers; ``overall`` are brows, eyes, nose and mouth.
    Papers: Le et al., *Interactive facial feature localization* (2012); Smith et al., *Exemplar-based face parsing*
    (2013).

    Attributes:
        image_size: height and width in pixels that everything is resized to.
    """

    name: Literal["helen"] = "helen"
    image_size: ImageSize = (256, 256)

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        if self.augmentation.flip or self.augmentation.flip_vertical:
            raise ValueError(
                "augmentation: a mirrored face has its left brow and eye where the right ones are, and keeps their "
                "labels; leave flip and flip_vertical out"
            )
        return self


class LfwData(_Faces):
    """The 2 927 funneled faces of LFW with part labels: background, hair and skin, a label for every superpixel.

    Layout: ``root/lfw_funneled/NAME/NAME_0001.jpg``; labels as pictures, ``root/parts_lfw_funneled_gt_images/
    NAME_0001.ppm``, or where that folder is not there as superpixels, ``root/parts_lfw_funneled_superpixels_mat/NAME/
    NAME_0001.dat`` and ``root/parts_lfw_funneled_gt/NAME/NAME_0001.dat``; and the lists ``parts_train.txt``,
    ``parts_validation.txt`` and ``parts_test.txt`` with lines ``NAME NUMBER``.
    Paper: Kae et al., *Augmenting CRFs with Boltzmann machine shape priors for image labeling* (2013).

    Attributes:
        image_size: height and width in pixels that everything is resized to; the originals are 250 x 250.
    """

    name: Literal["lfw"] = "lfw"
    image_size: ImageSize = (320, 320)
