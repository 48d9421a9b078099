"""``autorf init`` and ``autorf data``: what pictures and masks hold, and a study file to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from autorf.cli.exit_codes import DONE
from autorf.cli.models import check_format, quietly
from autorf.cli.piped import console_for
from autorf.errors import InputError
from autorf.files import check_output, write_atomically
from autorf.reporting.survey_page import Surveyed, write_survey_page
from autorf.survey.class_folders import told_of_classes
from autorf.survey.first_search import first_search
from autorf.survey.folder_survey import FolderSurvey, survey_folder
from autorf.survey.items import source_of
from autorf.survey.named_survey import named_spec
from autorf.survey.problems import Problem
from autorf.survey.study_file import checked_study, study_name, study_text
from autorf.survey.survey import Survey, survey_of

_MOST_FILES = 3
"""Named a problem on a terminal; the page and JSON have more."""

_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Options:
    """Of both commands; see their help."""

    output: Path | None = None
    page: Path | None = None
    force: bool = False
    format: str = "table"


def init(folder: Path, options: Options) -> int:
    """Look at a folder, and write a study file that runs."""
    check_format(options.format)
    output = options.output or Path(f"{study_name(folder.resolve().name)}.yaml")
    check_output(output, "--output", replace=options.force)
    _check_page(options, output)
    with told_of_classes(folder):
        result = survey_folder(folder)
    lists_folder = (output.parent / f"{output.stem}_lists").resolve()
    lists = {lists_folder / f"{split}.txt": text for split, text in result.lists.items()}
    for path in lists:
        check_output(path, "--output", replace=options.force)
    search = quietly(lambda: first_search(result.survey, result.keys.get("channels") or 3))
    text = study_text(result, search, output, lists_folder if lists else None)
    checked_study(text, output)
    # The study comes last: it is there when everything that it names is.
    for path, content in (*lists.items(), (output, text)):
        _write(path, content)
    _show(
        Surveyed(result.root.name, _place(result), result.survey, result.source, result.colours, text),
        options,
        {"study": str(output), "lists": list(map(str, lists)), "data": result.keys},
    )
    if options.format != "json":
        print(f"  study            {output}{f' and the lists in {lists_folder}' if lists else ''}")
        print(f"  next             autorf search {output} --dry-run")
    return DONE


def data(name: str, folder: Path, settings: Sequence[str], options: Options) -> int:
    """Look at a data set that this library reads."""
    check_format(options.format)
    _check_page(options, None)
    if name == "folder" and not settings:
        result = survey_folder(folder)
        surveyed = Surveyed(name, _place(result), result.survey, result.source, result.colours)
    else:
        spec, colours = named_spec(name, folder, settings)
        source = source_of(spec, folder)
        surveyed = Surveyed(name, str(folder), survey_of(source), source, colours)
    if not surveyed.survey.counts:
        raise InputError(str(surveyed.survey.unreadable[0].problem))
    _show(surveyed, options, {"data": name, "root": str(folder)})
    return DONE


def _place(result: FolderSurvey) -> str:
    layout = result.layout
    images, masks = (f"{side.group.pattern or '.'}/*{side.tail}" for side in (layout.images, layout.masks))
    return f"{result.root}: images {images}, masks {masks}"


def _check_page(options: Options, output: Path | None) -> None:
    if options.page is None:
        return
    check_output(options.page, "--page", replace=options.force)
    if output is not None and options.page.resolve() == output.resolve():
        raise InputError(f"--page {options.page}: is the study file too; name another file")


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise InputError(f"--output {path}: cannot be written: {error.strerror}") from None


def _show(surveyed: Surveyed, options: Options, values: Mapping[str, Any]) -> None:
    """Write the page where one is wanted, and print what was seen."""
    if options.page is not None:
        write_survey_page(surveyed, options.page)
    if options.format == "json":
        print(json.dumps({**values, **surveyed.survey.to_dict()}, indent=2, ensure_ascii=False))
        return
    _print(surveyed.survey, surveyed.place)
    if options.page is not None:
        print(f"  page             {options.page}")


def _print(survey: Survey, place: str) -> None:
    console = console_for()
    images = ", ".join(f"{count} {split}" for split, count in survey.counts.items())
    sizes = ", ".join(f"{height}x{width} ({count})" for (height, width), count in survey.sizes[:3])
    more = f" and {len(survey.sizes) - 3} more sizes" if len(survey.sizes) > 3 else ""
    kinds = ", ".join(f"{kind} ({count})" for kind, count in survey.kinds)
    lines = [place, f"  images           {images}", f"  sizes            {sizes}{more}", f"  numbers          {kinds}"]
    if survey.ignored:
        lines.append(f"  without a class  {survey.ignored:.2%} of all pixels")
    height, width = survey.image_size
    lines.append(f"  classes          objects by the longer side of their boxes, pixels at {height}x{width}:")
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
    console.print(_classes(survey))
    console.print("\n".join(_problem_lines(survey.problems)), highlight=False, soft_wrap=True, markup=False)


def _classes(survey: Survey) -> Table:
    lines = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    lines.add_column("class", no_wrap=True)
    for column in (*(f"{split} %" for split in survey.counts), "images", "objects", "10 %", "50 %", "90 %", "typical"):
        lines.add_column(column, justify="right", no_wrap=True)
    for row in survey.classes:
        shares = [f"{100 * row.shares.get(split, 0.0):.2f}" for split in survey.counts]
        sides = ["", "", "", "", ""]
        if row.objects is not None:
            quantiles = [f"{side:g}" for side in row.objects.quantiles.values()]
            sides = [str(row.objects.objects), *quantiles, f"{row.objects.typical:g}"]
        lines.add_row(row.name, *shares, str(row.pictures), *sides)
    return lines


def _problem_lines(problems: Sequence[Problem]) -> list[str]:
    if not problems:
        return ["  odd              nothing"]
    lines = []
    for problem in problems[:_MOST_PROBLEMS]:
        # A problem that is about one file mostly names it in its text.
        files = [file for file in problem.files if file not in problem.text]
        named = ", ".join(files[:_MOST_FILES]) + (f" and {len(files) - _MOST_FILES} more" * (len(files) > _MOST_FILES))
        lines.append(f"  odd              {problem.text}{f': {named}' if named else ''}")
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"  odd              {len(problems) - _MOST_PROBLEMS} more; --page and --format json have all")
    return lines
