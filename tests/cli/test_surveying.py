"""``autorf init`` and ``autorf data`` as a user meets them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from autorf import plugins
from autorf.cli.studies import read_study
from autorf.data import load
from autorf.study.trial import grid
from tests.cli.conftest import Shell
from tests.data.faces import write_helen, write_lfw
from tests.data.scenes import write_ade20k, write_cityscapes, write_voc
from tests.outside.package import HERE, install
from tests.survey.folders import coloured, photograph, save, scene, split_places, write_pairs

PLACES = split_places("{split}/images/{n}.png", "{split}/masks/{n}.png")


@pytest.fixture
def ready(shell: Shell) -> Shell:
    write_pairs(shell.folder / "mine", PLACES)
    return shell


def test_init_writes_a_study_whose_trials_can_be_listed_and_whose_data_can_be_read(ready: Shell) -> None:
    done = ready.run("init", "mine")
    assert done.code == 0, done.err
    assert "3 train, 3 val, 3 test" in done.out
    assert "odd              nothing" in done.out
    spec, _ = read_study(str(ready.folder / "mine.yaml"), [])
    assert {trial.method.method for trial in grid(spec, "mine.yaml")} == {"dilation", "learned_dilation"}
    assert len(load(spec.data).val) == 3


@pytest.mark.slow
def test_a_search_accepts_the_study_as_it_is(ready: Shell) -> None:
    assert ready.run("init", "mine").code == 0
    plan = ready.run("search", "mine.yaml", "--dry-run")
    assert plan.code == 0, plan.err
    assert "learned_dilation" in plan.out


@pytest.mark.slow
def test_init_of_a_folder_with_odd_files_writes_lists_that_a_search_accepts(ready: Shell) -> None:
    (ready.folder / "mine" / "train" / "masks" / "train0.png").unlink()
    done = ready.run("init", "mine", "--output", "own/study.yaml")
    assert done.code == 0, done.err
    assert "1 image of train without a mask (left out): train/images/train0.png" in done.out
    lists = ready.folder / "own" / "study_lists"
    assert sorted(path.name for path in lists.iterdir()) == ["test.txt", "train.txt", "val.txt"]
    plan = ready.run("search", "own/study.yaml", "--dry-run")
    assert plan.code == 0, plan.err


def test_a_study_file_that_exists_is_replaced_by_force_only(ready: Shell) -> None:
    (ready.folder / "mine.yaml").write_text("mine")
    assert "mine.yaml: exists" in ready.refused("init", "mine")
    assert (ready.folder / "mine.yaml").read_text() == "mine"
    assert ready.run("init", "mine", "--force").code == 0
    assert yaml.safe_load((ready.folder / "mine.yaml").read_text())["name"] == "mine"


def test_a_list_that_exists_is_replaced_by_force_only(ready: Shell) -> None:
    (ready.folder / "mine" / "train" / "masks" / "train0.png").unlink()
    save_to = ready.folder / "mine_lists" / "val.txt"
    save_to.parent.mkdir()
    save_to.write_text("my own")
    assert "val.txt: exists" in ready.refused("init", "mine")
    assert save_to.read_text() == "my own"


def test_the_same_is_to_be_had_as_json(ready: Shell) -> None:
    save(ready.folder / "mine" / "val" / "images" / "alone.png", photograph(scene(0), 0))
    done = ready.run("init", "mine", "--format", "json")
    values = json.loads(done.out)
    assert values["study"] == "mine.yaml"
    assert values["images"] == {"train": 3, "val": 3, "test": 3}
    assert values["data"]["classes"] == 3
    (problem,) = values["problems"]
    assert problem == {
        "kind": "image_without_mask",
        "text": "1 image of val without a mask (left out)",
        "files": ["val/images/alone.png"],
    }
    assert ready.run("data", "folder", "mine", "--format", "json").out.count('"kind"') == done.out.count('"kind"')


def test_the_page_shows_twelve_samples_with_masks_and_loads_nothing(ready: Shell) -> None:
    write_pairs(ready.folder / "mine", split_places("{split}/images/m{n}.png", "{split}/masks/m{n}.png"))
    assert ready.run("init", "mine", "--page", "page.html").code == 0
    page = (ready.folder / "page.html").read_text()
    assert page.count('<img src="data:image/webp;base64,') == 24
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "train/images/train0.png" in page
    assert "val_fraction" not in page
    assert "search_space:" in page, "the study is on its page"


def test_what_cannot_be_is_refused_before_anything_is_written(ready: Shell) -> None:
    assert "missing: does not exist" in ready.refused("init", "missing")
    assert "--format yaml: one of table, json" in ready.refused("init", "mine", "--format", "yaml")
    assert "is the study file too" in ready.refused("init", "mine", "--page", "mine.yaml")
    assert "is a folder; name a file" in ready.refused("init", "mine", "--output", "mine")
    assert "did you mean camvid?" in ready.refused("data", "camvit", "mine")
    assert "digits: has no key root: it is drawn, or read by code" in ready.refused("data", "digits", "mine")
    assert "expected KEY=VALUE" in ready.refused("data", "folder", "mine", "--set", "classes")
    assert "data.classes: this key is required" in ready.refused("data", "folder", "mine", "--set", "image_size=64")
    assert "expected in data.root: {train,test}/{images,labels}" in ready.refused("data", "fasseg", "mine")


def test_data_of_a_name_looks_at_its_files_and_names_those_it_cannot_read(shell: Shell) -> None:
    places = split_places("{split}/images/{n}.jpg", "{split}/labels/{n}.png", splits=["train", "test"])
    write_pairs(shell.folder / "faces", places)
    (shell.folder / "faces" / "test" / "labels" / "test1.png").write_bytes(b"broken")
    done = shell.run("data", "fasseg", "faces", "--page", "page.html")
    assert done.code == 0, done.err
    assert "2 train, 1 val, 2 test" in done.out
    assert "background" in done.out
    assert "test1.png: cannot be read as a picture" in done.out
    assert "no mask of train holds eyes, nose, mouth" in done.out
    assert (shell.folder / "page.html").is_file()


def test_data_of_keys_of_its_own_reads_masks_by_them(shell: Shell) -> None:
    write_pairs(shell.folder / "mine", PLACES, mask_of=coloured)
    colours = "{a: [128, 64, 128], b: [0, 0, 142], c: [220, 20, 60]}"
    done = shell.run(
        "data", "folder", "mine", "--set", "classes=[a, b, c]", "--set", f"colors={colours}", "--format", "json"
    )
    assert done.code == 0, done.err
    values = json.loads(done.out)
    shares = [row["shares"]["train"] for row in values["classes"]]
    assert shares == pytest.approx([np.mean([scene(n) == c for n in range(3)]) for c in range(3)])
    assert values["objects_at"] == [256, 256]


BLOCKS = """
from pathlib import Path
from typing import Literal

import torch

from autorf.data import DataSet, InMemory, Labels, SegmentationSet


class Blocks(DataSet):
    name: Literal["blocks"] = "blocks"
    root: Path

    def labels(self):
        return Labels(("left", "right"), 255)

    def sets(self):
        height, width = self.image_size
        masks = (torch.arange(width) >= width // 4).byte().expand(2, height, width).clone()
        masks[1, : height // 2] = 255
        images = (masks[:, None] * 99).expand(2, 3, height, width)
        drawn = SegmentationSet(InMemory(images, masks), (height, width), 255)
        return {"train": drawn, "val": drawn}
"""


@pytest.fixture
def with_packages(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Packages that add data sets, one with a folder and one without."""
    folder = shell.folder / "installed"
    install(folder, "added", {plugins.DATA: ("blocks = blocks:Blocks", "stripes = theirs.stripes:Stripes")})
    (folder / "blocks.py").write_text(BLOCKS)
    for path in (HERE, folder):
        monkeypatch.syspath_prepend(str(path))
    plugins._declared.cache_clear()
    yield
    plugins._declared.cache_clear()


def test_data_of_a_package_s_data_set_is_looked_at_as_it_is_loaded(shell: Shell, with_packages: None) -> None:
    assert "stripes: has no key root" in shell.refused("data", "stripes", "mine")
    done = shell.run(
        "data", "blocks", "mine", "--set", "image_size=[40, 80]", "--page", "page.html", "--format", "json"
    )
    assert done.code == 0, done.err
    values = json.loads(done.out)
    assert (values["images"], values["objects_at"]) == ({"train": 2, "val": 2}, [40, 80])
    assert values["ignored"] == pytest.approx(0.25)
    assert [row["shares"]["train"] for row in values["classes"]] == pytest.approx([0.25, 0.75])
    assert values["classes"][0]["objects"]["sides"]["0.9"] == 40
    assert "train 0" in (shell.folder / "page.html").read_text()


def test_an_image_that_is_turned_by_its_camera_is_counted_as_it_is_shown(shell: Shell) -> None:
    write_pairs(shell.folder / "mine", PLACES)
    block = Image.Exif()
    block[0x0112] = 6
    for image, mask in PLACES[:1]:
        Image.fromarray(np.rot90(photograph(scene(0), 0))).save(shell.folder / "mine" / image, exif=block)
        assert (shell.folder / "mine" / mask).is_file()
    done = shell.run("data", "folder", "mine", "--format", "json")
    assert json.loads(done.out)["sizes"] == [{"size": [48, 64], "images": 9}]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("voc", write_voc),
        ("cityscapes", write_cityscapes),
        ("ade20k", write_ade20k),
        ("helen", write_helen),
        ("lfw", write_lfw),
    ],
)
def test_a_set_of_the_papers_is_looked_at_in_its_official_layout(
    shell: Shell, name: str, write: Callable[[Path], Path]
) -> None:
    root = write(shell.folder / "VOC2012")
    done = shell.run("data", name, str(root), "--format", "json")
    assert done.code == 0, done.err
    survey = json.loads(done.out)
    assert survey["images"]["train"] > 0
