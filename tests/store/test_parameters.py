from autorf.store.parameters import waiting_row


def test_a_value_that_optuna_has_no_range_for_is_kept_beside_its_parameters() -> None:
    configuration = {"method": "dilation", "rate": 3, "training.lr": 1e30, "training.batch_size": 100_000}
    row = waiting_row(configuration, {"configuration": configuration})
    assert row.params == {"method": "dilation", "dilation.rate": 3}
    assert row.user_attrs["configuration"] == configuration


def test_a_method_that_optuna_does_not_know_yet_is_kept_beside_its_parameters() -> None:
    row = waiting_row({"method": "spectral", "bands": 3}, {"method": "spectral"})
    assert row.params == {"spectral.bands": 3}
    assert row.user_attrs["method"] == "spectral"
