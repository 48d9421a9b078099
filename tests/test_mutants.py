"""The lines that ``benchmarks/mutants.py`` changes and the tests it runs are still there, or it would say nothing."""

from pathlib import Path

import mutants
import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: f"{mutant.file}:{mutant.new.strip()}")
def test_a_mutants_line_stands_once_and_its_test_exists(mutant: mutants.Mutant) -> None:
    source = (ROOT / "autorf" / mutant.file).read_text(encoding="utf-8")
    assert source.count(mutant.old) == 1
    path, _, name = mutant.test.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8") if name else (ROOT / path).is_file()
