"""Docstrings as the pages need them: this project's marks for other names, which Markdown does not know, as code."""

from typing import Any

import griffe

from docs.generator.markdown import plain_roles


class PlainRoles(griffe.Extension):
    """Rewrites the docstring of every object that mkdocstrings reads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Replace the roles of one object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = plain_roles(obj.docstring.value)
