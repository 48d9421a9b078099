from pathlib import Path
from typing import Any

import pytest

import autorf.advice.places
from autorf.driver.places import placed
from autorf.driver.plan import StudyPlan, plan
from autorf.errors import InputError
from autorf.networks.place import Place
from autorf.store.store import Store, beginning, study_folder
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import grid
from tests.tiny import TINY

UNET = "smp:Unet:resnet18"
DEPTHS = {"method": "dilation", "rate": [1, 2], "model.args.encoder_depth": [3, 4]}


def study(*spaces: dict[str, Any], name: str = UNET, size: int = 96, **parts: Any) -> StudySpec:
    data = {**TINY["data"], "image_size": size}
    return parse_study({**TINY, "data": data, "model": {"name": name}, "search_space": list(spaces), **parts}, "f")


def planned(root: Path, spec: StudySpec) -> StudyPlan:
    return plan(beginning(root, spec).completed(spec), "f", root, beginning(root, spec))


def begun(root: Path, spec: StudySpec) -> StudyPlan:
    """The plan of a study that was registered with it."""
    found = planned(root, spec)
    store = Store(study_folder(root, spec.name), spec.name)
    store.register(placed(spec, found.places), found.trials, found.listed)
    return found


def names(plan: StudyPlan) -> dict[Any, tuple[str, ...]]:
    return {place.network.get("args", {}).get("encoder_depth"): place.targets for place in plan.places}


def test_a_library_model_without_targets_takes_those_that_suggest_names_for_each_of_its_networks(
    tmp_path: Path,
) -> None:
    found = planned(tmp_path, study(DEPTHS))
    assert set(names(found)) == {None, 3, 4}
    assert all(name.startswith("encoder.layer2.") for name in names(found)[3])
    assert names(found)[3] != names(found)[4]


def test_names_are_no_part_of_a_trial_and_a_network_with_its_own_has_none_written_down(tmp_path: Path) -> None:
    spec = study(DEPTHS)
    keys = [trial.key for trial in grid(spec, "f")]
    found = planned(tmp_path, spec)
    assert [trial.key for trial in grid(placed(spec, found.places), "f")] == keys
    assert planned(tmp_path, parse_study(TINY, "f")).places == ()
    # As before there were places.
    assert grid(parse_study(TINY, "f"), "f")[0].key == "e351de85e5cb"


def test_a_resumed_study_keeps_its_names_and_never_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(tmp_path, study(DEPTHS))

    def asked(*_: Any, **__: Any) -> Place:
        raise AssertionError("asked again")

    monkeypatch.setattr(autorf.advice.places, "advised_place", asked)
    again = begun(tmp_path, study(DEPTHS))
    assert again.places == found.places
    assert again.trials == found.trials


def test_a_network_that_is_added_is_asked_for_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = begun(tmp_path, study(DEPTHS))
    real = autorf.advice.places.advised_place
    asked: list[Any] = []

    def counted(model: Any, spec: Any, *rest: Any, **options: Any) -> Place:
        asked.append(spec.args)
        return real(model, spec, *rest, **options)

    monkeypatch.setattr(autorf.advice.places, "advised_place", counted)
    more = begun(tmp_path, study({**DEPTHS, "model.args.encoder_depth": [3, 4, 5]}))
    assert asked == [{"encoder_depth": 5}]
    assert more.places[: len(found.places)] == found.places
    stored = Store(study_folder(tmp_path, "tiny"), "tiny").spec
    assert stored is not None
    assert len(stored["model"]["places"]) == 4


def test_the_network_as_built_is_the_default_of_a_grid_that_has_it(tmp_path: Path) -> None:
    null = {"method": "dilation", "rate": None, "model.args.encoder_depth": [3, 4, 5]}
    found = planned(tmp_path, study(null))
    assert [trial.setting for trial in found.trials] == [
        f"rate unchanged, encoder_depth {depth}" for depth in (5, 3, 4)
    ]
    found = planned(tmp_path, study(DEPTHS))
    # Of these none is as built, so one is added.
    assert found.trials[0].setting == "rate 1"
    assert len(found.trials) == 5


def test_inflation_finds_its_region_and_a_drawn_space_has_the_place_of_every_whole_depth(tmp_path: Path) -> None:
    depths = {"method": "inflation", "model.args.encoder_depth": {"low": 3, "high": 5}}
    found = planned(tmp_path, study(depths, search={"sampler": "random", "budget": {"trials": 2}}))
    assert set(names(found)) == {None, 3, 4, 5}
    assert all(place.region is not None for place in found.places)


def test_a_space_that_names_its_targets_is_asked_for_nothing(tmp_path: Path) -> None:
    place = planned(tmp_path, study({"method": "dilation", "rate": [1]})).places[0]
    named = planned(tmp_path, study({"method": "dilation", "rate": [1, 2], "targets": [list(place.targets)]}))
    assert named.places == ()


@pytest.mark.parametrize(
    ("model", "space", "said"),
    [
        ({"name": UNET, "args": {"encoder_dept": 3}}, {}, "model.args.encoder_dept: .*did you mean encoder_depth"),
        ({"name": UNET}, {"model.args.encoder_dept": [3, 4]}, "model.args.encoder_dept: .*did you mean encoder_depth"),
        ({"name": UNET}, {"model.args.encoder_depth": [3, 9]}, "model.args: .*encoder_depth.*9"),
        ({"name": UNET}, {"model.places": [[]]}, "model.places: cannot be searched: methods have fields for it"),
        ({"name": "timm:test_resnet"}, {}, "timm:test_resnet"),
    ],
)
def test_what_cannot_be_searched_is_one_line_before_anything_is_trained(
    model: dict[str, Any], space: dict[str, Any], said: str, tmp_path: Path
) -> None:
    changes = {"model": model, "search_space": [{"method": "dilation", "rate": [1, 2], **space}]}
    with pytest.raises(InputError, match=said):
        planned(tmp_path, parse_study({**TINY, **changes}, "f"))
