"""The commands on data in folds: what they count, print and refuse."""

import pytest
import yaml

from autorf.cli.comparison_table import print_comparison
from autorf.comparison import compare_studies
from tests.cli.conftest import Shell
from tests.comparison.test_folds import counts, grid
from tests.folded import fold, study
from tests.folded_study import study_file, write_pictures


@pytest.fixture
def folded(shell: Shell) -> Shell:
    (shell.folder / "folded.yaml").write_text(yaml.safe_dump(study_file(write_pictures(shell.folder / "pictures"))))
    return shell


def test_a_dry_run_counts_seeds_and_folds(folded: Shell) -> None:
    done = folded.run("search", "folded.yaml", "--dry-run")
    assert done.code == 0, done.err
    assert "folded: 6 trials (1 configuration x 2 seeds x 3 folds; 2 replicates), 2 epochs" in done.out
    rows = [line.split() for line in done.out.splitlines() if " rate " in line]
    assert [row[4:6] for row in rows] == [[str(seed), str(fold)] for seed in (0, 1) for fold in (0, 1, 2)]
    assert "6 trials, 2 at once: about " in done.out


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("data.folds=9", "data.folds: 9 folds of 8 images ("),
        ("data.folds=1", "folded.yaml: data.folds: must be greater than or equal to 2, got 1"),
        ("data.fold=0", "folded.yaml: data.fold: every trial is one fold by itself, and a study has them all; leave"),
        (
            "data.group_by=scene",
            "folded.yaml: data: group_by: 'scene' has no group in parentheses that names wh",
        ),
        ("search.pruning={}", "folded.yaml: search.pruning: it ranks trials before their end, and trials of differen"),
        ("training.stop.patience=1", "folded.yaml: training.stop: it would choose each model's length by the very ima"),
        (
            "search.budget.trials=5",
            "folded.yaml: search.budget.trials: 5 trials are less than one configuration un",
        ),
    ],
)
def test_a_search_refuses_what_folds_cannot_be_in_one_line(folded: Shell, override: str, line: str) -> None:
    refused = folded.refused("search", "folded.yaml", "--set", override).removeprefix("autorf: ")
    assert refused.startswith(line)
    assert len(refused) <= 290


def test_the_table_is_of_replicates_and_names_those_that_are_not_whole(capsys: pytest.CaptureFixture[str]) -> None:
    records = [*grid(), fold(counts(50), 0, seed=5), fold(counts(50), 1, seed=5, state="failed", reason="no memory")]
    print_comparison(compare_studies([study(records)]))
    out = capsys.readouterr().out
    assert "faces: all folds, 4 seeds" in out
    (line,) = [line.split() for line in out.splitlines() if " rate 1 " in line and "seed" not in line]
    assert line[:7] == ["best", "manual", "dilation", "rate", "1", "3", "3"]
    assert "dilation (rate 1) seed 5 fold 1: no memory" in out
    assert "dilation (rate 1) seed 5 is not counted: 1 of 3 folds are complete (fold 1 failed, fold 2 missing)." in out


def test_one_seed_in_folds_is_a_replicate_not_a_table_of_folds(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(compare_studies([study(grid()[:3])]))
    lines = [line for line in capsys.readouterr().out.splitlines() if " rate 1 " in line and "seed" not in line]
    assert len(lines) == 1
