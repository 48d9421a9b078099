"""The commands' page holds every command with every option, as the command line itself has them."""

from docs.generator.commands import commands, page


def test_every_command_and_every_option_is_on_the_page_with_its_help() -> None:
    sections = {text.split("\n")[0].removeprefix("autorf "): text for text in page().split("## ")[1:]}
    assert set(sections) == set(commands())
    for name, command in commands().items():
        for parameter in command.params:
            name_of = parameter.name.upper() if parameter.required else f"[{parameter.name.upper()}]"
            shown = parameter.opts[0] if parameter.param_type_name == "option" else name_of
            assert f"`{shown}" in sections[name], (name, shown)
            assert parameter.help, f"autorf {name} {shown} has no help"
            assert parameter.help in sections[name]


def test_defaults_flags_and_limits_are_told() -> None:
    search = page().split("## autorf search\n")[1].split("## ")[0]
    assert "autorf search STUDY [OPTIONS]" in search
    assert "| `STUDY` | required |" in search
    assert "| `--root DIR` | `runs` |" in search
    assert "| `--workers INT >= 1` |" in search
    assert "| `--dry-run` | off |" in search
    assert "| `--set A.B=C` |" in search
