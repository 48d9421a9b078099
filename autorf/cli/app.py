"""The commands, their options, and how errors become exit codes."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from autorf import __version__
from autorf.cli.arguments import (
    DIR,
    FILE,
    RUNS,
    CodeChange,
    ImageSide,
    Model,
    ModelFormat,
    Options,
    Overrides,
    Quiet,
    Root,
    Study,
    TrialKey,
    path_of,
    patterns_that_begin,
)
from autorf.cli.exit_codes import BAD_INPUT, DONE, FAILED_TRIALS, INTERRUPTED
from autorf.errors import InputError, StorageLostError, in_one_line, in_short, missing_library, what_the_system_said
from autorf.streams import guard_streams, problem_of, unwritable

app = typer.Typer(
    help="Search and learn the receptive field of segmentation networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line; every error is one line on stderr and an exit code."""
    guard_streams()
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
        if status == INTERRUPTED:
            # Typer answers Ctrl-C itself, without a word.
            raise KeyboardInterrupt
        if problem := problem_of(sys.stdout):
            _stop(unwritable(problem), BAD_INPUT)
        sys.exit(status or DONE)
    except InputError as error:
        _stop(str(error), BAD_INPUT)
    except StorageLostError as error:
        _stop(str(error), INTERRUPTED)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _stop("interrupted; the same command continues", INTERRUPTED)
    except TyperException as error:
        _stop(f"{error.format_message()} (autorf --help shows the commands)", BAD_INPUT)
    except BrokenPipeError:
        sys.exit(DONE)
    except Exception as error:
        if os.environ.get("AUTORF_DEBUG"):
            raise
        if isinstance(error, OSError) and error.strerror:
            _stop(what_the_system_said(error), BAD_INPUT)
        if isinstance(error, ModuleNotFoundError) and (missing := missing_library(error, "this command")):
            _stop(str(missing), BAD_INPUT)
        line = in_one_line(error, 200)
        _stop(f"{type(error).__name__}: {line} (a defect of autorf: AUTORF_DEBUG=1 shows where)", FAILED_TRIALS)


def _stop(message: str, code: int) -> None:
    print(f"autorf: {in_short(message)}", file=sys.stderr)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Search and learn the receptive field of segmentation networks."""
    if show:
        print(f"autorf {__version__}")
        raise typer.Exit


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder of pictures and masks, as it lies.", parser=path_of)],
    output: Annotated[
        Path | None, typer.Option(**FILE, help="The study file; the folder's name with .yaml without.")
    ] = None,
    page: Annotated[Path | None, typer.Option(**FILE, help="HTML file for a page of samples with masks.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the study file and the page.")] = False,
    format: ModelFormat = "table",
) -> int:
    """Look at a folder of pictures and masks, say what is odd, and write a study file that runs."""
    from autorf.cli import surveying

    return surveying.init(folder, surveying.Options(output, page, force, format))


@app.command()
def data(
    name: Annotated[str, typer.Argument(help="The data set's name as in study files, such as folder or camvid.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that it lies in.", parser=path_of)],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of a study's data, such as classes=4; repeatable."),
    ] = None,
    page: Annotated[Path | None, typer.Option(**FILE, help="HTML file for a page of samples with masks.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page.")] = False,
    format: ModelFormat = "table",
) -> int:
    """Count a data set's images, classes and objects, and say what is odd, with file names."""
    from autorf.cli import surveying

    return surveying.data(name, folder, list(settings or []), surveying.Options(None, page, force, format))


@app.command()
def search(
    study: Study,
    root: Root = RUNS,
    overrides: Overrides = None,
    executor: Annotated[str | None, typer.Option(help="Where trials run: local or ray.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="Trials at once.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the trials and train nothing.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again.")] = False,
    quiet: Quiet = False,
    json_lines: Annotated[bool, typer.Option("--json-lines", help="One JSON object an event on stdout.")] = False,
    accept_code_change: CodeChange = False,
) -> int:
    """Run or resume a study, then compare its results."""
    from autorf.cli import studies

    changes = list(overrides or [])
    changes += [f"executor.kind={json.dumps(executor)}"] if executor is not None else []
    changes += [f"executor.workers={workers}"] if workers is not None else []
    if dry_run:
        return studies.dry_run(study, root, changes)
    return studies.search(
        study,
        root,
        changes,
        retry_failed=retry_failed,
        quiet=quiet,
        json_lines=json_lines,
        accept_code_change=accept_code_change,
    )


@app.command()
def compare(
    studies: Annotated[list[str], typer.Argument(help="Study files or names; several are compared with each other.")],
    root: Root = RUNS,
    trials: Annotated[bool, typer.Option("--trials", help="Every trial, not only configurations.")] = False,
    per_class: Annotated[bool, typer.Option("--per-class", help="The best configurations class by class.")] = False,
    per_size: Annotated[bool, typer.Option("--per-size", help="The same by the size of the objects.")] = False,
    margin: Annotated[
        float | None, typer.Option(help="What a smaller field may lose of the metric; search.margin without.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",
) -> int:
    """Compare manual with learned receptive fields, with their uncertainty and cost."""
    from autorf.cli import studies as commands
    from autorf.cli.comparison_table import Shown

    return commands.compare(studies, root, format, Shown(trials, per_class, per_size), margin)


@app.command()
def report(
    studies: Annotated[list[str], typer.Argument(help="Study files or names; several are compared with each other.")],
    root: Root = RUNS,
    output: Annotated[
        Path | None,
        typer.Option(**FILE, help="The HTML file; report.html in the study's folder without."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
) -> int:
    """Write a study's results as one self-contained HTML file."""
    from autorf.cli import studies as commands

    return commands.report(studies, root, output, force=force)


@app.command()
def retrain(
    study: Study,
    root: Root = RUNS,
    trial: TrialKey = None,
    epochs: Annotated[int | None, typer.Option(min=1, max=2**31 - 1, help="Epochs; the trial's own without.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, such as 0,1,2; the trial's own without.")] = None,
    with_val: Annotated[bool, typer.Option("--with-val", help="Train on the validation images too.")] = False,
    best: Annotated[bool, typer.Option("--best", help="The highest score, not the recommended field.")] = False,
    search_again: Annotated[bool, typer.Option("--search-again", help="Learn the field anew.")] = False,
    fixed: Annotated[bool, typer.Option("--fixed", hidden=True, help="As without it; older scripts say so.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier retrain.")] = False,
    quiet: Quiet = False,
    accept_code_change: CodeChange = False,
) -> int:
    """Train the recommended configuration, its field fixed, test it once, and write a model that loads anywhere."""
    from autorf.cli import deployment

    options = deployment.Options(trial, epochs, deployment.parse_seeds(seeds), with_val, search_again, best)
    return deployment.retrain(study, root, options, force=force, quiet=quiet, accept_code_change=accept_code_change)


@app.command()
def distill(
    study: Study,
    root: Root = RUNS,
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Begin anew, whatever was trained before.")] = False,
    quiet: Quiet = False,
    format: ModelFormat = "table",
) -> int:
    """Teach the study's model by a larger one, as its section distill says, and compare it with itself alone."""
    from autorf.cli import distillation

    return distillation.distill(study, root, list(overrides or []), format, force=force, quiet=quiet)


@app.command()
def export(
    study: Study,
    root: Root = RUNS,
    trial: TrialKey = None,
    format: Annotated[str, typer.Option(help="onnx or torch.")] = "onnx",
    opset: Annotated[int | None, typer.Option(help="Of ONNX, 16 to 23; PyTorch's default without.")] = None,
    output: Annotated[Path | None, typer.Option(**FILE, help="The file; beside the weights without.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    accept_code_change: CodeChange = False,
) -> int:
    """Write the retrained model, or a trial's, as ONNX or torch.export, checked against the original."""
    from autorf.cli import deployment

    return deployment.export(
        study, root, trial, format, output, opset=opset, force=force, accept_code_change=accept_code_change
    )


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|FOLDER", help="A study that was retrained, or the folder that its retrain wrote."
        ),
    ],
    pictures: Annotated[list[Path], typer.Argument(help="Picture files, and folders of them.", parser=path_of)],
    output: Annotated[
        Path, typer.Option(**DIR, help="Folder of the masks: PICTURE.png, class indices, of the picture's size.")
    ],
    root: Root = RUNS,
    trial: Annotated[
        str | None, typer.Option("--trial", help="Of a study, the retrained trial's key or its beginning.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(**DIR, help="Folder of true masks of the pictures' names: scores in metrics.json.")
    ] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="The classes over the picture too, in overlay/.")] = False,
    color: Annotated[bool, typer.Option("--color", help="Masks in the classes' colours too, in color/.")] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Of every class (classes x height x width), .npy in probabilities/.")
    ] = False,
    maps: Annotated[
        bool,
        typer.Option("--maps", help="Every pixel's scale or dilation, .npy in maps/, pictures in maps_color/."),
    ] = False,
    code: Annotated[
        Path | None, typer.Option(parser=path_of, metavar="PATH", help="File or folder of a python: network's code.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU where there is one without.")] = None,
    tile: Annotated[
        int | None, typer.Option(min=1, max=2**20, help="Side of tiles in pixels, for data.fit: crop or data.patches.")
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            parser=path_of, metavar="PATH", help="File or folder of the faces' landmarks, for a model of such."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of earlier predictions.")] = False,
    quiet: Quiet = False,
    accept_code_change: Annotated[
        bool, typer.Option("--accept-code-change", help="Build the network by code that has changed since.")
    ] = False,
) -> int:
    """Predict masks of pictures with a retrained model; a picture that cannot be read is named, the others go on."""
    from autorf.cli import prediction

    wishes = prediction.Wishes(color, overlay, probabilities, maps)
    options = prediction.Options(
        root, output, trial, masks, wishes, code, device, tile, landmarks, force, quiet, accept_code_change
    )
    return prediction.predict(model, pictures, options)


@app.command()
def inspect(
    model: Model,
    image_size: ImageSide = "512",
    options: Options = None,
    layers: Annotated[bool, typer.Option("--layers", help="Every layer, not only those that widen the field.")] = False,
    effective: Annotated[bool, typer.Option("--effective", help="Measure the effective receptive field too.")] = False,
    images: Annotated[
        Path | None,
        typer.Option(**DIR, help="Folder of pictures for --effective; noise without."),
    ] = None,
    per_class: Annotated[str | None, typer.Option(help="Classes for --effective to measure too, such as 0,3.")] = None,
    figure: Annotated[Path | None, typer.Option(**FILE, help="HTML file for the figure of --effective.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the figure.")] = False,
    format: ModelFormat = "table",
) -> int:
    """Show the receptive field, stride and rnorm of a model and its layers."""
    from autorf.cli import models

    classes = models.parse_classes(per_class)
    asked = effective or images or figure or classes
    request = models.EffectiveRequest(images, figure, force, classes) if asked else None
    return models.inspect(model, list(options or []), image_size, format, every_layer=layers, effective=request)


@app.command()
def apply(
    pattern: Annotated[
        str,
        typer.Argument(
            help="A pattern's file, or the name of a published one, such as hdc.", autocompletion=patterns_that_begin
        ),
    ],
    model: Model,
    image_size: ImageSide = "512",
    classes: Annotated[int, typer.Option(min=1, max=2**16, help="Channels of the model's output.")] = 21,
    options: Options = None,
    output: Annotated[Path | None, typer.Option(**DIR, help="Folder to save the changed model in.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what the folder holds.")] = False,
    format: ModelFormat = "table",
) -> int:
    """Give a model the dilations of a pattern, and show its receptive field before and after."""
    from autorf.cli import patterns

    return patterns.apply(pattern, model, list(options or []), image_size, classes, output, format, force=force)


@app.command()
def suggest(
    model: Model,
    image_size: ImageSide = "512",
    object_size: Annotated[float | None, typer.Option(help="Side of the objects in pixels.")] = None,
    rnorm: Annotated[float | None, typer.Option(help="Known best receptive field over image side.")] = None,
    options: Options = None,
    format: ModelFormat = "table",
) -> int:
    """Suggest which dilations or inflation factors to search."""
    from autorf.cli import models

    return models.suggest(model, list(options or []), image_size, object_size, rnorm, format)


@app.command()
def check(
    model: Model,
    images: Annotated[Path | None, typer.Option(**DIR, help="Folder of pictures; noise without.")] = None,
    masks: Annotated[
        Path | None, typer.Option(**DIR, help="Folder of their masks, 8-bit PNG of the same names, one class a pixel.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Take pictures, masks and image size of a study; --set data.KEY=VALUE is its.")
    ] = None,
    image_size: Annotated[
        str | None, typer.Option(help="Side that pictures are resized to, or HEIGHTxWIDTH; their own without.")
    ] = None,
    memory: Annotated[str | None, typer.Option(help="What a tile's forward pass may take, such as 8GB.")] = None,
    options: Options = None,
    output: Annotated[Path | None, typer.Option(**FILE, help="HTML file for a page with pictures.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page.")] = False,
    format: ModelFormat = "table",
) -> int:
    """Say without any training whether a model sees enough of its pictures, what changes it, and how to tile them."""
    from autorf.cli import checking

    asked = checking.Options(images, masks, study, image_size, memory, output, force)
    return checking.check(model, list(options or []), asked, format)


@app.command()
def bench(
    model: Model,
    image_size: ImageSide = "512",
    options: Options = None,
    method: Annotated[
        str | None, typer.Option(help="A method with its fields, such as 'dilation rate=4'; the plain model without.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; every one that is there without.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads; torch's own choice without.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, max=100_000, help="Timed runs at most.")] = 50,
    format: ModelFormat = "table",
) -> int:
    """Measure frames per second, latency and memory of a model, one image at a time."""
    from autorf.cli import bench as command

    return command.bench(model, list(options or []), image_size, method, device, threads, repeats, format)


@app.command()
def studies(
    name: Annotated[str | None, typer.Argument(help="A built-in study or search space, to print whole.")] = None,
    root: Root = RUNS,
) -> int:
    """List the built-in studies and search spaces, and the studies under --root with their trials, best and size."""
    from autorf.cli import own_studies

    return own_studies.list_studies(root) if name is None else own_studies.print_builtin(name)


@app.command()
def clean(study: Study, root: Root = RUNS) -> int:
    """Remove a study's checkpoints, never its records; trials that are not over begin anew."""
    from autorf.cli import own_studies
    from autorf.cli.studies import study_name

    return own_studies.clean(study_name(study), root)
