"""What the commands that look at masks say of pictures with one class each."""

from tests.cli.conftest import Shell
from tests.data.classes import write_folders


def test_init_names_the_task_and_the_data_set_for_folders_of_classes(shell: Shell) -> None:
    write_folders(shell.folder / "pictures", {"train": 2, "val": 1})
    answer = shell.run("init", "pictures")
    assert answer.code == 2
    assert "write task: classification with data.name: image_folder" in answer.err
    assert not (shell.folder / "pictures.yaml").exists()


def test_data_and_check_refuse_pictures_with_one_class_in_a_line(shell: Shell) -> None:
    write_folders(shell.folder / "pictures", {"train": 2, "val": 1})
    for command, said in (
        (("data", "image_folder", "pictures"), "NAME image_folder: has one class a picture and no masks"),
        (("check", "timm:test_resnet", "--study", "pad_digits_classification"), "classifies whole pictures, in which"),
    ):
        answer = shell.run(*command)
        assert answer.code == 2
        assert said in answer.err
        assert len(answer.err.strip().splitlines()) == 1
