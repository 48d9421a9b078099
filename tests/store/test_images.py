"""A study goes on with the images that it began on, or not at all."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autorf.comparison import compare_studies, results_of
from autorf.deployment.retrain import Options, retrain
from autorf.driver import search as module
from autorf.errors import InputError
from autorf.store.images import FILES, NOTE, StudyImages, summary_in
from autorf.store.store import Store, open_store
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import grid
from tests.driver.driving import Silent
from tests.study.trained import Here

TINY: dict[str, Any] = {
    "name": "tiny",
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [{"method": "dilation", "rate": [1]}],
    "training": {"epochs": 1, "batch_size": 2, "threads": 1},
    "search": {"controls": False},
    "executor": {"workers": 1},
}


def paint(file: Path, label: int = 1, side: int = 12) -> None:
    """A square of one class on a dark canvas, and its image."""
    mask = np.zeros((32, 32), np.uint8)
    mask[4 : 4 + side, 4 : 4 + side] = label
    for path, pixels in ((file, mask), (file.parents[1] / "images" / file.name, np.dstack([mask * 90] * 3))):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of four training and two validation pictures."""
    for split, count in (("train", 4), ("val", 2)):
        for at in range(count):
            paint(tmp_path / "data" / split / "masks" / f"{at}.png", side=8 + at)
    return tmp_path / "data"


def study(pictures: Path, name: str = "tiny", /, **data: Any) -> StudySpec:
    folder = {"name": "folder", "root": str(pictures), "classes": 2, "image_size": 32}
    return parse_study({**TINY, "name": name, "data": {**folder, **data}}, "tiny.yaml")


def begun(root: Path, spec: StudySpec) -> Store:
    """The study, registered, with its images."""
    store = Store(root / spec.name, spec.name)
    images = StudyImages(store, spec.data, root)
    images.check()
    store.register(spec, grid(spec, "tiny.yaml"))
    assert images.remember() is None
    return store


def checked(store: Store, spec: StudySpec, root: Path) -> str | None:
    images = StudyImages(store, spec.data, root)
    images.check()
    return images.remember()


@pytest.fixture
def searched(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[StudySpec], Any]:
    """``search`` with trials that train in this process, and no mirror."""
    monkeypatch.setattr(module, "make", lambda *_: Here())
    monkeypatch.setattr(module, "open_mirror", lambda *_: nullcontext(Silent()))
    return lambda spec: module.search(spec, "tiny.yaml", tmp_path / "runs", quiet=True)


def test_search_and_retrain_refuse_other_images_naming_them_and_go_on_when_they_are_back(
    searched: Callable[[StudySpec], Any], pictures: Path, tmp_path: Path
) -> None:
    spec, root = study(pictures), tmp_path / "runs"
    assert searched(spec).warnings == ()
    mask = pictures / "val" / "masks" / "1.png"
    before = mask.read_bytes()
    paint(mask, side=20)
    for go_on in (lambda: searched(spec), lambda: retrain(root, "tiny", Options(epochs=1), quiet=True)):
        with pytest.raises(InputError) as error:
            go_on()
        message = str(error.value)
        assert message.startswith("study 'tiny' began on other images: the validation image 1.png is changed, the ")
        assert message.endswith("; put them back, or give the study another name")
    paint(mask, side=9)
    mask.write_bytes(before)
    assert searched(spec).run == 0


def test_a_study_from_before_goes_on_with_one_line_and_knows_its_images_from_then_on(
    searched: Callable[[StudySpec], Any], pictures: Path, tmp_path: Path
) -> None:
    spec, root = study(pictures), tmp_path / "runs"
    searched(spec)
    open_store(root, "tiny").note(NOTE, None)
    (warning,) = searched(spec).warnings
    assert warning == ("study 'tiny' began before studies knew their images: from now on it knows those of today")
    assert searched(spec).warnings == ()
    paint(pictures / "train" / "masks" / "0.png", side=20)
    with pytest.raises(InputError, match="began on other images"):
        searched(spec)


def test_a_study_that_is_refused_has_learned_nothing_of_other_images(pictures: Path, tmp_path: Path) -> None:
    spec = study(pictures)
    store = begun(tmp_path, spec)
    before = summary_in(store.notes())
    paint(pictures / "val" / "masks" / "0.png", side=20)
    with pytest.raises(InputError):
        checked(store, spec, tmp_path)
    assert summary_in(store.notes()) == before


@pytest.mark.parametrize("at_the_same_moment", [False, True])
def test_two_processes_that_begin_at_once_on_other_images_do_not_both_begin(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_the_same_moment: bool
) -> None:
    spec = study(pictures)
    store = Store(tmp_path / "tiny", "tiny")
    first, second = (StudyImages(store, spec.data, tmp_path) for _ in range(2))
    first.check()
    paint(pictures / "val" / "masks" / "0.png", side=20)
    second.check()
    assert first.remember() is None
    if at_the_same_moment:
        # As read before the first one wrote.
        monkeypatch.setattr(Store, "notes", lambda _: {})
    with pytest.raises(InputError, match="began on other images"):
        second.remember()


ANOTHERS = b'{"val": {"images": {"zzz.png": "0"}, "masks": {}}}'


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", ANOTHERS, None])
def test_without_the_list_of_files_a_study_still_knows_its_images(
    pictures: Path, tmp_path: Path, damage: bytes | None
) -> None:
    spec = study(pictures)
    store = begun(tmp_path, spec)
    file = store.folder / FILES
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert checked(store, spec, tmp_path) is None
    paint(pictures / "val" / "masks" / "0.png", side=20)
    with pytest.raises(InputError, match=r"the validation split \(2 images then, 2 now\)"):
        checked(store, spec, tmp_path)


@pytest.mark.parametrize("note", ["x", {}, {"rule": "other", "splits": {}}, {"rule": "content", "splits": {"val": {}}}])
def test_a_damaged_note_is_as_good_as_none(pictures: Path, tmp_path: Path, note: Any) -> None:
    spec = study(pictures)
    store = begun(tmp_path, spec)
    store.note(NOTE, note)
    assert summary_in(store.notes()) is None


def test_the_bound_may_change_while_a_study_goes_on(pictures: Path, tmp_path: Path) -> None:
    spec = study(pictures, digest_gb=0)
    store = begun(tmp_path, spec)
    larger = study(pictures, digest_gb=5, pictures={"max_megapixels": 500})
    store.register(larger, grid(larger, "tiny.yaml"))
    assert checked(store, larger, tmp_path) is None, "asked by the rule that the study began with"


def test_how_pictures_are_read_may_not(pictures: Path, tmp_path: Path) -> None:
    spec = study(pictures)
    store = begun(tmp_path, spec)
    other = study(pictures, pictures={"grey_palette": "index"})
    with pytest.raises(InputError, match=r"data\.pictures\.grey_palette: 'refuse' became 'index'"):
        store.register(other, grid(other, "tiny.yaml"))


def test_a_study_from_before_the_rules_goes_on_reading_as_it_did(pictures: Path, tmp_path: Path) -> None:
    spec = study(pictures)
    store = begun(tmp_path, spec)
    stored = dict(store._study.user_attrs["spec"])
    stored["data"] = {name: value for name, value in stored["data"].items() if name not in ("pictures", "digest_gb")}
    before = store._study.user_attrs["file_defaults"]
    kept = {name: value for name, value in before.items() if not name.startswith(("data.pictures", "data.digest"))}
    store._study.set_user_attr("spec", stored)
    store._study.set_user_attr("file_defaults", kept)
    completed = open_store(tmp_path, "tiny").defaults.completed(study(pictures))
    assert completed.data.pictures.model_dump() == {  # type: ignore[union-attr]
        "extra": "drop", "frame": 0, "grey_palette": "index", "low_bits": "pillow", "names": "bytes",
        "max_megapixels": 200,
    }  # fmt: skip
    store.register(completed, grid(completed, "tiny.yaml"))


def test_the_table_and_the_json_say_whether_two_studies_saw_the_same_images(pictures: Path, tmp_path: Path) -> None:
    begun(tmp_path, study(pictures, "a"))
    moved = pictures.rename(tmp_path / "moved")
    begun(tmp_path, study(moved, "b"))
    paint(moved / "train" / "masks" / "0.png", side=20)
    begun(tmp_path, study(moved, "c"))
    paint(moved / "val" / "masks" / "0.png", side=20)
    begun(tmp_path, study(moved, "d"))
    a, b, c, d = (results_of(open_store(tmp_path, name)) for name in "abcd")
    assert [images.same for images in compare_studies([a, b, c]).validation_images] == [True, True]
    same = compare_studies([a, b])
    assert same.validation_images[0].sentence == "a and b saw the same validation images: 2, by content."
    assert '"same": true' in same.to_json()
    assert "a and c were trained on other images." in compare_studies([a, c]).notes
    with pytest.raises(InputError, match=r"'c' and 'd' cannot be compared: c and d did not see the same validation im"):
        compare_studies([c, d])
