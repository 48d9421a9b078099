from pathlib import Path

import pytest

from autorf.store import versions
from autorf.store.store import Store


def test_a_study_remembers_every_set_of_versions_that_it_ran_with_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, "s")
    for release in ("1.0", "1.0", "1.1"):
        monkeypatch.setattr(versions, "__version__", release)
        versions.remember_versions(store)
    assert [found["autorf"] for found in store.notes()[versions.NOTE]] == ["1.0", "1.1"]
    assert {"python", "torch", "timm"} <= set(versions.versions())
