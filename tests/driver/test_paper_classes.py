"""PAD-Nets' studies of whole pictures: trials that figures are of, networks from shapes alone, two steps of each."""

from pathlib import Path

import pytest
import torch

from autorf.cli.dry_run import dry_run
from autorf.comparison import compare_studies
from autorf.networks import build
from autorf.reporting import report_page
from autorf.running.at_start import at_start
from autorf.study.builtin import names
from autorf.study.trial import spec_of
from tests.data.classes import write_aircraft, write_cars, write_imagenet, write_shade
from tests.driver.papers import meant_by, searched, study, trials_of

PAPERS = [name for name in names("studies") if name.startswith(("paper_imagenet", "paper_cars", "paper_aircraft"))]
RANDOM = ("model.pretrained=false", "model.encoder_weights=null")
OFFICIAL_CLASSES = {"imagenet": 1000, "stanford_cars": 196, "fgvc_aircraft": 100}

CONV5 = ("features.24", "features.26", "features.28")
LAYER2 = ("layer2.1.conv2", "layer2.2.conv2", "layer2.3.conv2")
LAYER8 = ("layer8.0.conv1", "layer8.0.conv2")
LAYERS_7_AND_8 = ("layer7.0.conv1", "layer7.0.conv2", *LAYER8)
DEPTHWISE = ("features.4.conv.1.0", "features.5.conv.1.0", "features.6.conv.1.0")
NETWORKS = {
    # Of the pixel-adaptive network: field, parameters, those that the method adds (three outputs of each input channel
    # of each layer), and the layers.
    "paper_imagenet_pad_vgg16": (212, 138_362_152, 3 * 3 * 512, CONV5),
    "paper_imagenet_pad_resnet50": (427, 25_558_184, 3 * 3 * 128, LAYER2),
    "paper_imagenet_pad_drn26": (581, 21_129_656, 3 * 2 * 512, LAYER8),
    "paper_imagenet_pad_mobilenetv2": (491, 3_506_456, 3 * (144 + 2 * 192), DEPTHWISE),
    "paper_cars_pad_resnet50": (427, 23_910_788, 3 * 3 * 128, LAYER2),
    "paper_cars_pad_drn26": (581, 20_720_276, 3 * 4 * 512, LAYERS_7_AND_8),
    "paper_cars_pad_mobilenetv2": (491, 2_476_532, 3 * (144 + 2 * 192), DEPTHWISE),
    "paper_aircraft_pad_resnet50": (427, 23_714_084, 3 * 3 * 128, LAYER2),
    "paper_aircraft_pad_drn26": (581, 20_671_028, 3 * 4 * 512, LAYERS_7_AND_8),
    "paper_aircraft_pad_mobilenetv2": (491, 2_353_556, 3 * (144 + 2 * 192), DEPTHWISE),
}
QUICK = "paper_cars_pad_drn26"
"""Held in every run of the tests; the others among the slow ones."""

TABLES_6_AND_7 = {
    # Regular top-1, top-5, and PAD's; of Cars and Aircraft top-1, regular and PAD at 224 and at 448 pixels. Two cells
    # of the text at hand are illegible: VGG-16's regular top-5, ResNet-50's regular figure of Aircraft at 224 pixels.
    "paper_imagenet_pad_vgg16": [0.73, 0.745, 0.92],
    "paper_imagenet_pad_resnet50": [0.76, 0.93, 0.769, 0.934],
    "paper_imagenet_pad_drn26": [0.751, 0.924, 0.759, 0.926],
    "paper_imagenet_pad_mobilenetv2": [0.718, 0.91, 0.726, 0.908],
    "paper_cars_pad_resnet50": [0.912, 0.916, 0.923, 0.935],
    "paper_cars_pad_drn26": [0.91, 0.914, 0.903, 0.924],
    "paper_cars_pad_mobilenetv2": [0.887, 0.888, 0.806, 0.827],
    "paper_aircraft_pad_resnet50": [0.866, 0.879, 0.901],
    "paper_aircraft_pad_drn26": [0.863, 0.865, 0.868, 0.896],
    "paper_aircraft_pad_mobilenetv2": [0.832, 0.841, 0.805, 0.876],
}


def test_every_network_of_tables_6_and_7_has_a_study_with_its_figures() -> None:
    assert {name: [figure.value for figure in study(name).published] for name in PAPERS} == TABLES_6_AND_7


@pytest.mark.parametrize("name", PAPERS)
def test_each_published_figure_is_of_one_configuration(name: str) -> None:
    spec = study(name)
    for figure in spec.published:
        (trial,) = meant_by(spec, dict(figure.where))
        method = trial.method.method
        assert ("PAD" in figure.row.split(", ")) == (method == "pixel_adaptive"), figure.row
        assert f"{spec_of(spec, trial).data.image_size[0]} px" in figure.row or spec.data.name == "imagenet"


@pytest.mark.parametrize(
    "name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_parameters_fields_and_changed_layers_are_those_of_the_paper(name: str) -> None:
    rf, parameters, added, layers = NETWORKS[name]
    spec = study(name, *RANDOM)
    classes = OFFICIAL_CLASSES[spec.data.name]
    regular, adaptive = (trials_of(spec)[index] for index in (0, -1))
    network = at_start(spec, adaptive, classes)
    assert (network.field.rf, network.parameters, network.layers) == ((rf, rf), parameters, layers)
    with torch.device("meta"):
        own = sum(each.numel() for each in build(spec.model, classes).parameters())
    assert parameters - own == added
    # The regular network is the published one: the same field and parameters as without a method.
    untouched = at_start(spec, regular, classes)
    assert (untouched.field.rf, untouched.parameters) == ((rf, rf), own)


GENERATED_CLASSES = {"imagenet": 6, "stanford_cars": 3, "fgvc_aircraft": 3}


def pictures(tmp_path: Path, name: str) -> list[str]:
    """A few pictures in the official layout, of ImageNet six classes so that top-5 says something; their overrides."""
    data = study(name).data.name
    if data == "stanford_cars":
        return [f"data.root={write_cars(tmp_path / 'stanford_cars')}"]
    if data == "fgvc_aircraft":
        return [f"data.root={write_aircraft(tmp_path / 'fgvc-aircraft-2013b')}"]
    root = write_imagenet(tmp_path / "imagenet", flat=False)
    for label, synset in enumerate(("n09990001", "n09990002")):
        write_shade(root / "train" / synset / f"{synset}_0.JPEG", label, format="JPEG")
        write_shade(root / "val" / synset / f"ILSVRC2012_val_0000009{label}.JPEG", label, format="JPEG")
    return [f"data.root={root}", f"data.classes={GENERATED_CLASSES[data]}"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_two_steps_of_every_papers_study_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An epoch of 10 pictures, 6 or 3, by batches that make two steps of it, or three.
    batch = {"imagenet": 5, "stanford_cars": 3, "fgvc_aircraft": 1}[study(name).data.name]
    length = ("training.epochs=1", f"training.batch_size={batch}", "training.seeds=[0]")
    spec = study(name, *RANDOM, *length, *pictures(tmp_path, name), "data.image_size=[64, 64]")
    if spec.data.name != "imagenet":
        # Two small sizes for the paper's two.
        side_for = {224: 64, 448: 96}
        spaces = [dict(space) for space in spec.search_space if isinstance(space, dict)]
        for space in spaces:
            space["data.image_size"] = [[side, side] for side in side_for.values()]
        figures = []
        for published in spec.published:
            size = {"data.image_size": side_for[published.where["data.image_size"]]}
            figures.append(published.model_copy(update={"where": published.where | size}))
        spec = spec.model_copy(update={"search_space": tuple(spaces), "published": tuple(figures)})
    results = searched(spec, name, tmp_path, monkeypatch)
    comparison = compare_studies([results])
    assert {row.state for row in comparison.rows} == {"complete"}, [row.reason for row in comparison.rows]
    assert all(row.steps >= 2 for row in comparison.rows)
    assert len(comparison.published) == len(TABLES_6_AND_7[name])
    for figure in comparison.published:
        assert figure.n == 1, figure.row
        assert "published; here " in figure.sentence
    assert "Against the paper" in report_page([results])


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_the_dry_run_of_every_papers_study_has_its_field_and_layers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = study(name, *RANDOM, *pictures(tmp_path, name))
    assert dry_run(spec, name, tmp_path / "runs") == 0
    said = capsys.readouterr().out
    rf, _, _, layers = NETWORKS[name]
    rows = [line.split() for line in said.splitlines()]
    assert any(str(rf) in row for row in rows)
    assert layers[-1] in said
    # The generated pictures have other classes than 1000, 196 or 100: the parameters are those of their number.
    with torch.device("meta"):
        own = sum(each.numel() for each in build(spec.model, GENERATED_CLASSES[spec.data.name]).parameters())
    assert any(str(own + NETWORKS[name][2]) in row for row in rows)
