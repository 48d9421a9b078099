"""The pages build without a warning, and nothing is loaded from elsewhere when one is read."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_the_menu_is_written_with_what_it_asked_for(site: Path) -> None:
    assert '<svg class="floors"' in (site / "floors.html").read_text()
    assert "<code>training.epochs</code>" in (site / "study_file.html").read_text()
    assert "autorf search STUDY" in (site / "commands.html").read_text()
    assert 'id="autorf.adapt"' in (site / "api" / "library.html").read_text()
    assert 'id="autorf.ops.inflate"' in (site / "api" / "ops.html").read_text()
    assert not [page for page in site.rglob("*.html") if "{{" in page.read_text()]


def test_examples_of_docstrings_are_shown_as_code(site: Path) -> None:
    library = re.sub(r"<[^>]+>", "", (site / "api" / "library.html").read_text())
    assert "&gt;&gt;&gt; model[1].dilation, model[1].padding" in library


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loading = re.compile(r"<(?:script|img|iframe|link)[^>]*?(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    elsewhere = {tag for page in site.rglob("*.html") for tag in loading.findall(page.read_text())}
    styles = {
        path.name for path in site.rglob("*.css") if re.search(r"(?:url\(|@import)[\"' ]*https?:", path.read_text())
    }
    assert (elsewhere, styles) == (set(), set())


def test_the_code_of_the_pages_is_not_among_them(site: Path) -> None:
    assert list(site.rglob("*.py")) == []
