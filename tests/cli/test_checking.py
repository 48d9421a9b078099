"""``autorf check`` in a terminal, as JSON and as a page."""

import json

import pytest

from tests.advice.pictures import write_pictures
from tests.cli.conftest import Shell

MODEL = ("largefov:test_resnet", "--set", "stage=0")
OBJECTS = {1: [(4, 4, 14, 14)], 2: [(10, 30, 70, 42)]}
SIZES = [(96, 96)] * 2


@pytest.fixture
def pictures(shell: Shell) -> tuple[str, ...]:
    write_pictures(shell.folder, OBJECTS, SIZES)
    return ("--images", "images", "--masks", "masks")


def test_everything_is_said_in_words(shell: Shell, pictures: tuple[str, ...]) -> None:
    answer = shell.run("check", *MODEL, *pictures, "--memory", "1GB")
    assert answer.code == 0, answer.err
    for said in (
        "largefov:test_resnet on 96x96, 2 pictures of images; weights random",
        "receptive field  17 px",
        "does not fit     2: half of its pixels lie in objects up to 60 px, larger than the whole field (17 px)",
        "advised field    35 px, rnorm 0.36",
        "a starting point for a search",
        "dilation  ",
        "convolutions",
        "positions in steps of",
        "in 1 GB: tiles of up to",
        "another class at",
        "label 0 is taken for the background",
    ):
        assert said in answer.out, said


def test_json_is_the_contract_alone(shell: Shell, pictures: tuple[str, ...]) -> None:
    found = json.loads(shell.run("check", *MODEL, *pictures, "--format", "json", "--image-size", "48x64").out)
    assert (found["model"], found["image_size"], found["pictures"]["source"]) == (MODEL[0], [48, 64], "images")
    assert [row["class"] for row in found["objects"]] == ["background", "1", "2"]


def test_the_page_stands_alone_and_is_not_overwritten_unasked(shell: Shell, pictures: tuple[str, ...]) -> None:
    answer = shell.run("check", *MODEL, *pictures, "--output", "page.html")
    page = (shell.folder / "page.html").read_text()
    assert "page             page.html" in answer.out
    assert "1 of 2 classes does not fit into the field" in page
    assert page.count("<rect ") >= 2 * (2 + 3)
    assert "data:image/" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "exists" in shell.refused("check", *MODEL, "--output", "page.html")


def test_settings_of_data_are_the_studys(shell: Shell) -> None:
    answer = shell.run("check", *MODEL, "--study", "tiny.yaml", "--set", "data.n_train=3", "--format", "json")
    assert sum(row["pictures"] for row in json.loads(answer.out)["pictures"]["sizes"]) == 3


def test_a_study_gives_its_pictures_and_its_classes_names(shell: Shell) -> None:
    answer = shell.run("check", *MODEL, "--study", "tiny.yaml", "--format", "json")
    found = json.loads(answer.out)
    assert found["pictures"]["source"] == "the training split of tiny.yaml"
    assert {row["class"] for row in found["objects"]} >= {"background", "3"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--memory", "lots"), "such as 8GB"),
        (("--image-size", "9x"), "--image-size 9x"),
        (("--format", "csv"), "one of table, json"),
        (("--study", "tiny.yaml", "--images", "images"), "leave --images and --masks out"),
        (("--study", "tiny.yaml", "--set", "data.n_trian=3"), "data.n_trian"),
        (("--set", "data.n_train=3"), "data"),
        (("--images", "nowhere"), "no such folder"),
    ],
)
def test_a_wrong_call_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    assert said in shell.refused("check", *MODEL, *arguments)
