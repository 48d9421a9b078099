"""Studies of data in folds, from their first trial to the model that is shipped."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autorf.comparison import Comparison, compare_studies, results_of
from autorf.data import load
from autorf.deployment import retrain as retraining
from autorf.deployment.export import export
from autorf.deployment.found_field import with_found_field
from autorf.deployment.model_card import text as card_text
from autorf.deployment.retrain import Options, chosen_trial, retrain, study_spec
from autorf.driver.controls import planned_controls
from autorf.driver.plan import plan
from autorf.driver.progress import Progress
from autorf.errors import InputError
from autorf.executors import Event
from autorf.metrics import confusion, scores
from autorf.running.runner import trained_model
from autorf.store.record import Record
from autorf.store.replicates import Replicate, replicates
from autorf.store.store import Store, open_store
from autorf.store.summaries import summaries
from autorf.study.spec import parse_study
from autorf.study.trial import spec_of
from autorf.training.outputs import predicted_classes
from tests.folded import DATA, Counts, replicate
from tests.folded_study import FOLDS, N_TRAIN, Killed, run, study, write_pictures
from tests.study.trained import Here


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The root of a study that was killed within its second trial and went on, and what was complete before."""
    folder = tmp_path_factory.mktemp("folded")
    spec, epochs = study(write_pictures(folder / "pictures")), list[Event]()

    def watch(event: Event) -> None:
        epochs.append(event)
        if len(epochs) == 2 + 1:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        with pytest.raises(KeyboardInterrupt):
            run(spec, folder / "runs", patch, watch)
        before = [record for record in open_store(folder / "runs", "folded").records() if record.state == "complete"]
        run(spec, folder / "runs", patch)
    return folder / "runs", [record.key for record in before]


@pytest.fixture
def store(killed: tuple[Path, list[str]]) -> Store:
    return open_store(killed[0], "folded")


@pytest.fixture
def comparison(store: Store) -> Comparison:
    return compare_studies([results_of(store)])


def test_a_killed_study_goes_on_with_the_folds_that_are_missing(killed: tuple[Path, list[str]], store: Store) -> None:
    records = store.records()
    assert killed[1] == [records[0].key]
    assert [record.state for record in records] == ["complete"] * 2 * FOLDS
    # The second was begun twice, no other.
    assert [record.key for record in store.attempts() if record.attempt > 1] == [records[1].key]
    assert len({record.key for record in records}) == 2 * FOLDS
    assert {record.result.steps for record in records if record.result} == {2 * (5 // 2)}


def test_the_pooled_score_is_that_of_every_image_predicted_by_the_model_that_never_saw_it(
    store: Store, comparison: Comparison
) -> None:
    spec = study_spec(store)
    for row in comparison.replicates:
        total, seen = torch.zeros(2, 2, dtype=torch.int64), 0
        for key in row.fold_keys:
            (record,) = [record for record in store.records() if record.key == key]
            assert record.trial is not None
            own = spec_of(spec, record.trial)
            held_out = load(own.data).val
            model = trained_model(own, ("0", "1"), store.folder / "trials" / key).eval()
            images, masks = held_out.tensors(range(len(held_out)))
            with torch.no_grad():
                total += confusion(predicted_classes(model(images), masks), masks, 2)
            seen += len(held_out)
        assert (seen, int(total.sum())) == (N_TRAIN, N_TRAIN * 24 * 24)
        assert row.miou == pytest.approx(scores(total, ("0", "1")).miou, abs=1e-12)
    assert {(group.n, group.folds, len(group.keys)) for group in comparison.groups} == {(2, FOLDS, 6)}
    assert comparison.verdict.n_images == 0
    assert f"the confusions of {N_TRAIN} images pooled" in comparison.notes[0]


def test_the_same_command_again_trains_nothing(killed: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = killed[0].parent / "pictures"

    def trained(_: Event) -> None:
        raise AssertionError

    assert run(study(pictures), killed[0], monkeypatch, trained).run == 0


def test_another_number_of_folds_is_another_study(
    killed: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = killed[0].parent / "pictures"
    more = {"name": "folder", "root": str(pictures), "image_size": 24, "classes": 2, "folds": 4}
    with pytest.raises(InputError, match=r"data\.folds: 3 became 4"):
        run(study(pictures, data=more), killed[0], monkeypatch)


def test_the_studies_table_has_the_best_replicate(killed: tuple[Path, list[str]], comparison: Comparison) -> None:
    (summary,) = summaries(killed[0])
    assert summary.best == pytest.approx(max(group.mean for group in comparison.groups))
    assert "fold" not in summary.best_label


@pytest.fixture
def root(killed: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(killed[0], tmp_path / "runs")
    monkeypatch.setattr(retraining, "make_local", lambda *_: Here())
    return tmp_path / "runs"


def test_what_is_shipped_is_trained_on_all_folds_and_nothing_chose_its_seed(root: Path) -> None:
    outcome = retrain(root, "folded", Options(seeds=(7, 3)), quiet=True)
    assert outcome.card is not None
    assert (outcome.card.n_train, outcome.card.folds, outcome.card.split) == (N_TRAIN, FOLDS, "test")
    assert outcome.card.seeds == (7, 3), "the order that was asked for"
    figures = json.loads((outcome.folder / "metrics.json").read_text())
    assert (figures["folds"], figures["n_images"], figures["shipped"]["seed"]) == (FOLDS, 3, 7)
    text = (outcome.folder / "README.md").read_text()
    assert "on its\ntraining images, cross-validated in 3 folds, trained anew" in text
    assert "2 epochs on 8 training images of `folder` (all folds: nothing validated this model), 2 trainings" in text
    assert "the model here is that of seed 7, the first;" in text
    assert "validation split" not in text
    untested = card_text(replace(outcome.card, metrics=None, split=None))
    assert "None: there is no test split with labels, and every other image was trained on." in untested
    assert "the study's 3 folds tell: `autorf compare folded`." in untested


def test_any_fold_names_its_replicate_and_the_first_seed_is_retrained_otherwise(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(root, "folded")
    spec, records = study_spec(store), store.records()
    last = records[-1]
    assert last.fold == FOLDS - 1
    named = chosen_trial(store, spec, last.key[:8])
    assert isinstance(named, Replicate)
    assert last.key in [trial.key for trial in named.folds]
    assert named.seed == 1
    # However much better the second seed was on the images that validated it.
    monkeypatch.setattr(retraining, "winner", lambda *_: named)
    for best in (True, False):
        assert chosen_trial(store, spec, None, best=best).seed == 0
    with pytest.raises(InputError, match=r"--with-val: with data\.folds every image is trained on; leave it out"):
        retrain(root, "folded", Options(with_val=True), quiet=True)
    with pytest.raises(InputError, match="models of its folds are trained on a part of the images each; retrain one"):
        export(root, "folded", None, "torch", None, force=False)


COUNTS: list[Counts] = [[[90, 10, 0], [10, 90, 0], [0, 0, 0]]] * 3


def test_a_field_that_all_folds_found_is_fixed_and_one_that_they_did_not_is_learned_anew() -> None:
    def found(*dilations: float) -> tuple[Record, str | None]:
        folds = replicate(COUNTS, method="learned_dilation")
        for at, dilation in enumerate(dilations):
            result = folds[at].result
            assert result is not None
            folds[at] = replace(folds[at], result=replace(result, learned={"dilation": dilation}))
        (whole,) = replicates(folds, DATA)
        trial, note = with_found_field(whole)
        return replace(whole, trial=trial), note

    same, note = found(3.0, 3.0, 3.0)
    assert same.trial is not None
    assert (same.trial.configuration, note) == ({"method": "dilation", "rate": 3}, None)
    other, note = found(3.0, 4.0, 3.0)
    assert other.trial is not None
    assert other.trial.configuration == {"method": "learned_dilation"}
    assert note is not None
    assert note.endswith("found different fields; it is learned anew on all images")


def with_steps(records: list[Record], steps: int, seconds: float) -> list[Record]:
    results = [replace(record.result, steps=steps, cpu_seconds=seconds) for record in records if record.result]
    return [replace(record, result=result) for record, result in zip(records, results, strict=True)]


def test_controls_are_trained_on_every_fold_as_long_as_the_best_learned_replicate(tmp_path: Path) -> None:
    spec = parse_study(
        {
            "name": "faces",
            "data": {**DATA, "root": str(tmp_path)},
            "model": {"name": "largefov:test_byobnet"},
            "search_space": ["dilation", "learned_dilation"],
        },
        "f",
    )
    manual = with_steps(replicate(COUNTS), 12, 3.0)
    learned = with_steps(replicate(COUNTS, method="learned_dilation"), 16, 12.0)
    planned = planned_controls([*manual, *learned], spec)
    lengths = [
        (due.control.budget, due.trial.configuration["training.steps"], due.trial.fold) for due in planned.controls
    ]
    assert lengths == [*(("steps", 16, fold) for fold in range(3)), *(("cost", 48, fold) for fold in range(3))]
    assert {due.control.winner["method"] for due in planned.controls} == {"learned_dilation"}
    assert all("data.fold" not in due.control.winner for due in planned.controls)
    assert planned.notes[0].startswith("3 controls: dilation (rate 1) for 16 steps, as long as learned_dilation")
    lacking = planned_controls([*manual, *learned[:2]], spec)
    assert lacking.controls == (), "before its replicate is whole there is no winner"


def test_a_plan_counts_seeds_and_folds_and_keeps_whole_configurations(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    planned = plan(study(pictures, search={"budget": {"trials": 11}}), "folded.yaml", tmp_path)
    assert (planned.trials_each, planned.n_configurations, len(planned.trials)) == (6, 1, 6)
    assert planned.n_train == N_TRAIN - round(N_TRAIN / FOLDS)
    assert [trial.fold for trial in planned.trials] == [0, 1, 2] * 2


def test_a_class_in_one_fold_alone_is_cautioned_and_a_fold_without_a_label_refused(tmp_path: Path) -> None:
    from PIL import Image

    pictures = write_pictures(tmp_path / "pictures")
    masks = sorted((pictures / "train" / "masks").iterdir())
    for mask in masks[1:]:
        Image.new("L", (24, 24), 0).save(mask)
    (caution,) = [w for w in plan(study(pictures), "folded.yaml", tmp_path).warnings if "data.folds" in w]
    assert caution.startswith("folded.yaml: data.folds: of 1 (fold ")
    assert caution.endswith("validates are not trained on it, and score nothing there")
    for mask in masks[1:]:
        Image.new("L", (24, 24), 7).save(mask)
    ignoring = {"name": "folder", "root": str(pictures), "image_size": 24, "classes": 2, "folds": 3, "ignore_index": 7}
    with pytest.raises(InputError, match=r"data\.folds: none of the \d masks of fold \d of 3 has a labelled pixel"):
        plan(study(pictures, data=ignoring), "folded.yaml", tmp_path)


def test_the_best_so_far_is_a_whole_replicate(store: Store) -> None:
    records = store.records()
    progress = Progress(study_spec(store), records[:FOLDS])
    assert progress.best is not None
    assert progress.best.label == "dilation (rate 1) seed 0"
    assert Progress(study_spec(store), records[: FOLDS - 1]).best is None
