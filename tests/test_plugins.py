"""Entry points: a broken one is named and the rest works; a name with two owners is refused, both named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autorf import plugins
from autorf.errors import InputError
from autorf.methods import Dilation, Inflation, Method, is_manual
from autorf.methods.registry import Methods
from autorf.plugins import Registry
from autorf.study.search_space import parse_space
from autorf.study.spec import parse_study
from tests.outside.package import HERE, THEIRS, install
from tests.tiny import TINY

Install = Callable[[str, str, str], None]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    plugins._declared.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package that adds one line to one group."""
    monkeypatch.syspath_prepend(str(HERE))

    def add(package: str, group: str, line: str) -> None:
        folder = tmp_path / package
        install(folder, package, {group: (line,)})
        monkeypatch.syspath_prepend(str(folder))
        plugins._declared.cache_clear()

    yield add  # type: ignore[misc]
    plugins._declared.cache_clear()


def own_methods() -> Methods:
    return Methods({kind.model_fields["method"].default: kind for kind in (Dilation, Inflation)})


def test_a_method_is_loaded_when_it_is_asked_for_by_name(installed: Install) -> None:
    installed("theirs", plugins.METHODS, "two_rates = theirs.two_rates:TwoRates")
    methods = own_methods()
    assert list(methods)[-1] == "two_rates"
    assert methods["two_rates"](method="two_rates", far=5).model_dump()["far"] == 5
    assert "three_rates" not in methods


def test_an_entry_point_that_cannot_be_imported_is_named_in_one_line_and_the_rest_works(
    installed: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    installed("gone", plugins.METHODS, "lost = gone.nowhere:Lost")
    installed("theirs", plugins.METHODS, "two_rates = theirs.two_rates:TwoRates")
    methods = own_methods()
    assert "lost" not in methods
    assert "lost" not in methods
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'lost' is left out: the package gone (gone.nowhere:Lost) cannot be imported: ModuleNotFoundError" in said
    assert "ModuleNotFoundError: No module named 'gone'" in methods.unknown("lost")
    assert issubclass(methods["two_rates"], Method)
    assert methods["dilation"].manual


def test_two_packages_that_register_one_name_are_both_named_and_other_names_work(installed: Install) -> None:
    for package in ("first", "second"):
        installed(package, plugins.METHODS, "two_rates = theirs.two_rates:TwoRates")
    methods = own_methods()
    with pytest.raises(
        InputError, match=r"'two_rates' is registered by the package (first|second) .*by the package (first|second) "
    ) as caught:
        methods["two_rates"]
    assert "first" in str(caught.value)
    assert "second" in str(caught.value)
    assert methods["inflation"] is Inflation


def test_a_package_that_takes_a_built_in_name_is_refused(installed: Install) -> None:
    installed("greedy", plugins.METHODS, "dilation = theirs.two_rates:TwoRates")
    with pytest.raises(InputError, match=r"'dilation' is built in, and the package greedy .*uninstall"):
        parse_space({"method": "dilation", "rate": [1]}, "space.yaml")


@pytest.mark.parametrize(
    ("group", "line", "part", "said"),
    [
        (plugins.DATA, "digits = theirs.stripes:Stripes", {}, "data: the data set 'digits' is built in"),
        (plugins.MODELS, "largefov = theirs.network:build", {}, "model: the model family 'largefov' is built in"),
        (
            plugins.EXECUTORS,
            "local = theirs.executor:make",
            {"executor": {"kind": "local"}},
            "executor.kind: the executor 'local' is built in",
        ),
        (
            plugins.DATA,
            "stripes = theirs.network:build",
            {"data": {"name": "stripes"}},
            "unknown data set 'stripes': the package other .* is no subclass of autorf.data.DataSet",
        ),
        (
            plugins.DATA,
            "bars = theirs.stripes:Stripes",
            {"data": {"name": "bars"}},
            "unknown data set 'bars': .* calls itself 'stripes' in its field name",
        ),
        (
            plugins.DATA,
            "stripes = theirs.stripes:Stripes",
            {"data": {"name": "stripes", "n_image": 3}},
            "data: stripes: n_image: unknown key; did you mean n_images",
        ),
        (
            plugins.MODELS,
            "plain = theirs.nowhere:build",
            {"model": {"name": "plain:6"}},
            "not 'plain:6': the package other .* cannot be imported",
        ),
    ],
)
def test_a_study_file_that_asks_for_what_a_package_spoils_is_one_line(
    installed: Install, group: str, line: str, part: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for registry in _registries():
        monkeypatch.setattr(registry, "_loaded", {})
        monkeypatch.setattr(registry, "_problems", {})
    installed("other", group, line)
    with pytest.raises(InputError, match=said) as caught:
        parse_study({**TINY, **part}, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


def _registries() -> list[Registry[object]]:
    from autorf.data.data_set import DATA
    from autorf.networks.spec import MODELS
    from autorf.study.executor_spec import EXECUTORS

    return [DATA, MODELS, EXECUTORS]  # type: ignore[list-item]


def test_what_is_no_method_or_bears_another_name_is_left_out(
    installed: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    installed("other", plugins.METHODS, "function = theirs.network:build")
    installed("another", plugins.METHODS, "renamed = theirs.two_rates:TwoRates")
    methods = own_methods()
    assert not {"function", "renamed"} & {name for name in methods if name in methods}
    said = capsys.readouterr().err
    assert "is no subclass of autorf.methods.LayerMethod or RegionMethod" in said
    assert "calls itself 'two_rates'" in said


def test_a_method_that_is_not_installed_counts_as_learned() -> None:
    assert not is_manual("of a package that is gone")
    assert is_manual("dilation")


def test_each_thing_that_another_package_adds_is_one_line() -> None:
    lines = [line for points in THEIRS.values() for line in points]
    files = [path for path in (HERE / "theirs").glob("*.py") if path.stem != "__init__"]
    assert len(lines) == len(files)


def test_a_figure_that_fails_costs_the_report_that_figure_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from autorf.reporting.figures import FIGURES, ReportFigure, added_sections

    def fails(_: object) -> list[object]:
        raise ZeroDivisionError("no seeds")

    monkeypatch.setattr(FIGURES, "_loaded", {"bad": ReportFigure("Bad", fails)})  # type: ignore[arg-type]
    monkeypatch.setattr(plugins, "_declared", lambda _: {"bad": (), "lost": ()})
    monkeypatch.setattr(FIGURES, "_problems", {"lost": "gone"})
    assert list(added_sections(None)) == []  # type: ignore[arg-type]
    assert "the figure 'bad' is left out: ZeroDivisionError: no seeds" in capsys.readouterr().err
