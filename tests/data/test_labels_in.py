"""Asking for a data set's classes."""

import subprocess
import sys


def test_the_classes_of_a_data_set_are_told_without_loading_torchvision() -> None:
    code = (
        "import sys; from autorf.data import labels_in; "
        "print(len(labels_in({'name': 'digits'}).class_names), 'torchvision' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["11", "False"]
