"""The end of a report: what to do next, and what the words mean."""

from collections.abc import Iterator

from autorf.reporting.blocks import Code, Column, Section, table
from autorf.reporting.report_data import ReportData
from autorf.study.own_loop import trained_elsewhere

_MOST_SEEDS = 20
"""Nobody trains more for one answer."""

_IN_OWN_LOOP = """\
autorf.adapt(model, METHOD)   # what is recommended, in the loop that trained it
...
autorf.freeze(model)          # plain layers where the method allows
autorf.save(model, FOLDER)"""

_WORDS = (
    ("receptive field, rf", "the side in input pixels of the square that one output pixel can see"),
    ("rnorm", "the receptive field over the side of the image"),
    ("dilation", "the distance between the taps of a kernel; 1 is a plain convolution"),
    ("f", "the inflation factor: features are resized by it, so a larger f means a smaller field"),
    ("manual, learned", "the field is set by hand and tried one by one, or found while the network trains"),
    ("control", "a manual configuration trained as long as the best learned one, so that equal trainings are compared"),
    ("equal steps, equal cost", "trained the same number of optimizer steps, or for the same seconds of the device"),
    ("CPU-seconds, GPU-seconds", "processor time on a CPU, over all its threads; wall time on a GPU"),
    ("sufficient field", "one shown to lose no more than the margin against every other of the grid"),
    ("margin", "what may be lost and still count as losing nothing, in units of the metric"),
    ("95 % interval", "would hold the true value in 95 of 100 repetitions; corrected for choosing where it says so"),
)


def next_section(report: ReportData) -> Iterator[Section]:
    """The commands that follow a comparison."""
    if not report.comparison.groups:
        return
    name = report.studies[0].name
    answer = report.comparison.recommendation
    blocks = []
    if trained_elsewhere(report.studies[0].spec):
        yield Section("next", "How to go on", "", (Code("To use what was found", _IN_OWN_LOOP),))
        return
    if answer is not None and answer.seeds_needed is not None and answer.seeds_needed <= _MOST_SEEDS:
        seeds = f"autorf search {name}.yaml --set training.seeds=[{','.join(map(str, range(answer.seeds_needed)))}]"
        blocks.append(Code("More seeds would decide; trials that are complete are not run again", seeds))
    commands = (
        f"autorf retrain {name}   # trains it whole, and measures it once on the test split",
        f"autorf export {name}   # writes a frozen model, checked against the original",
    )
    blocks.append(Code("To use what was found", "\n".join(commands)))
    yield Section("next", "How to go on", "", tuple(blocks))


def word_section(report: ReportData) -> Iterator[Section]:
    """A short glossary."""
    if report.comparison.groups:
        columns = (Column("word", False), Column("meaning", False))
        yield Section("words", "What the words mean", "", (table("Words", columns, _WORDS),))
