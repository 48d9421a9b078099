"""How to get the same results again: the study file, the commands and the versions."""

from collections.abc import Iterable, Iterator, Sequence

import yaml

from autorf.comparison import StudyResults
from autorf.reporting.blocks import Code
from autorf.reporting.report_data import ReportData
from autorf.store.versions import NOTE, versions
from autorf.study.own_loop import is_own_loop, trained_elsewhere


def reproduction(reports: Sequence[ReportData]) -> Iterator[Code]:
    """Texts to copy; none for a study that never began."""
    studies = [study for report in reports for study in report.studies if study.spec]
    names = [study.name for study in studies]
    for study in studies:
        text = yaml.safe_dump(dict(study.spec), sort_keys=False, default_flow_style=None, width=100)
        yield Code(_title(study), text)
    if names:
        together = " ".join(names)
        output = " --output report.html" if len(names) > 1 else ""
        searches = [f"search {study.name}.yaml" for study in studies if not trained_elsewhere(study.spec)]
        commands = [*searches, f"compare {together}", f"report {together}{output}"]
        yield Code("Commands", "\n".join(f"autorf {command}" for command in commands))
        yield from _versions(studies)


def _title(study: StudyResults) -> str:
    if is_own_loop(study.spec):
        return f"What autorf.search was called with; {study.spec['loop']} trains"
    if trained_elsewhere(study.spec):
        return "What is known of the trainings that were recorded"
    return f"Study file: save as {study.name}.yaml"


def _versions(studies: Sequence[StudyResults]) -> Iterator[Code]:
    """What the studies ran with, oldest first; of studies that did not note it, what is installed here."""
    noted = [tuple(installed.items()) for study in studies for installed in study.notes.get(NOTE) or ()]
    for installed in dict.fromkeys(noted):
        yield Code("Versions the study ran with", _listed(installed))
    if not noted:
        yield Code("Versions where this report was made", _listed(versions().items()))


def _listed(installed: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name} {number}" for name, number in installed)
