"""Break the most important arithmetic, one place at a time: does a test say so?

    python benchmarks/mutants.py --output benchmarks/results/mutants.md

Every mutant changes one line of a copy of the tree and runs the test that should fail for it. The tests pass before
anything is changed. A mutant that survives, or whose line is no longer there, is an exit code of 1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("autorf", "benchmarks", "search_spaces", "studies", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Mutant:
    """``old``, which stands once in ``file`` of autorf, becomes ``new``; ``test`` must fail."""

    file: str
    old: str
    new: str
    test: str


MUTANTS = (
    Mutant("statistics.py", "down = half_widths(variance, images, freedom, n_images, _TAIL / len(ours))",
           "down = half_widths(variance, images, freedom, n_images, _TAIL)",
           "tests/comparison/test_verdict.py::test_the_best_of_two_is_corrected_for_choosing_by_hand"),
    Mutant("statistics.py", "up = half_widths(variance, images, freedom, n_images, _TAIL / len(theirs))",
           "up = half_widths(variance, images, freedom, n_images, _TAIL)",
           "tests/test_statistics.py::test_the_high_end_against_the_best_of_two_is_students_at_half_the_tail"),
    Mutant("statistics.py", "down = half_widths(none, images, freedom, n_images, _TAIL / len(ours))",
           "down = half_widths(none, images, freedom, n_images, _TAIL)",
           "tests/test_statistics.py::test_over_images_alone_the_best_of_two_is_corrected_likewise"),
    Mutant("statistics.py", "low=float((difference - down).min(1).max()),", "low=float((difference - down).max()),",
           "tests/test_statistics.py::test_to_be_better_every_other_one_must_be_beaten_and_that_needs_no_correction"),
    Mutant("statistics.py", "_TAIL = (1 - LEVEL) / 2", "_TAIL = 1 - LEVEL",
           "tests/test_statistics.py::test_the_interval_of_a_mean_is_students"),
    Mutant("statistics.py", "freedom = own_freedom + prior_freedom", "freedom = own_freedom + 0 * prior_freedom",
           "tests/test_statistics.py::test_three_configurations_that_vary_alike_lend_each_other_their_variance"),
    Mutant("statistics.py", "return max(total - rest / (n_images * n_seeds), 0.0)", "return total",
           "tests/test_statistics.py::test_the_images_share_of_two_seeds_and_two_images_by_hand"),
    Mutant("statistics.py", "np.maximum(half, over_seeds * np.sqrt(v))", "half",
           "tests/test_statistics.py::test_a_little_image_noise_never_narrows_an_interval"),
    Mutant("comparison/judging.py", "else (high, low)", "else (low, high)",
           "tests/comparison/test_verdict.py::test_the_interval_of_a_cost_is_turned_and_stays_in_order"),
    Mutant("comparison/pareto.py", "point != other and all(mine >= theirs", "point != other and all(mine > theirs",
           "tests/comparison/test_pareto.py"),
    Mutant("metrics.py", "float(counts[:, group].sum())", "float(counts[group].sum())",
           "tests/test_metrics.py::test_scores_of_a_matrix_computed_by_hand"),
    Mutant("metrics.py", "labels * n_classes + predicted", "predicted * n_classes + labels",
           "tests/test_metrics.py::test_rows_are_labels_and_columns_predictions"),
    Mutant("ops/inflation.py", "dtype=factor.dtype) / factor", "dtype=factor.dtype) * factor",
           "tests/ops/test_inflation.py::test_inflation_equals_the_formula_of_the_paper"),
    Mutant("ops/inflation.py", "torch.maximum(triangle, torch.zeros_like(triangle))", "triangle.clamp(min=0)",
           "tests/ops/test_inflation.py::test_the_factors_gradient_at_a_kink_is_the_mean_of_its_one_sided_derivatives"),
    Mutant("ops/scale_adaptive.py", "weight * inside, sign * step * inside", "weight * inside, sign * inside",
           "tests/ops/test_scale_adaptive.py::test_gradients_agree_with_finite_differences"),
    Mutant("ops/scale_adaptive.py", "weight = sign * (offset - low) + (1 - upper)", "weight = 1 - upper + 0 * offset",
           "tests/ops/test_scale_adaptive.py::test_it_equals_the_reference"),
    Mutant("ops/pixel_adaptive.py", "rate.view(-1, 1) * (tap - taps // 2)", "(tap - taps // 2)",
           "tests/ops/test_pixel_adaptive.py::test_it_equals_the_reference"),
    Mutant("ops/blended_dilation.py", "blend[chosen], 1 - blend[chosen]", "1 - blend[chosen], blend[chosen]",
           "tests/ops/test_blended_dilation.py::test_it_equals_the_reference_image_by_image"),
    Mutant("fields/taps.py", "- padding + np.arange(kernel)[None] * dilation", "- padding + np.arange(kernel)[None]",
           "tests/fields/test_field.py::test_two_convolutions_dilated_by_four_see_17_pixels"),
    Mutant("fields/measure.py", "size, settled = (hi - lo)[whole].max() + 1, True",
           "size, settled = (hi - lo)[whole].min() + 1, True",
           "tests/fields/test_field.py::test_the_largest_phase_counts"),
    Mutant("fields/inflated.py", "math.ceil((effective + 1) / factor)", "math.ceil(effective / factor)",
           "tests/fields/test_inflated.py"),
    Mutant("methods/loss_profile.py", "math.exp(-passed)", "1.0",
           "tests/methods/test_loss_profile.py::test_older_steps_fade_from_counts_and_sums"),
    Mutant("methods/loss_profile.py", "[share, share, share, share**2]", "[share, share, share, share]",
           "tests/methods/test_loss_profile.py::test_the_standard_error_is_that_of_a_mean_whatever_has_faded"),
    Mutant("methods/loss_profile.py", "squares / weight - (total / weight) ** 2", "squares / weight",
           "tests/methods/test_loss_profile.py::test_the_standard_error_is_that_of_a_mean_whatever_has_faded"),
    Mutant("methods/loss_profile.py", "CERTAIN * math.sqrt(variance)", "math.sqrt(variance)",
           "tests/methods/test_loss_profile.py::test_options_within_two_standard_errors_of_the_lowest_cannot_be_told_apart"),
    Mutant("methods/option_search.py", "(self.final_window / self.window) ** done",
           "(1 - (1 - self.final_window / self.window) * done)",
           "tests/methods/test_learned_dilation.py::test_the_window_narrows_geometrically_and_then_the_centre_is_fixed"),
    Mutant("methods/dilation_search.py", "done - begun >= self.schedule.hold", "done >= begun",
           "tests/methods/test_learned_dilation.py::test_the_centre_is_held_at_first"),
    Mutant("methods/dilation_search.py", "variable.grad.double() * len(drawn)", "variable.grad.double()",
           "tests/methods/test_learned_dilation.py::test_the_profile_is_the_loss_of_every_option_less_that_of_the_first"),
    Mutant("methods/dilation_search.py", "rate = self.nearest_option() if self.searching else self.rate\n",
           "rate = self.rate\n",
           "tests/surgery/test_freezing.py::test_a_layer_that_is_still_searching_becomes_what_it_is_in_evaluation"),
    Mutant("methods/dilation_search.py", 'alike[0] if self.method.prefer == "smallest" else alike[-1]',
           'alike[-1] if self.method.prefer == "smallest" else alike[0]',
           "tests/methods/test_sharing.py::test_of_what_cannot_be_told_apart_the_preferred_option_is_fixed"),
    Mutant("methods/dilation_search.py", "self.companions if self.together else self.group", "self.group",
           "tests/methods/test_sharing.py"),
    Mutant("methods/pixel_adaptive.py", "logits / self.method.temperature[1] if", "logits / self.temperature if",
           "tests/methods/test_pixel_adaptive.py::"
           "test_without_noise_training_ends_as_the_expected_evaluation_which_the_weights_alone_decide"),
    Mutant("surgery/freezing.py", "allowed = 32 *", "allowed = 1e9 *",
           "tests/surgery/test_freezing.py::test_a_plain_form_that_is_slightly_wrong_is_found"),
    Mutant("surgery/learning.py", '"lr": rate, "weight_decay": 0.0', '"lr": rate, "weight_decay": weight_decay',
           "tests/surgery/test_learning.py::test_learned_parameters_have_groups_of_their_own_without_decay"),
    Mutant("training/schedule.py", "0.5 * (1 + math.cos", "0.5 * (1 - math.cos",
           "tests/training/test_schedule.py::test_a_cosine_rises_to_its_peak_and_falls_to_nothing_by_hand"),
    Mutant("training/schedule.py", "step >= drop", "step > drop",
           "tests/training/test_schedule.py::test_steps_multiply_the_rate_at_their_milestones"),
    Mutant("driver/pruning.py", "reduction ** len(rungs) < max_epochs", "reduction ** len(rungs) <= max_epochs",
           "tests/driver/test_pruning.py::test_rungs_grow_by_the_reduction_and_end_below_the_whole_training"),
    Mutant("driver/pruning.py", "len(band) // self.reduction]", "-(-len(band) // self.reduction)]",
           "tests/driver/test_pruning.py::test_a_trial_goes_on_only_among_the_best_third_so_far"),
    Mutant("driver/bisection.py", "if score(left) >= score(right) else", "if score(left) < score(right) else",
           "tests/driver/test_bisection.py::test_golden_section_finds_the_highest_of_any_single_peak"),
    Mutant("driver/bisection.py", "if passes[place] and not lacking else", "if lacking else",
           "tests/driver/test_bisection.py::test_a_plateau_is_bisected_to_its_smaller_end"),
    Mutant("driver/rung_noise.py", "scores.shape[1] * scores.mean(1).var(ddof=1)", "scores.mean(1).var(ddof=1)",
           "tests/driver/test_rung_noise.py::test_the_chance_is_that_of_the_f_test_over_configurations_and_seeds"),
    Mutant("training/method_record.py", "with_older_fields(kind, record)", "record",
           "tests/training/test_method_record.py::test_a_state_of_layers_that_shared_nothing_goes_on_by_those_alone"),
    Mutant("running/evidence.py", "summed(prediction, counts)", "summed(label, counts)",
           "tests/running/test_evidence.py::test_every_image_keeps_its_own_confusion_and_they_add_up_to_the_pooled_one"),
    Mutant("store/lease.py", '> seconds\n', '> 2 * seconds\n',
           "tests/store/test_lease.py::test_another_machine_is_waited_for_until_it_was_silent_too_long"),
    Mutant("store/lease.py", 'fields[0] not in "ZX" and ', "",
           "tests/store/test_lease.py::test_a_dead_process_loses_its_lease_at_once_also_before_anyone_waited_for_it"),
    Mutant("store/ranking.py", "-mean(_value", "-max(_value",
           "tests/store/test_ranking.py::test_the_winner_is_the_best_seed_of_the_best_mean"),
    Mutant("study/trial.py", "json.dumps(identity, sort_keys=True,", "json.dumps(identity,",
           "tests/study/test_trial.py::test_a_key_is_the_hash_of_the_sorted_configuration_whatever_the_order_of_its_fields"),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="mutants of files whose name begins so")
    parser.add_argument("--output", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if mutant.file.startswith(options.only)]
    with tempfile.TemporaryDirectory(prefix="autorf-mutants-") as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        broken = run(tree, sorted({mutant.test for mutant in mutants}))
        if broken is not None:
            print(f"tests fail before anything is changed:\n{broken}")
            return 1
        fates = [(mutant, fate_of(tree, mutant)) for mutant in mutants]
    text = table(fates)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return int(any(fate != "killed" for _, fate in fates))


def copy_tree(tree: Path) -> None:
    """Copy what the tests need; the tree itself is never changed."""
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        else:
            shutil.copy(source, tree / name)


def fate_of(tree: Path, mutant: Mutant) -> str:
    """``killed``, ``survived``, or that there is no such line."""
    path = tree / "autorf" / mutant.file
    whole = path.read_text(encoding="utf-8")
    if whole.count(mutant.old) != 1:
        return f"the line stands {whole.count(mutant.old)} times"
    path.write_text(whole.replace(mutant.old, mutant.new), encoding="utf-8")
    fate = "survived" if run(tree, [mutant.test]) is None else "killed"
    path.write_text(whole, encoding="utf-8")
    print(f"{fate:<9} {mutant.file}: {mutant.new.strip()}", file=sys.stderr, flush=True)
    return fate


def run(tree: Path, tests: Sequence[str]) -> str | None:
    """None where the tests pass, else what pytest says; a test that is not there is an error of ours."""
    # A compiled file as old and as long as its changed source would be taken for it.
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(tests)}: pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return None if done.returncode == 0 else done.stdout


def table(fates: Sequence[tuple[Mutant, str]]) -> str:
    """The mutants in Markdown."""
    killed = sum(fate == "killed" for _, fate in fates)
    rows = [
        f"| {mutant.file} | `{mutant.old.strip()}` | `{mutant.new.strip()}` | {_name(mutant.test)} | {fate} |"
        for mutant, fate in fates
    ]
    head = ["| file | line | becomes | test | fate |", "|---|---|---|---|---|"]
    return "\n".join(
        ["# Mutants", "", f"{killed} of {len(fates)} killed; `python benchmarks/mutants.py`.", "", *head, *rows, ""]
    )


def _name(test: str) -> str:
    return test.rpartition("::")[2]


if __name__ == "__main__":
    sys.exit(main())
