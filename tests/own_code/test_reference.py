import pytest

from autorf.own_code.reference import is_reference, parse_reference, references_in


@pytest.mark.parametrize(
    ("text", "module", "attribute", "file"),
    [
        ("python:./net.py:build", "net", "build", "./net.py"),
        ("python:../models/net.py:Net.small", "net", "Net.small", "../models/net.py"),
        ("python:package.module:build", "package.module", "build", None),
        ("python:mödul:bäu", "mödul", "bäu", None),
    ],
)
def test_a_reference_names_a_file_or_a_module_and_a_function_in_it(
    text: str, module: str, attribute: str, file: str | None
) -> None:
    reference = parse_reference(text)
    assert (reference.module, reference.attribute, reference.file) == (module, attribute, file)


@pytest.mark.parametrize(
    "text",
    [
        "python:",
        "python:net.py",
        "python:net.py:",
        "python:net.py:a b",
        "python:my-net.py:build",
        "python:net/txt:build",
        "python:../net:build",
        "python:a..b:build",
        "net.py:build",
    ],
)
def test_anything_else_is_refused_with_both_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"python:\./FILE\.py:NAME|letters, digits"):
        parse_reference(text)


def test_references_are_found_however_deep_and_each_once() -> None:
    values = {"model": {"name": "python:net:a"}, "axes": [["python:net:b", "python:net:a", 3, None]]}
    assert [str(reference) for reference in references_in(values)] == ["python:net:a", "python:net:b"]
    assert not is_reference(3)
