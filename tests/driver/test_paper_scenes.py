"""The studies of papers on VOC, Cityscapes and ADE20K: networks, the trials that figures are of, two steps of each."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from autorf.cli.dry_run import dry_run
from autorf.comparison import compare_studies
from autorf.data import VocData
from autorf.data.loading import class_names
from autorf.errors import InputError
from autorf.networks import build
from autorf.reporting import report_page
from autorf.running.at_start import at_start
from autorf.study.builtin import names
from tests.data.scenes import write_ade20k, write_cityscapes, write_sbd, write_voc
from tests.driver.papers import meant_by, searched, study, trials_of

PAPERS = [name for name in names("studies") if name.startswith(("paper_voc", "paper_cityscapes", "paper_ade20k"))]
NO_FIGURE = "paper_voc_pad_mobilenetv2_deeplabv3plus"
RANDOM = ("model.pretrained=false", "model.weights=null", "model.encoder_weights=null")


def test_the_papers_studies_on_scenes_are_there() -> None:
    sac = [f"paper_cityscapes_sac_{scheme}" for scheme in ("multiple", "multiple_only", "single", "single_only")]
    networks = (
        "drn54_deeplabv3plus", "mobilenetv2_deeplabv3plus", "resnet101_deeplabv3plus", "vgg16_fcn32s", "vgg16_fcn8s",
        "xception_deeplabv3plus",
    )  # fmt: skip
    pad = [f"paper_voc_pad_{network}" for network in networks]
    others = ["paper_ade20k_sac_multiple", "paper_cityscapes_pad_resnet101", "paper_voc_pad_levels", "paper_voc_single"]
    assert sorted(PAPERS) == sorted([*sac, *pad, *others])


@pytest.mark.parametrize("name", PAPERS)
def test_each_published_figure_is_of_one_configuration(name: str) -> None:
    spec = study(name)
    assert bool(spec.published) == (name != NO_FIGURE)
    for figure in spec.published:
        if figure.where != {"method": "baseline"}:
            # What a search adds by itself where only scales learn.
            assert len(meant_by(spec, dict(figure.where))) == 1, figure.row


def test_the_tables_of_the_papers_are_whole() -> None:
    voc = {figure.row: figure.value for figure in study("paper_voc_single").published}
    assert len(voc) == 14
    assert (voc["baseline, dilation 10"], voc["modified, initial dilation 18"]) == (0.6558, 0.6778)
    figures = {name: [figure.value for figure in study(name).published] for name in PAPERS}
    assert figures["paper_cityscapes_sac_multiple"] == [0.74, 0.765, 0.787]
    assert figures["paper_cityscapes_sac_single"] == [0.74, 0.759, 0.782]
    assert figures["paper_cityscapes_sac_single_only"] == [0.74, 0.745]
    assert figures["paper_cityscapes_sac_multiple_only"] == [0.74, 0.748]
    assert figures["paper_ade20k_sac_multiple"] == [0.3975, 0.7936, 0.4238, 0.8086, 0.443, 0.8186]
    assert figures["paper_voc_pad_vgg16_fcn32s"] == [0.628, 0.651]
    assert figures["paper_voc_pad_vgg16_fcn8s"] == [0.647, 0.665, 0.655, 0.653, 0.662]
    assert figures["paper_voc_pad_levels"] == [0.647, 0.639, 0.647, 0.665, 0.654, 0.661, 0.659]
    assert figures["paper_voc_pad_resnet101_deeplabv3plus"] == [0.751, 0.772, 0.767, 0.756]
    assert figures["paper_voc_pad_xception_deeplabv3plus"] == [0.735, 0.744]
    assert figures["paper_voc_pad_drn54_deeplabv3plus"] == [0.754, 0.772]
    assert figures["paper_cityscapes_pad_resnet101"] == [0.801, 0.807]


def scenes(tmp_path: Path, name: str) -> list[str]:
    """Small data in the official layout; the overrides that name them and make the study small."""
    spec = study(name)
    if isinstance(spec.data, VocData):
        overrides = [f"data.root={write_voc(tmp_path / 'VOC2012')}", f"data.sbd={write_sbd(tmp_path / 'dataset')}"]
    elif spec.data.name == "cityscapes":
        overrides = [f"data.root={write_cityscapes(tmp_path / 'cityscapes')}"]
    else:
        overrides = [f"data.root={write_ade20k(tmp_path / 'ADEChallengeData2016')}"]
    # At stride 8, a map that the largest dilation of VOC's table still sees more than its own pixel of.
    side = 192 if name == "paper_voc_single" else 64
    length = ["training.epochs=1"] if spec.training.steps is None else ["training.steps=2", "training.validate_every=2"]
    crop = [] if spec.data.augmentation.crop is None else [f"data.augmentation.crop=[{side}, {side}]"]
    small = [f"data.image_size=[{side}, {side}]", f"training.batch_size={min(2, spec.training.batch_size)}"]
    if spec.model.name.startswith("largefov"):
        small.append("model.channels=[8, 8]")
    return [*RANDOM, *overrides, *small, *length, *crop]


def test_two_steps_of_a_papers_study_run_and_figures_over_several_sizes_have_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "paper_voc_pad_vgg16_fcn8s"
    figures = [
        "{paper: PAD-Nets 2020, table: 2, row: gated, metric: miou, value: 0.655, where: {aggregation: gated}}",
        "{paper: PAD-Nets 2020, table: 2, row: many sizes, metric: miou, value: 0.66, where: {aggregation: gated},"
        " multiscale: true}",
        "{paper: PAD-Nets 2020, table: 4, row: regular, metric: pixel_accuracy, value: 0.9, where: {method: dilation},"
        " multiscale: true}",
    ]
    # Another backbone, whose weights are drawn in a fraction of the time; the VGG is among the slow tests.
    more = [
        "model.name=largefov:resnet18",
        "model.channels=[8, 8]",
        "evaluation.scales=[0.5, 1]",
        "search.controls=false",
    ]
    space = "search_space=[{method: dilation, rate: null}, {method: pixel_adaptive, aggregation: gated}]"
    spec = study(name, *scenes(tmp_path, name), *more, space, f"published=[{', '.join(figures)}]")
    comparison = compare_studies([searched(spec, name, tmp_path, monkeypatch)])
    assert {row.state for row in comparison.rows} == {"complete"}, [row.reason for row in comparison.rows]
    gated, over_sizes, accuracy = comparison.published
    (group,) = [group for group in comparison.multiscale if group.method == "pixel_adaptive"]
    assert (gated.ours, over_sizes.ours) == (group.single_miou, group.miou)
    assert "many sizes: multi-scale miou 0.6600 published; here 0." in over_sizes.sentence
    accuracies = {group.setting: group.pixel_accuracy for group in comparison.multiscale if group.method == "dilation"}
    assert accuracy.ours == accuracies[accuracy.setting]


def test_a_figure_over_several_sizes_needs_them() -> None:
    with pytest.raises(InputError, match=r"published.2.multiscale: the study scores at one size; give evaluation"):
        study("paper_cityscapes_sac_single", "evaluation={}")


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_two_steps_of_every_papers_study_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = scenes(tmp_path, name)
    if name.endswith("_only"):
        weights = tmp_path / "baseline.safetensors"
        save_file(build("paper:fcn_resnet101", 19).state_dict(), weights)
        overrides.append(f"model.weights={weights}")
    spec = study(name, *overrides)
    results = searched(spec, name, tmp_path, monkeypatch)
    comparison = compare_studies([results])
    assert {row.state for row in comparison.rows} == {"complete"}, [row.reason for row in comparison.rows]
    assert len(comparison.published) == len(spec.published)
    for figure in comparison.published:
        assert figure.n == 1, figure.row
        assert "published; here 0." in figure.sentence
    assert ("Against the paper" in report_page([results])) == (name != NO_FIGURE)


def _numbered(pattern: str, *numbers: int) -> tuple[str, ...]:
    return tuple(pattern.format(number) for number in numbers)


STAGE = _numbered("layer4.{}.conv2", 0, 1, 2)
CONV5 = _numbered("features.{}", 24, 26, 28)
NETWORKS = {
    # Of the last configuration: field, parameters, and those that the method adds to the network's own.
    "paper_voc_pad_vgg16_fcn32s": (436, 134_351_189, 3 * 3 * 512, CONV5),
    "paper_voc_pad_vgg16_fcn8s": (468, 134_365_823, 2 * 3 * 512, CONV5),
    # 3 outputs a layer: of conv3 from 128 and twice 256 channels, of conv4 from 256 and twice 512, of conv5 thrice 512.
    "paper_voc_pad_levels": (
        468, 134_373_119, 3 * (128 + 256 + 256 + 256 + 512 + 512 + 3 * 512),
        _numbered("features.{}", 10, 12, 14, 17, 19, 21, 24, 26, 28),
    ),
    "paper_voc_pad_resnet101_deeplabv3plus": (
        2219, 45_679_479, 3 * 3 * 512 + 2 * 3 * 3, tuple(f"encoder.{layer}" for layer in STAGE),
    ),
    "paper_voc_pad_mobilenetv2_deeplabv3plus": (
        1739, 4_394_021, 3 * (576 + 3 * 960), _numbered("encoder.features.{}.conv.1.0", 14, 15, 16, 17),
    ),
    "paper_voc_pad_xception_deeplabv3plus": (
        3131, 41_166_565, 3 * (50 * 728 + 2 * 1024 + 2 * 1536),
        tuple(f"encoder.model.blocks_{block}.stack.conv{at}.conv_dw" for block in range(3, 21) for at in (1, 2, 3)),
    ),
    "paper_voc_pad_drn54_deeplabv3plus": (
        1135, 36_470_997, 3 * (2048 + 512), ("encoder.layer7.0", "encoder.layer8.0"),
    ),
    "paper_cityscapes_pad_resnet101": (
        2219, 45_678_947, 3 * 3 * 512, tuple(f"encoder.{layer}" for layer in STAGE),
    ),
    # A 3x3 regressor of one channel and its bias, of the last block's 2048 channels and the block before's 1024.
    "paper_cityscapes_sac_single": (995, 42_868_820, 9 * 2048 + 1, ("classifier",)),
    "paper_cityscapes_sac_single_only": (995, 42_868_820, 9 * 2048 + 1, ("classifier",)),
    "paper_cityscapes_sac_multiple": (
        995, 42_878_037, 9 * (2048 + 1024) + 2, (*(f"backbone.{layer}" for layer in STAGE), "classifier"),
    ),
    "paper_cityscapes_sac_multiple_only": (
        995, 42_878_037, 9 * (2048 + 1024) + 2, (*(f"backbone.{layer}" for layer in STAGE), "classifier"),
    ),
    "paper_ade20k_sac_multiple": (
        995, 45_292_760, 9 * (2048 + 1024) + 2, (*(f"backbone.{layer}" for layer in STAGE), "classifier"),
    ),
}  # fmt: skip


QUICK = ("paper_voc_pad_mobilenetv2_deeplabv3plus", "paper_cityscapes_sac_single")
"""A small network and a large one, whose numbers are held in every run of the tests; the others among the slow ones."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_networks_fields_and_changed_layers_are_those_of_the_papers(name: str) -> None:
    rf, parameters, added, layers = NETWORKS[name]
    spec = study(name, *RANDOM)
    network = at_start(spec, trials_of(spec)[-1], class_names(spec.data))
    assert (network.field.rf, network.parameters, network.layers) == ((rf, rf), parameters, layers)
    assert network.field.rnorm == pytest.approx(rf / min(spec.data.image_size))
    with torch.device("meta"):
        own = build(spec.model, class_names(spec.data))
    assert parameters - sum(each.numel() for each in own.parameters()) == added


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_the_dry_run_of_every_papers_study_has_its_numbers_and_scales_what_is_large(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [each for each in scenes(tmp_path, name) if each.startswith(("data.root", "data.sbd"))]
    if name.endswith("_only"):
        weights = tmp_path / "baseline.safetensors"
        save_file(build("paper:fcn_resnet101", 19).state_dict(), weights)
        overrides.append(f"model.weights={weights}")
    assert dry_run(study(name, *RANDOM, *overrides), name, tmp_path / "runs") == 0
    said = capsys.readouterr().out
    assert "scaled from 128 x 128 and 192 x 192 px, batch" in said
    if name != "paper_voc_single":
        rf, parameters, _, layers = NETWORKS[name]
        assert any(str(rf) in line.split() and str(parameters) in line.split() for line in said.splitlines())
        assert layers[-1] in said


# Of the output at the image's size: 8 pixels more than the paper's own count.
TABLE_3 = {4: 276, 6: 308, 8: 340, 10: 372, 12: 404, 14: 436, 16: 468, 18: 500, 20: 532}


@pytest.mark.slow
def test_the_fields_of_vocs_baselines_are_those_of_table_3() -> None:
    spec = study("paper_voc_single", *RANDOM)
    baselines = [trial for trial in trials_of(spec) if trial.method.method == "dilation"]
    networks = [at_start(spec, trial, class_names(spec.data)) for trial in baselines]
    assert [network.field.rf[0] - 8 for network in networks] == list(TABLE_3.values())
    assert {network.layers for network in networks} == {("head.conv6",)}
    assert {network.parameters for network in networks} == {20_506_453}
