"""A search says so where every field is far beyond the image."""

from autorf.driver.beyond_the_image import BeyondTheImage
from autorf.store.record import Record
from autorf.study.spec import StudySpec
from autorf.study.trial import trial_from
from tests.reports import epoch_report

CONFIGURATIONS: dict[str, dict[str, object]] = {
    "dilation": {"method": "dilation", "rate": 1},
    "named": {"method": "dilation", "rate": 1, "targets": "head.conv6"},
    "dilated": {"method": "dilation", "rate": 4},
    "deeper": {"method": "dilation", "rate": None, "model.stage": 3},
    "inflation": {"method": "inflation", "dilation": 3},
}


def record(configuration: dict[str, object]) -> Record:
    return Record(1, "key", configuration, 0, "running", 1, trial_from(configuration, 0))


def told(spec: StudySpec, *rnorms: float, method: str = "dilation") -> list[str]:
    lines: list[str] = []
    listener = BeyondTheImage(spec, lines.append)
    for rnorm in rnorms:
        listener.epoch(record(CONFIGURATIONS[method]), epoch_report(0, rf=[8.0, 8.0], rnorm=rnorm))
    return lines


def test_an_unmodified_network_beyond_the_image_is_told_once_with_the_command_that_helps(tiny: StudySpec) -> None:
    (line,) = told(tiny, 6.0, 6.4)
    assert line.startswith("The unmodified network sees 6.0 times the image")
    assert f"autorf suggest {tiny.model.name} --image-size" in line
    assert "model.stage" in line
    assert told(tiny, 6.0, method="named") == [line]


def test_a_field_that_a_dilation_changes_is_not_told(tiny: StudySpec) -> None:
    assert told(tiny, 1.4, 6.0) == []


def test_another_trial_that_reports_first_tells_nothing_of_the_unmodified_network(tiny: StudySpec) -> None:
    for method in ("dilated", "deeper", "inflation"):
        assert told(tiny, 6.0, method=method) == []
