"""What users may rely on; a name that vanishes breaks them."""

import subprocess
import sys

import autorf

NAMES = {
    "Dilation", "Handle", "Inflation", "InputError", "LearnedDilation", "LoopTrial", "ModelSpec", "MultiScale",
    "Objective", "Pattern", "PixelAdaptive", "ReceptiveFieldCallback", "ScaleAdaptive", "SearchWarning",
    "TrainingWarning", "TransformersCallback", "adapt", "adaptations", "advance", "apply", "attach", "build", "check",
    "compare",    "describe", "freeze", "labels", "learned_values", "load", "ops", "parameter_groups", "pattern_of",
    "plain_state_dict", "predict", "receptive_field", "record", "report", "save", "search",
    "search_again", "tune_space", "tuned_method", "verify",
}  # fmt: skip


def test_the_public_names_are_these_and_all_can_be_imported() -> None:
    assert set(autorf.__all__) == NAMES
    for name in NAMES:
        assert getattr(autorf, name) is not None
        assert name in dir(autorf)


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, autorf; print(sorted({'torch', 'pydantic', 'optuna'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_receptive_field_stays_a_function_whatever_is_imported() -> None:
    import torch

    import autorf.fields
    import autorf.reporting

    found = autorf.receptive_field(torch.nn.Conv2d(3, 1, 5, padding=2), (32, 32))
    assert found.size == (5, 5)
