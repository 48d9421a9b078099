"""Networks of packages that autorf does not know, each by a file of three lines, as far as the first step of a search.

Two of the packages are no dependency of the tests: what they ship is checked where they are installed.
"""

from pathlib import Path

import pytest

from autorf.data import load
from autorf.driver.places import placed
from autorf.driver.plan import plan
from autorf.own_code.importing import importable
from autorf.running.first_step import check_first_step
from autorf.study.own_code import with_own_code
from autorf.study.spec import parse_study

TORCHVISION = """
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
def build(n_classes):
    model = lraspp_mobilenet_v3_large(weights_backbone=None)
    for head, width in (("low_classifier", 40), ("high_classifier", 128)):
        layer = getattr(model.classifier, head)
        setattr(model.classifier, head, type(layer)(width, n_classes, 1))
    return model
"""

MONAI = """
from monai.networks.nets import UNet
def build(n_classes):
    return UNet(2, 3, n_classes, (8, 16, 32), strides=(2, 2), num_res_units=1)
"""

ULTRALYTICS = """
from ultralytics.nn.tasks import SemanticSegmentationModel
def build(n_classes):
    return SemanticSegmentationModel("yolo26n-sem.yaml", nc=n_classes, verbose=False)
"""


@pytest.mark.parametrize(
    ("package", "source"), [("torchvision", TORCHVISION), ("monai", MONAI), ("ultralytics", ULTRALYTICS)]
)
@pytest.mark.filterwarnings("ignore")
def test_a_network_of_another_package_takes_the_first_step_of_a_search(
    package: str, source: str, tmp_path: Path
) -> None:
    pytest.importorskip(package)
    (tmp_path / "others_net.py").write_text(source)
    values = {
        "name": "others",
        "data": {"name": "digits", "image_size": 160, "object_size": 40, "n_train": 4, "n_val": 2, "n_test": 0},
        "model": {"name": "python:./others_net.py:build"},
        "training": {"epochs": 1, "batch_size": 2},
        "search_space": [{"method": "dilation", "rate": 2}, {"method": "learned_dilation", "rates": [1, 2]}],
    }
    spec = with_own_code(parse_study(values, "others"), "others", tmp_path)
    with importable(spec.code):
        planned = plan(spec, "others", tmp_path)
        spec = placed(spec, planned.places)
        assert spec.model.places
        for trial in planned.configurations:
            check_first_step(spec, trial, load(spec.data))
