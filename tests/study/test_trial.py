import hashlib

from autorf.methods import Dilation, LearnedDilation
from autorf.study.spec import counted, parse_study
from autorf.study.trial import Trial, side_text, spec_of, trial_from
from autorf.training.spec import TrainingSpec
from tests.tiny import TINY


def training_of(given: dict[str, int], trial: Trial) -> TrainingSpec:
    return spec_of(parse_study({**TINY, "training": given}, "tiny.yaml"), trial).training


def test_a_key_depends_on_configuration_and_seed_and_on_nothing_else() -> None:
    keys = {Trial(Dilation(rate=rate), seed).key for rate in (1, 2) for seed in (0, 1)}
    assert len(keys) == 4
    assert Trial(Dilation(rate=1), 0).key in keys
    assert Trial(LearnedDilation(start=4), 0).key == Trial(LearnedDilation(window=3.0, start=4.0), 0).key


def test_a_stored_configuration_gives_the_trial_back() -> None:
    trial = Trial(LearnedDilation(start=4, rates=(1, 2, 4)), 7)
    assert trial_from(trial.configuration, 7) == trial


def test_a_setting_shows_what_differs_from_the_default() -> None:
    assert Trial(LearnedDilation(start=4), 0).setting == "start 4"
    assert Trial(LearnedDilation(), 0).setting == "default"


def test_a_field_is_one_number_where_it_is_square() -> None:
    assert (side_text([35, 35.0]), side_text([35.04, 52])) == ("35", "35x52")


def test_keys_never_change_lest_studies_lose_their_trials() -> None:
    assert Trial(Dilation(rate=2), 0).key == "d88636ca562b"
    assert Trial(LearnedDilation(start=12), 3).key == "8abeeb71d6a8"


def test_a_training_setting_belongs_to_the_configuration_and_trains_the_trial() -> None:
    trial = Trial(Dilation(rate=2), 0, (("training.batch_size", 4), ("training.lr", 0.01)))
    assert trial.configuration == {"method": "dilation", "rate": 2, "training.batch_size": 4, "training.lr": 0.01}
    assert trial_from(trial.configuration, 0) == trial
    found = training_of({"epochs": 5}, trial)
    assert (found.epochs, found.batch_size, found.lr) == (5, 4, 0.01)


def test_extra_is_counted_in_steps_and_none_by_default() -> None:
    def length(given: int, **method: float) -> tuple[int | None, int | None, int]:
        study = counted(parse_study({**TINY, "training": {"epochs": given}}, "a.yaml"), 5 * 16, "a.yaml")
        training = spec_of(study, Trial(LearnedDilation(**method), 0)).training
        return training.steps, training.validate_every, training.validations

    assert length(8) == (None, None, 8)
    assert length(8, extra=0.25) == (None, None, 10)
    assert length(3, extra=0.25) == (19, 5, 4)


def test_a_key_is_the_hash_of_the_sorted_configuration_whatever_the_order_of_its_fields() -> None:
    canonical = '[{"method":"dilation","rate":2,"targets":"head"},3]'
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:12]
    assert trial_from({"targets": "head", "rate": 2, "method": "dilation"}, 3).key == expected
