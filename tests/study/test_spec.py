import copy
from pathlib import Path
from typing import Any

import pytest

from autorf.errors import InputError
from autorf.study import builtin
from autorf.study.plain_yaml import read_yaml
from autorf.study.search_space import read_spaces
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import grid
from tests.tiny import TINY


def changed(path: str, value: Any) -> dict[str, Any]:
    study = copy.deepcopy(TINY)
    place = study
    *parents, last = path.split(".")
    for part in parents:
        place = place.setdefault(part, {})
    place[last] = value
    return study


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("modell", {}, "modell: unknown key; did you mean model"),
        ("training.epoch", 3, "training.epoch: unknown key; did you mean epochs"),
        ("data.digit_size", 3, "data.digit_size: unknown key; did you mean .*object_size"),
        ("training.epochs", "many", "training.epochs: .*got 'many'"),
        ("training.epochs", 0, "training.epochs: .*greater than or equal to 1, got 0"),
        ("training.seeds", [0, 0], "seeds must be a list of different integers"),
        ("name", "../up", "name: a study's name becomes a folder"),
        ("name", "", "name: a study's name becomes a folder"),
        ("data.name", "digit", "data: unknown data set 'digit'; did you mean digits"),
        ("model.name", "largefoo:resnet18", "model: a model is largefov:BACKBONE"),
        ("executor.kind", "slurm", "executor.kind: unknown executor 'slurm'; one of local, ray"),
        ("search.objectives", [], "search: objectives must be one or two"),
        ("search_space", [], "search_space: .*at least 1"),
        ("executor.workers", -1, "executor.workers"),
        ("training.lr", True, "training.lr: a number, not true or false"),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_names_file_field_and_what_is_legal(
    path: str, value: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_study(changed(path, value), "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"method": "dilation", "rate": []}, "rate: the grid is empty"),
        (
            {"method": "dilation", "rate": [1, -2]},
            r"rate: a dilation must be a positive integer, at most .* \(got -2\)",
        ),
        ({"method": "dilation", "rate": [0]}, r"\(got 0\)"),
        ({"method": "dilation", "rate": [1.5]}, r"\(got 1.5\)"),
        ({"method": "dilation"}, "rate: this key is required"),
        ({"method": "dilation", "rates": [1]}, "rates: unknown key; did you mean rate"),
        ({"method": "dilatation", "rate": [1]}, "unknown method 'dilatation'; did you mean dilation"),
        ({"rate": [1]}, "unknown method None"),
        ({"method": "dilation", "rate": [2, 2]}, "occurs twice"),
        ({"method": "dilation", "rate": {"low": 1, "high": 4}}, "rate .a range.: a grid needs its step; add step"),
        ({"method": "dilation", "rate": {"low": 4, "high": 1, "step": 1}}, "low 4 must not exceed high 1"),
        ({"method": "dilation", "rate": {"low": 1.5, "high": 4}}, "low and high must be whole numbers"),
        ({"method": "dilation", "rate": {"low": 0, "high": 4, "log": True}}, "log needs low > 0 and no step"),
        ({"method": "dilation", "rate": {"low": -2, "high": 4}}, r"rate: a dilation must .* .got -2"),
        ({"method": "learned_dilation", "shared": {"low": 0, "high": 1}}, "shared: takes no numbers, so no range"),
        ({"method": "dilation", "rate": 1, "training.lr": [0.1, -1]}, r"training: lr: .*greater than 0, got -1"),
        ({"method": "dilation", "rate": 1, "training.epochs": [1, 2]}, "training.epochs: cannot be searched"),
        ({"method": "dilation", "rate": 1, "training.learning": 1}, "training.learning: cannot be searched"),
        ("dilatoin", "no built-in search space 'dilatoin'; did you mean dilation"),
        ("spaces/none.yaml", "no such file"),
    ],
)
def test_a_wrong_search_space_is_one_line(space: Any, said: str) -> None:
    spec = parse_study(changed("search_space", [space]), "mine.yaml")
    with pytest.raises(InputError, match=said) as caught:
        grid(spec, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: search_space.0")
    assert "\n" not in str(caught.value)


def test_lists_are_choices_and_a_range_is_its_steps() -> None:
    spec = parse_study(changed("search_space", [{"method": "dilation", "rate": {"low": 1, "high": 7, "step": 3}}]), "f")
    assert [trial.configuration for trial in grid(spec, "f")] == [
        {"method": "dilation", "rate": rate} for rate in (1, 4, 7)
    ]


def test_training_settings_are_axes_and_the_studys_own_value_is_no_new_configuration() -> None:
    plain = grid(parse_study(changed("search_space", [{"method": "dilation", "rate": [1, 2]}]), "f"), "f")
    space = {"method": "dilation", "rate": [1, 2], "training.lr": [3.0e-3, 0.01]}
    wider = grid(parse_study(changed("search_space", [space]), "f"), "f")
    assert [trial.configuration for trial in wider[:2]] == [
        {"method": "dilation", "rate": 1},
        {"method": "dilation", "rate": 1, "training.lr": 0.01},
    ]
    assert {trial.key for trial in plain} < {trial.key for trial in wider}
    assert wider[1].setting == "rate 1, lr 0.01"


def test_a_list_field_takes_its_list_as_one_value_and_lists_of_lists_as_choices() -> None:
    one = {"method": "learned_dilation", "rates": [1, 2, 4]}
    two = {"method": "learned_dilation", "rates": [[1, 2], [1, 2, 4]]}
    assert len(grid(parse_study(changed("search_space", [one]), "f"), "f")) == 1
    assert len(grid(parse_study(changed("search_space", [two]), "f"), "f")) == 2


def test_one_configuration_in_two_spaces_is_refused() -> None:
    space = {"method": "dilation", "rate": 2}
    with pytest.raises(InputError, match="in two search spaces"):
        grid(parse_study(changed("search_space", [space, space]), "f"), "f")


def test_overrides_reach_into_the_file_and_read_yaml_values() -> None:
    spec = parse_study(TINY, "f", ("training.epochs=5", "training.seeds=[3, 4]", "tracking.uri=null"))
    assert (spec.training.epochs, spec.training.seeds, spec.tracking.uri) == (5, (3, 4), None)


@pytest.mark.parametrize("override", ["training.epochs", "=3", "training..epochs=3", "name.first=a", "name=[a"])
def test_an_override_that_makes_no_sense_is_refused(override: str) -> None:
    with pytest.raises(InputError, match="--set"):
        parse_study(TINY, "f", (override,))


@pytest.mark.parametrize("text", ["name: [", "- 1\n- 2", "\tname: x", "!!python/object:os.system {}"])
def test_a_file_that_holds_no_plain_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"broken\.yaml: "):
        read_yaml(path)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("none.yaml", "binary.yaml"):
        with pytest.raises(InputError, match="cannot be read"):
            read_yaml(tmp_path / name)


@pytest.mark.parametrize("name", builtin.names("studies"))
def test_every_built_in_study_is_valid(name: str) -> None:
    spec = parse_study(read_yaml(builtin.locate("studies", name, field="STUDY")), name)
    assert spec.name == name
    assert read_spaces(spec.search_space, name)
    assert spec.search.sampler != "grid" or grid(spec, name)


def test_an_unknown_study_is_answered_with_near_names() -> None:
    with pytest.raises(InputError, match="no built-in study 'quickstrat'; did you mean quickstart"):
        builtin.locate("studies", "quickstrat", field="STUDY")


def test_a_study_file_as_it_is_stored_can_be_read_again(tiny: StudySpec) -> None:
    assert parse_study(tiny.model_dump(mode="json"), "stored") == tiny
    with pytest.raises(InputError, match="resources is for kind: ray"):
        parse_study(TINY, "tiny.yaml", ("executor.resources={gpu: 1}",))


@pytest.mark.parametrize(
    "url", ["me:SECRET/PW@127.0.0.1:1/x", "me:SECRET PW@127.0.0.1:1/x", "me:SECRETPW@127.0.0.1:y/x"]
)
def test_a_storage_url_that_no_program_reads_alike_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InputError, match=r"storage\.url: PORT must be a number, and signs") as caught:
        parse_study({**TINY, "storage": {"url": f"postgresql+psycopg://{url}"}}, "tiny.yaml")
    assert "***@" in str(caught.value)
    assert "PW" not in str(caught.value)
