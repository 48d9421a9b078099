"""The command line, command by command, from the commands themselves."""

import inspect
from collections.abc import Mapping
from typing import Any

from typer.main import get_command

from autorf.cli.app import app
from docs.generator.markdown import table


def commands() -> Mapping[str, Any]:
    """Every command by its name."""
    group: Any = get_command(app)
    return group.commands


def page() -> str:
    """Every command as Markdown: what it does, how it is called, its arguments and options."""
    return "\n".join(_command(name, command) for name, command in sorted(commands().items()))


def _command(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join(["autorf", name, *(_argument(argument) for argument in arguments), "[OPTIONS]"])
    rows = [(_names(parameter), _default(parameter), parameter.help or "") for parameter in command.params]
    text = [f"## autorf {name}\n", inspect.cleandoc(command.help or "") + "\n", f"```\n{usage}\n```\n"]
    return "\n".join([*text, table(("argument or option", "default", "meaning"), rows)] if rows else text)


def _argument(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_argument(parameter)}`"
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    value = "" if parameter.is_flag else f" {parameter.metavar or _type(parameter)}"
    return f"`{names}{value}`"


def _type(parameter: Any) -> str:
    # Typer writes <int range>, and needs a context for choices only, of which there are none.
    words = parameter.display_type(None).strip("<>").removesuffix(" range").upper()
    return words if parameter.min is None else f"{words} >= {parameter.min:g}"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if getattr(parameter, "is_flag", False):
        return "off"
    return "" if parameter.default is None else f"`{parameter.default}`"
